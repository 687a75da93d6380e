"""The measures of a replay: direction and length of the whole, the largest elements alone, AdamW's moments."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay_core.aggregation.codecs import codec_named
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import CheckSpec
from assay_core.training.states import InnerState
from assay_verifier.checks.replay import (
    NAME_CHOICE,
    NAME_DIRECTION,
    NAME_FIRST,
    NAME_LARGEST,
    NAME_LENGTH,
    NAME_SECOND,
    check,
    check_largest,
    check_moments,
    check_step,
    check_steps,
    compare,
)
from assay_verifier.verdict import Finding

LIMITS = CheckSpec()
Tensors = Mapping[str, npt.NDArray[np.float32]]


def update(seed: int = 1, sizes: Mapping[str, int] | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """As after some steps of AdamW: elements of about one size."""
    random = np.random.default_rng(seed)
    sizes = sizes or {"a": 150_000, "b": 50_000}
    return {name: (1e-3 * random.uniform(-4, 4, size)).astype(np.float32) for name, size in sizes.items()}


def with_few(tensors: Tensors, count: int, value: float) -> dict[str, npt.NDArray[np.float32]]:
    poisoned = tensors["a"].copy()
    poisoned[:count] = np.float32(value)
    return {**tensors, "a": poisoned}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_the_same_update_is_off_by_nothing() -> None:
    found = by_name(check(update(), update(), LIMITS))
    assert set(found) == {NAME_DIRECTION, NAME_LENGTH, NAME_LARGEST}
    assert all(abs(each.measured) < 1e-12 for each in found.values())


@pytest.mark.parametrize("count", [1, 4, 8])
def test_poison_in_a_few_elements_is_seen_by_the_largest_alone(count: int) -> None:
    honest = update()
    found = by_name(check(with_few(honest, count, -1e-2), honest, LIMITS))
    assert found[NAME_DIRECTION].reason is None and found[NAME_LENGTH].reason is None
    assert found[NAME_LARGEST].reason is Reason.REPLAY_MISMATCH
    assert found[NAME_LARGEST].evidence["claimed"] == repr(float(np.float32(-1e-2)))


def test_large_elements_left_out_are_seen_too() -> None:
    """The union holds our largest elements as well as the submission's."""
    honest = update()
    far = with_few(honest, 8, 8e-3)
    found = by_name(check(with_few(far, 8, 0.0), far, LIMITS))
    assert found[NAME_DIRECTION].reason is None
    assert found[NAME_LARGEST].reason is Reason.REPLAY_MISMATCH


def test_one_sign_that_noise_has_turned_among_equal_elements_passes() -> None:
    """After AdamW's first step all elements are equally large, and a gradient of almost zero has either sign."""
    equal = {"a": np.full(1_000, 1e-3, np.float32)}
    one = {"a": np.where(np.arange(1_000) == 3, -equal["a"], equal["a"])}
    found = check_largest(one, equal, LIMITS)
    assert found.reason is None and math.isclose(found.measured, 0.25)
    two = {"a": np.where(np.arange(1_000) < 2, -equal["a"], equal["a"])}
    assert check_largest(two, equal, LIMITS).reason is Reason.REPLAY_MISMATCH


small = st.floats(-1, 1, width=32, allow_subnormal=False)


@given(arrays(np.float32, 12, elements=small), arrays(np.float32, 12, elements=small), st.integers(1, 30))
def test_largest_are_those_that_sorting_finds(
    ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32], count: int
) -> None:
    def largest(values: npt.NDArray[np.float32]) -> set[int]:
        return set(np.argsort(-np.abs(values), kind="stable")[:count].tolist())

    places = sorted(largest(ours) | largest(theirs))
    error = np.linalg.norm((theirs.astype(np.float64) - ours)[places])
    length = np.linalg.norm(ours.astype(np.float64)[places])
    claimed, replayed = ({"a": each[:5].reshape(1, 5), "b": each[5:]} for each in (theirs, ours))
    found = check_largest(claimed, replayed, LIMITS.model_copy(update={"replay_topk": count})).measured
    assert found == pytest.approx(error / length if length else (math.inf if error else 0.0), rel=1e-9)


def test_of_a_sparse_update_the_largest_are_those_that_it_keeps() -> None:
    codec, honest = codec_named("topk20"), update()
    received = {name: codec.decode(codec.encode(value), value.shape) for name, value in honest.items()}
    found = by_name(list(compare(received, honest, codec, LIMITS)))
    assert set(found) == {NAME_CHOICE, NAME_DIRECTION, NAME_LENGTH, NAME_LARGEST}
    assert all(each.reason is None for each in found.values())
    assert found[NAME_LARGEST].measured == 0.0


