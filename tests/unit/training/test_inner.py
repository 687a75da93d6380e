"""Inner steps on the small policy: they learn what the rewards say, repeat themselves, and leave no trace behind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.policy import Policy, initial_policy
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training import inner
from assay_core.training.inner import run_inner_steps, state_digest
from assay_core.training.seeding import group_uniforms
from assay_core.training.trace import StepTrace

SEED = Seed(bytes(range(32)))
SPEC = TaskSpec(
    title="inner",
    environment=EnvironmentSpec(name="sorting"),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=3, groups_per_step=2, lr=1e-2),
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return initial_policy(
        {"kind": "tiny", "layers": 1, "width": 16, "heads": 2, "warmup": {"steps": 0}}, Seed(bytes(32))
    )


def roll_out(policy: Policy, rewarded: int) -> Rollouts:
    """A completion earns the share of its tokens that are `rewarded`."""
    rows: list[Completion] = []
    for group in range(4):
        prompt = policy.encode("31425"[group:] + "=")
        for drawn in policy.generate([prompt] * 4, group_uniforms(SEED, group, SPEC), SPEC.sampler):
            rows.append(
                Completion(
                    group=group,
                    prompt_index=group,
                    prompt_ids=tuple(prompt),
                    completion_ids=drawn.token_ids,
                    logprobs_T=drawn.logprobs_T,
                    finish=drawn.finish,
                    reward=drawn.token_ids.count(rewarded) / len(drawn.token_ids),
                    proofs=(),
                )
            )
    return Rollouts(4, tuple(rows))


def with_rewards(rollouts: Rollouts, reward: float) -> Rollouts:
    return Rollouts(4, tuple(replace(row, reward=reward) for row in rollouts.completions))


def logprob_of(policy: Policy, token: int) -> float:
    with torch.no_grad():
        logprobs, _ = policy.token_logprobs([policy.encode("31425=")], [(token,)], 1.0)
    return float(logprobs[0, 0])


def test_the_pseudo_gradient_points_from_after_to_before_so_that_descending_it_learns(policy: Policy) -> None:
    rollouts = roll_out(policy, rewarded=3)
    before = logprob_of(policy, 3)
    update = run_inner_steps(policy, rollouts, SPEC, SEED).pseudo_gradient
    assert list(update) == sorted(update) == list(policy.trainable())
    assert all(tensor.dtype == np.float32 for tensor in update.values())
    with torch.no_grad():
        for name, parameter in policy.trainable().items():
            parameter -= torch.from_numpy(update[name])
        learnt = logprob_of(policy, 3)
        for name, parameter in policy.trainable().items():
            parameter += torch.from_numpy(update[name])
    assert learnt > before + 0.05


def test_the_policy_is_left_as_it_was(policy: Policy) -> None:
    digest = state_digest(policy.trainable())
    result = run_inner_steps(policy, roll_out(policy, 3), SPEC, SEED)
    assert state_digest(policy.trainable()) == digest
    assert all(parameter.grad is None for parameter in policy.trainable().values())
    assert digest not in {step.state for step in result.trace}


def test_the_same_inputs_give_the_same_bits(policy: Policy) -> None:
    rollouts = roll_out(policy, 3)
    first, second = (run_inner_steps(policy, rollouts, SPEC, SEED) for _ in range(2))
    assert first.trace == second.trace
    for name, tensor in first.pseudo_gradient.items():
        assert np.array_equal(tensor, second.pseudo_gradient[name])


def test_the_trace_tells_each_step(policy: Policy) -> None:
    seen: list[int] = []
    result = run_inner_steps(policy, roll_out(policy, 3), SPEC, SEED, on_step=lambda number, _: seen.append(number))
    assert seen == [0, 1, 2]
    assert len({step.state for step in result.trace}) == 3
    assert all(step.gradient_norm > 0 for step in result.trace)
    assert set(result.trace[0].groups) | set(result.trace[1].groups) <= {0, 1, 2, 3}


def test_without_an_informative_group_the_update_is_zero(policy: Policy) -> None:
    result = run_inner_steps(policy, with_rewards(roll_out(policy, 3), 1.0), SPEC, SEED)
    assert result.trace == ()
    assert list(result.pseudo_gradient) == list(policy.trainable())
    assert not any(tensor.any() for tensor in result.pseudo_gradient.values())


def test_micro_batches_change_the_gradient_by_float_noise_only(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts = roll_out(policy, 3)
    whole = run_inner_steps(policy, rollouts, SPEC, SEED)
    monkeypatch.setattr(inner, "MICRO_BATCH_TOKENS", 20)
    parts = run_inner_steps(policy, rollouts, SPEC, SEED)
    assert parts.trace[0].loss == pytest.approx(whole.trace[0].loss, abs=1e-6)
    assert parts.trace[0].gradient_norm == pytest.approx(whole.trace[0].gradient_norm, rel=1e-4)


def test_a_gradient_that_is_not_finite_is_refused_and_the_policy_restored(policy: Policy) -> None:
    rows = roll_out(policy, 3).completions
    poisoned = Rollouts(4, tuple(replace(row, logprobs_T=row.logprobs_T * np.float32(np.nan)) for row in rows))
    digest = state_digest(policy.trainable())
    with pytest.raises(MalformedUpdate, match="not finite"):
        run_inner_steps(policy, poisoned, SPEC, SEED)
    assert state_digest(policy.trainable()) == digest


def test_anyone_who_stops_the_run_in_its_middle_finds_the_policy_restored(policy: Policy) -> None:
    digest = state_digest(policy.trainable())

    def interrupt(number: int, _: object) -> None:
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_inner_steps(policy, roll_out(policy, 3), SPEC, SEED, on_step=interrupt)
    assert state_digest(policy.trainable()) == digest


def test_a_process_with_other_precision_flags_makes_the_same_update(policy: Policy) -> None:
    rollouts = roll_out(policy, rewarded=3)
    expected = run_inner_steps(policy, rollouts, SPEC, SEED).pseudo_gradient
    seen: list[str] = []

    def note(_number: int, _step: StepTrace) -> None:
        seen.append(torch.get_float32_matmul_precision())

    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = run_inner_steps(policy, rollouts, SPEC, SEED, on_step=note).pseudo_gradient
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {"highest"}
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
