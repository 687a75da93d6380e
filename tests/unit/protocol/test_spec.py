"""The spec of a task: exact, complete, and refused with the place of its first mistake."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.aggregation.codecs import CodecName, codec_named
from assay_core.aggregation.rules import COORDINATE_WISE, Rule, RuleName
from assay_core.protocol.encoding import Json, canonical_json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec, TaskSpec, parse_spec

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
        pytest.param(changed(outer={"lr": "1e400"}), "outer.lr.*not finite", id="infinite as a float"),
        pytest.param(changed(outer={"lr": [0, [1], 0]}), "outer.lr.*missing", id="a list for a number"),
        pytest.param(changed(outer={"lr": True}), "outer.lr.*missing", id="a truth for a number"),
        pytest.param(changed(outer={"lr": "-1"}), "outer.lr", id="negative rate"),
        pytest.param(changed(outer={"momentum": "1.5"}), "outer.momentum", id="more than one"),
        pytest.param(changed(outer={"rule": "mode"}), "outer.rule", id="unknown rule"),
        pytest.param(changed(outer={"hostile_share": "0.5"}), "outer.hostile_share", id="half of all hostile"),
        pytest.param(changed(codec="topk20", outer={"rule": "median"}), "outer.rule", id="median of sparse updates"),
        pytest.param(changed(sampler={"temperature": "warm"}), "not a decimal", id="a word for a number"),
        pytest.param(changed(sampler={"max_new_tokens": 10**6}), "sampler.max_new_tokens", id="endless completions"),
        pytest.param(changed(rollout={"group_size": 1}), "rollout.group_size", id="a group of one"),
        pytest.param(changed(recipe={"clip_high": "5.0"}), "clip_max must be at least", id="clips that cross"),
    ],
)
def test_impossible_spec_is_malformed(data: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse_spec(data)


def test_spec_from_before_there_were_rules_still_means_the_weighted_mean() -> None:
    value = SPEC.model_dump(mode="json")
    del value["outer"]["hostile_share"]
    outer = parse_spec(canonical_json(value)).outer
    assert (outer.rule, outer.hostile_share) == ("weighted_mean", 0.25)


@pytest.mark.parametrize(
    ("codec", "rule"),
    [
        (codec, rule)
        for codec in get_args(CodecName)
        for rule in get_args(RuleName)
        if not (codec.startswith("topk") and rule in COORDINATE_WISE)
    ],
)
def test_spec_takes_every_codec_and_rule_that_there_is(codec: str, rule: RuleName) -> None:
    spec = parse_spec(changed(codec=codec, outer={"rule": rule}))
    assert codec_named(spec.codec).name == codec and Rule(spec.outer.rule).name == rule
