"""The trace file: round trip, and every way to break it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.encoding import Json, canonical_json
from assay_core.protocol.errors import Malformed
from assay_core.training.trace import MAX_TRACE_BYTES, StepTrace, parse_trace, trace_bytes

FINITE = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.lists(
    st.builds(
        StepTrace,
        st.lists(st.integers(0, 7), min_size=1, max_size=8).map(tuple),
        FINITE,
        FINITE,
        st.binary(min_size=32, max_size=32),
    ),
    max_size=4,
)
HONEST: dict[str, Json] = {"gradient_norm": "1.5", "groups": [0, 1], "loss": "-0.25", "state": "ab" * 32}


@given(STEPS)
def test_what_is_written_is_read_back(steps: list[StepTrace]) -> None:
    assert parse_trace(trace_bytes(steps), max_steps=4, groups=8) == tuple(steps)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(HONEST | {"loss": "nan"}, id="loss is not a number"),
        pytest.param(HONEST | {"loss": "inf"}, id="infinite loss"),
        pytest.param(HONEST | {"loss": "-0.250"}, id="decimal not in its one form"),
        pytest.param(HONEST | {"loss": " -0.25"}, id="decimal with a space"),
        pytest.param(HONEST | {"loss": "x"}, id="no decimal"),
        pytest.param(HONEST | {"loss": 1}, id="integer for a decimal"),
        pytest.param(HONEST | {"gradient_norm": "1" * 40}, id="too long a decimal"),
        pytest.param(HONEST | {"groups": []}, id="empty batch"),
        pytest.param(HONEST | {"groups": [2]}, id="group that does not exist"),
        pytest.param(HONEST | {"groups": [-1]}, id="negative group"),
        pytest.param(HONEST | {"groups": [True]}, id="boolean for a group"),
        pytest.param(HONEST | {"groups": [0, 0, 0]}, id="batch larger than all groups"),
        pytest.param(HONEST | {"groups": "01"}, id="groups not a list"),
        pytest.param(HONEST | {"state": "AB" * 32}, id="upper-case digest"),
        pytest.param(HONEST | {"more": 1}, id="surplus field"),
        pytest.param({"loss": "1.0"}, id="missing fields"),
        pytest.param([], id="step is a list"),
    ],
)
def test_a_malformed_step_is_refused(row: Json) -> None:
    with pytest.raises(Malformed):
        parse_trace(canonical_json({"steps": [row]}), max_steps=4, groups=2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="no steps"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"steps":{}}', id="steps not a list"),
        pytest.param(b'{"steps": []}', id="not canonical"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(canonical_json({"steps": [HONEST] * 5}), id="more steps than the recipe has"),
    ],
)
def test_a_malformed_trace_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_trace(data, max_steps=4, groups=2)


def test_a_trace_above_the_limit_is_not_parsed() -> None:
    with pytest.raises(Malformed, match="exceed"):
        parse_trace(b" " * (MAX_TRACE_BYTES + 1), max_steps=4, groups=2)


def test_a_trace_longer_than_its_recipe_can_fill_is_not_parsed() -> None:
    fullest = {"gradient_norm": repr(-1.2345678901234567e-300), "groups": [99] * 100, "loss": repr(-5e-324)}
    data = canonical_json({"steps": [{**fullest, "state": "ab" * 32}] * 9})
    assert len(parse_trace(data, max_steps=9, groups=100)) == 9
    with pytest.raises(Malformed, match="exceed"):
        parse_trace(b'{"steps":[' + b"[]," * 10_000, max_steps=9, groups=100)
