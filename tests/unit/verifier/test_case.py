"""A case survives its way through evidence, and says the same to every verifier."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.encoding import Json, canonical_json, parse_canonical_json
from offchain.protocol.errors import Malformed
from offchain.protocol.spec import CheckSpec
from offchain.protocol.types import Root, Seed, WorkIndex
from tests.unit.verifier.honest import SPEC, HonestTrainer, plain_case
from verifier.case import Case, case_from_header, parse_case


@pytest.fixture
def case() -> Case:
    return plain_case(SPEC, Root(b"\x01" * 32), Root(b"\x02" * 32))


def test_case_reads_back_from_evidence(case: Case) -> None:
    for each in (case, replace(case, epoch_seed=None, policy_root=None)):
        assert parse_case(parse_canonical_json(canonical_json(each.json()))) == each


@pytest.mark.parametrize("name", ["task", "trainer_seed", "spec", "work", "max_staleness", "spec_root"])
def test_case_that_lacks_something_is_malformed(case: Case, name: str) -> None:
    value = dict(case.json())
    del value[name]
    with pytest.raises(Malformed):
        parse_case(value)


@pytest.mark.parametrize(
    ("name", "value"), [("epoch", -1), ("epoch", True), ("epoch_seed", "00"), ("policy_root", "zz" * 32), ("spec", 3)]
)
def test_case_with_an_impossible_field_is_malformed(case: Case, name: str, value: Json) -> None:
    with pytest.raises(Malformed):
        parse_case({**case.json(), name: value})


def test_case_about_nobody_is_malformed(case: Case) -> None:
    work = case.json()["work"]
    assert isinstance(work, dict)
    with pytest.raises(Malformed, match="checksummed"):
        parse_case({**case.json(), "work": {**work, "trainer": "0xabc"}})


def test_header_alone_makes_a_case_in_which_everything_is_checked(trainer: HonestTrainer) -> None:
    bundle = trainer.write(trainer.parts())
    case = case_from_header(trainer.header(), trainer.spec, bundle.manifest.root)
    assert case.is_replayed and case.completions_checked(16) == list(range(16))
    assert trainer.judge(trainer.parts(), case=case).verdict.score == 100


def test_share_of_works_that_is_replayed_is_the_sampling_rate(case: Case) -> None:
    sampled = replace(case, sampling_bps=2_500)
    drawn = [replace(sampled, work=replace(case.work, index=WorkIndex(index))).is_replayed for index in range(4_000)]
    assert 900 < sum(drawn) < 1_100


@given(seed=st.binary(min_size=32, max_size=32), wanted=st.integers(1, 40), count=st.integers(1, 40))
def test_completions_to_prefill_are_fixed_by_the_seed(seed: bytes, wanted: int, count: int) -> None:
    spec = SPEC.model_copy(update={"checks": CheckSpec(completions_checked=wanted)})
    case = replace(plain_case(spec, Root(bytes(32)), Root(bytes(32))), epoch_seed=Seed(seed))
    drawn = case.completions_checked(count)
    assert drawn == sorted(set(drawn)) == case.completions_checked(count)
    assert len(drawn) == min(wanted, count) and all(0 <= position < count for position in drawn)
