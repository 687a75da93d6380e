"""States between inner steps: one step repeated is the step that was taken, and strangers' files are checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.policy import Policy, initial_policy
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.types import Seed
from assay_core.training.inner import repeat_inner_step, run_inner_steps, state_digest
from assay_core.training.states import InnerState, read_state, state_name, states_bytes, write_state
from assay_core.training.trace import StepTrace
from tests.unit.training.test_inner import SEED, SPEC, roll_out

START = {"kind": "tiny", "layers": 1, "width": 16, "heads": 2, "warmup": {"steps": 0}}
ADAPTER = {"rank": 2, "alpha": 4, "targets": ["blocks.*"]}
STEPS = SPEC.recipe.inner_steps


@pytest.fixture(scope="module", params=[None, ADAPTER], ids=["all weights", "adapter"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return initial_policy(START | {"adapter": request.param}, Seed(bytes(32)))


def run_with_states(policy: Policy) -> tuple[list[InnerState], tuple[StepTrace, ...]]:
    states: list[InnerState] = []
    result = run_inner_steps(
        policy, roll_out(policy, 3), SPEC, SEED, on_state=lambda number, state: states.append(state)
    )
    last = {name: value.detach().numpy() - states[-1].parameters[name] for name, value in policy.trainable().items()}
    assert all(np.array_equal(result.pseudo_gradient[name], last[name]) for name in last)
    return states, result.trace


def assert_same(one: InnerState, other: InnerState) -> None:
    for parts in ((one.parameters, other.parameters), (one.first, other.first), (one.second, other.second)):
        assert list(parts[0]) == list(parts[1])
        assert all(np.array_equal(parts[0][name], parts[1][name]) for name in parts[0])


def test_each_step_repeated_from_the_state_before_it_gives_the_same_bits(policy: Policy) -> None:
    rollouts, (states, _) = roll_out(policy, 3), run_with_states(policy)
    before = state_digest(policy.trainable())
    for number in range(STEPS):
        again = repeat_inner_step(policy, rollouts, SPEC, SEED, number, states[number - 1] if number else None)
        assert_same(again, states[number])
    assert state_digest(policy.trainable()) == before
    assert all(parameter.grad is None for parameter in policy.trainable().values())


def test_the_trace_names_the_states(policy: Policy) -> None:
    states, trace = run_with_states(policy)
    assert [state.digest() for state in states] == [step.state for step in trace]


def test_a_step_that_diverges_is_told(policy: Policy) -> None:
    rollouts, (states, _) = roll_out(policy, 3), run_with_states(policy)
    mad = {name: np.full_like(value, 2.0**60) for name, value in states[0].parameters.items()}
    with pytest.raises(MalformedUpdate, match="inner step 1"):
        repeat_inner_step(policy, rollouts, SPEC, SEED, 1, InnerState(mad, states[0].first, states[0].second))


# ---- files

SHAPES = {"blocks.0.up.lora_a": (2, 3), "norm": (3,), "one": ()}


def state_of(random: np.random.Generator) -> InnerState:
    parts = [{name: random.random(shape).astype(np.float32) for name, shape in SHAPES.items()} for _ in range(3)]
    return InnerState(*parts)


def written(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> InnerState:
    """Write a state, change its tensors, read it through a manifest that is true of it."""
    write_state(folder, 0, state_of(np.random.default_rng(3)))
    path = folder / state_name(0)
    save_file(change(load_file(path)), path)
    return read_state(folder, build_bundle(folder, BundleKind.SUBMISSION, {}), 0, SHAPES)


def test_what_is_written_is_read_back_and_fits_its_bound(tmp_path: Path) -> None:
    state = state_of(np.random.default_rng(3))
    for number in range(3):
        write_state(tmp_path, number, state)
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})
    assert [entry.name for entry in manifest.files] == [state_name(number) for number in range(3)]
    assert manifest.size_bytes <= states_bytes(SHAPES, 3)
    assert_same(read_state(tmp_path, manifest, 2, SHAPES), state)
    with pytest.raises(MalformedUpdate, match="no file"):
        read_state(tmp_path, manifest, 3, SHAPES)


def with_number(name: str, value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(tensors: dict[str, Any]) -> dict[str, Any]:
        return {**tensors, name: np.full_like(tensors[name], value)}

    return change


def with_tensor(name: str, tensor: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(tensors: dict[str, Any]) -> dict[str, Any]:
        return {**tensors, name: tensor}

    return change


def without_moment(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tensors.items() if name != "norm#first"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(with_number("norm", np.nan), "NaN", id="not a number among the parameters"),
        pytest.param(with_number("norm#first", np.inf), "infinity", id="infinity among the first moments"),
        pytest.param(with_number("norm#second", -1e-9), "below zero", id="a second moment below zero"),
        pytest.param(with_number("one#second", np.nan), "NaN", id="not a number among the second moments"),
        pytest.param(without_moment, "lacks", id="missing"),
        pytest.param(with_tensor("more", np.zeros(2, "f")), "surplus", id="surplus"),
        pytest.param(with_tensor("norm", np.zeros(4, "f")), "norm", id="another shape"),
        pytest.param(with_tensor("norm", np.zeros(3, np.float64)), "norm", id="another type"),
        pytest.param(with_tensor("norm", np.zeros(2**16, "f")), "at most", id="too large"),
    ],
)
def test_impossible_state_is_malformed(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    with pytest.raises(MalformedUpdate, match=said):
        written(tmp_path, change)


def test_truncated_state_is_malformed(tmp_path: Path) -> None:
    write_state(tmp_path, 0, state_of(np.random.default_rng(3)))
    path = tmp_path / state_name(0)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(MalformedUpdate, match="not a safetensors file"):
        read_state(tmp_path, build_bundle(tmp_path, BundleKind.SUBMISSION, {}), 0, SHAPES)
