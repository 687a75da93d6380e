"""A case survives its way through evidence, and says the same to every verifier."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import CheckSpec
from assay_core.protocol.types import Root, Seed, SubmissionIndex
from assay_verifier.case import Case, case_from_header, parse_case
from tests.unit.verifier.honest import SPEC, HonestTrainer, plain_case


@pytest.fixture
def case() -> Case:
    return plain_case(SPEC, Root(b"\x01" * 32), Root(b"\x02" * 32))


def test_case_reads_back_from_evidence(case: Case) -> None:
    for each in (case, replace(case, epoch_seed=None, policy_root=None)):
        assert parse_case(parse_canonical_json(canonical_json(each.json()))) == each


@pytest.mark.parametrize("name", ["task", "trainer_seed", "spec", "submission", "max_staleness", "spec_root"])
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
    submission = case.json()["submission"]
    assert isinstance(submission, dict)
    with pytest.raises(Malformed, match="checksummed"):
        parse_case({**case.json(), "submission": {**submission, "trainer": "0xabc"}})


def test_header_alone_makes_a_case_in_which_everything_is_checked(trainer: HonestTrainer) -> None:
    bundle = trainer.write(trainer.parts())
    case = case_from_header(trainer.header(), trainer.spec, bundle.manifest.root)
    assert case.is_replayed and case.completions_checked(16) == list(range(16))
    assert trainer.judge(trainer.parts(), case=case).verdict.score == 100


def test_share_of_submissions_that_is_replayed_is_the_sampling_rate(case: Case) -> None:
    sampled = replace(case, sampling_bps=2_500)
    drawn = [
        replace(sampled, submission=replace(case.submission, index=SubmissionIndex(index))).is_replayed
        for index in range(4_000)
    ]
    assert 900 < sum(drawn) < 1_100


@given(seed=st.binary(min_size=32, max_size=32), wanted=st.integers(1, 40), count=st.integers(1, 40))
def test_completions_to_prefill_are_fixed_by_the_seed(seed: bytes, wanted: int, count: int) -> None:
    spec = SPEC.model_copy(update={"checks": CheckSpec(completions_checked=wanted)})
    case = replace(plain_case(spec, Root(bytes(32)), Root(bytes(32))), epoch_seed=Seed(seed))
    drawn = case.completions_checked(count)
    assert drawn == sorted(set(drawn)) == case.completions_checked(count)
    assert len(drawn) == min(wanted, count) and all(0 <= position < count for position in drawn)


def step_wise(case: Case, steps_replayed: int) -> Case:
    checks = CheckSpec(replay="steps", steps_replayed=steps_replayed)
    return replace(case, spec=case.spec.model_copy(update={"checks": checks}))


@given(seed=st.binary(min_size=32, max_size=32), wanted=st.integers(1, 8), count=st.integers(1, 8))
def test_steps_to_repeat_are_fixed_by_the_seed(seed: bytes, wanted: int, count: int) -> None:
    plain = plain_case(SPEC, Root(bytes(32)), Root(bytes(32)))
    case = replace(step_wise(plain, wanted), epoch_seed=Seed(seed))
    drawn = case.steps_replayed(count)
    assert drawn == sorted(set(drawn)) == case.steps_replayed(count)
    assert len(drawn) == min(wanted, count) and all(0 <= step < count for step in drawn)
    assert case.everything_checked().steps_replayed(count) == list(range(count))


def test_each_step_is_drawn_as_often_as_any_other(case: Case) -> None:
    sampled = step_wise(case, 1)
    drawn = [
        replace(sampled, submission=replace(case.submission, index=SubmissionIndex(n))).steps_replayed(4)[0]
        for n in range(4_000)
    ]
    assert all(900 < drawn.count(step) < 1_100 for step in range(4))


def test_what_a_step_wise_judgement_looks_at_depends_on_the_seed_unless_it_is_everything(case: Case) -> None:
    steps = case.spec.recipe.inner_steps
    assert not case.depends_on_seed
    assert step_wise(case, steps - 1).depends_on_seed
    assert not step_wise(case, steps).depends_on_seed


def test_a_seed_draws_everything_only_where_all_is_drawn(case: Case) -> None:
    few = step_wise(case, 1)
    few = replace(
        few, spec=few.spec.model_copy(update={"checks": few.spec.checks.model_copy(update={"completions_checked": 2})})
    )
    assert few.completions_checked(16) != list(range(16)) and few.steps_replayed(4) != list(range(4))
    for partly in (few, replace(case, sampling_bps=0), step_wise(case, 1)):
        assert not partly.draws_everything and partly.everything_checked().draws_everything
        in_full = partly.everything_checked()
        assert (in_full.completions_checked(16), in_full.steps_replayed(4)) == (list(range(16)), list(range(4)))
    assert case.draws_everything and step_wise(case, case.spec.recipe.inner_steps).draws_everything
