"""The spec of a task: exact, complete, and refused with the place of its first mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.encoding import Json, canonical_json
from offchain.protocol.errors import Malformed
from offchain.protocol.spec import EnvironmentSpec, TaskSpec, parse_spec

SPEC = TaskSpec(title="sort", environment=EnvironmentSpec(name="sorting", args={"digits": 3}))


def changed(**parts: Json) -> bytes:
    return canonical_json({**SPEC.model_dump(mode="json"), **parts})


def test_spec_survives_its_bytes() -> None:
    assert parse_spec(SPEC.to_bytes()) == SPEC


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_decimals_survive_to_the_bit(rate: float) -> None:
    spec = SPEC.model_copy(update={"recipe": SPEC.recipe.model_copy(update={"lr": rate})})
    assert parse_spec(spec.to_bytes()).recipe.lr == rate


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[]", "spec", id="a list"),
        pytest.param(SPEC.to_bytes() + b" ", "not in canonical form", id="a space"),
        pytest.param(b" " * 65_537, "exceeds 65536", id="too large"),
        pytest.param(changed(colour="red"), "colour", id="unknown field"),
        pytest.param(changed(codec="zip"), "codec", id="unknown codec"),
        pytest.param(changed(title="x" * 201), "title", id="long title"),
        pytest.param(changed(title="a\x00b"), "title.*cannot be printed", id="title with a zero byte"),
        pytest.param(changed(title="\x1b[2J"), "title.*cannot be printed", id="title that steers a terminal"),
        pytest.param(changed(outer={"lr": "NaN"}), "outer.lr.*not finite", id="not a number"),
        pytest.param(changed(outer={"lr": "-1"}), "outer.lr", id="negative rate"),
        pytest.param(changed(outer={"momentum": "1.5"}), "outer.momentum", id="more than one"),
        pytest.param(changed(sampler={"temperature": "warm"}), "not a decimal", id="a word for a number"),
        pytest.param(changed(sampler={"max_new_tokens": 10**6}), "sampler.max_new_tokens", id="endless completions"),
        pytest.param(changed(rollout={"group_size": 1}), "rollout.group_size", id="a group of one"),
        pytest.param(changed(recipe={"clip_high": "5.0"}), "clip_max must be at least", id="clips that cross"),
    ],
)
def test_impossible_spec_is_malformed(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse_spec(data)