# ---- moments


def state(scale: float = 1.0, small: float = 1e-5) -> InnerState:
    """One tensor has large gradients, the other a hundred thousandth of that: AdamW moves both alike."""
    random = np.random.default_rng(4)
    gradients = {"b": random.standard_normal(500), "a": small * random.standard_normal(500)}
    first = {name: (0.1 * scale * each).astype(np.float32) for name, each in gradients.items()}
    second = {name: (1e-3 * each**2).astype(np.float32) for name, each in gradients.items()}
    return InnerState({name: np.zeros(500, np.float32) for name in first}, first, second)


def test_moments_of_small_gradients_count_as_much_as_those_of_large_ones() -> None:
    honest = state()
    turned = InnerState(honest.parameters, {**honest.first, "a": -honest.first["a"]}, honest.second)
    plain_error = np.linalg.norm(2 * honest.first["a"]) / np.linalg.norm(honest.first["b"])
    assert plain_error < 1e-4
    found = by_name(check_moments(0, turned, honest, LIMITS))
    assert found[NAME_FIRST].reason is Reason.REPLAY_MISMATCH and found[NAME_FIRST].measured > 1
    assert found[NAME_SECOND].reason is None and found[NAME_SECOND].measured == 0.0


def test_second_moments_that_have_vanished_are_found() -> None:
    honest = state()
    none = InnerState(honest.parameters, honest.first, {**honest.second, "a": np.zeros(500, np.float32)})
    found = by_name(check_moments(0, none, honest, LIMITS))
    assert found[NAME_SECOND].reason is Reason.REPLAY_MISMATCH


def test_moments_where_ours_are_zero_are_off_by_everything() -> None:
    """An adapter's A has no gradient in the first step, because B is zero."""
    nothing = {"a": np.zeros(3, np.float32)}
    zero = InnerState(nothing, nothing, nothing)
    one = InnerState(nothing, {"a": np.full(3, 1e-3, np.float32)}, nothing)
    assert [each.measured for each in check_moments(0, zero, zero, LIMITS)] == [0.0, 0.0]
    assert by_name(check_moments(0, one, zero, LIMITS))[NAME_FIRST].measured == math.inf


@pytest.mark.parametrize(("turned", "passes"), [(1, True), (2, True), (16, False)])
def test_signs_that_noise_turns_in_a_small_adapters_first_step_decide_nothing(turned: int, passes: bool) -> None:
    count = 400
    start = {"a": np.zeros(count, np.float32)}
    gradient = np.random.default_rng(2).uniform(0.1, 1, count)
    sign = np.where(np.arange(count) < turned, -1, 1)

    def after(gradient: npt.NDArray[np.float64]) -> InnerState:
        parts = (-1e-3 * np.sign(gradient), 0.1 * gradient, 1e-3 * gradient**2)
        return InnerState(*[{"a": part.astype(np.float32)} for part in parts])

    strict = LIMITS.model_copy(update={"min_replay_cosine": 0.9999, "max_replay_topk_error": 0.6})
    found = list(check_step(0, start, after(sign * gradient), after(gradient), strict))
    assert all(each.reason is None for each in found) is passes


def test_of_several_steps_the_worst_is_told_and_a_failure_ends_it() -> None:
    start = {"a": np.zeros(500, np.float32), "b": np.zeros(500, np.float32)}
    states = [InnerState(update(step, {"a": 500, "b": 500}), state().first, state().second) for step in range(3)]
    taken: list[int] = []

    def repeat(number: int, before: InnerState | None) -> InnerState:
        taken.append(number)
        assert (before is None) == (number == 0)
        own = states[number]
        factor = np.float32(1 + (1e-3 if number == 1 else 0))
        begun = start if before is None else before.parameters
        moved = {
            name: np.asarray(begun[name] + factor * (value - begun[name]), np.float32)
            for name, value in own.parameters.items()
        }
        return InnerState(moved, own.first, own.second)

    found = by_name(list(check_steps([0, 1, 2], start, states.__getitem__, repeat, LIMITS)))
    assert taken == [0, 1, 2] and found[NAME_LENGTH].evidence["step"] == 1
    assert found[NAME_LENGTH].measured == pytest.approx(1e-3, rel=0.05)
    strict = LIMITS.model_copy(update={"max_replay_norm_error": 1e-4})
    assert [each.reason for each in check_steps([1, 2], start, states.__getitem__, repeat, strict)] == [
        Reason.REPLAY_MISMATCH
    ]
    assert taken == [0, 1, 2, 1]
