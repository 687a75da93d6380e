"""Rolling out, proving, training: each step by itself."""

from pathlib import Path

import numpy as np
import pytest

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import read_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import Prompt, make_environment
from assay_core.policy import Policy, load_policy
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Seed
from assay_core.toploc import Hidden, check_all
from assay_core.training.inner import run_inner_steps
from assay_core.training.seeding import uniforms
from assay_core.training.trace import parse_trace
from assay_trainer import rollout
from assay_trainer.inner import train
from assay_trainer.prover import prove
from assay_trainer.rollout import Unproved, roll_out
from tests.unit.trainer.ground import SPEC

SEED = Seed(bytes(range(32)))


@pytest.fixture(scope="module")
def policy(policy_folder: Path) -> Policy:
    return load_policy(policy_folder)


@pytest.fixture(scope="module")
def unproved(policy: Policy) -> list[Unproved]:
    return [row for batch in roll_out(policy, make_environment(SPEC.environment), SPEC, SEED) for row in batch]


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -0.1, 1.5])
def test_reward_that_is_no_number_from_0_to_1_is_told_before_anything_is_sent(policy: Policy, reward: float) -> None:
    sorting = make_environment(SPEC.environment)

    class Broken:
        def prompt(self, seed: Seed, index: int) -> Prompt:
            return sorting.prompt(seed, index)

        def reward(self, prompt: Prompt, completion: str) -> float:
            return reward

    with pytest.raises(Malformed, match=f"the environment gives a completion the reward {reward}"):
        list(roll_out(policy, Broken(), SPEC, SEED))


def rollouts_of(unproved: list[Unproved]) -> Rollouts:
    return Rollouts(4, tuple(prove(unproved, SPEC.toploc)))


def test_rows_come_by_group_and_member_with_the_prompts_of_the_seed(policy: Policy, unproved: list[Unproved]) -> None:
    environment = make_environment(SPEC.environment)
    assert [row.completion.group for row in unproved] == [group for group in range(4) for _ in range(4)]
    for row in unproved:
        prompt = environment.prompt(SEED, row.completion.group)
        assert row.completion.prompt_ids == tuple(policy.encode(prompt.text))
        answer = policy.decode(row.completion.completion_ids)
        assert row.completion.reward == environment.reward(prompt, answer)


def test_every_token_is_the_one_that_its_uniform_draws(policy: Policy, unproved: list[Unproved]) -> None:
    rows = [row.completion for row in unproved]
    prefills = policy.prefill([r.prompt_ids for r in rows], [r.completion_ids for r in rows], SPEC.sampler)
    for position, (row, prefill) in enumerate(zip(rows, prefills, strict=True)):
        drawn = uniforms([derive(SEED, "sample", row.group, position % 4)], 5)[0, : len(row.completion_ids)]
        assert (prefill.cdf_below_T <= drawn + 1e-5).all()
        assert (drawn <= prefill.cdf_upto_T + 1e-5).all()
        assert np.allclose(prefill.logprobs_T, row.logprobs_T, atol=1e-4)


def test_batches_do_not_change_what_is_drawn(
    policy: Policy, unproved: list[Unproved], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "BATCH_COMPLETIONS", 4)
    batches = list(roll_out(policy, make_environment(SPEC.environment), SPEC, SEED))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4]
    ids = [row.completion.completion_ids for batch in batches for row in batch]
    assert ids == [row.completion.completion_ids for row in unproved]


def test_proofs_hold_against_a_prefill_of_the_same_policy(policy: Policy, unproved: list[Unproved]) -> None:
    rows = rollouts_of(unproved).completions
    prefills = policy.prefill([r.prompt_ids for r in rows], [r.completion_ids for r in rows], SPEC.sampler)
    hidden = [Hidden(p.hidden_NH, len(r.prompt_ids)) for p, r in zip(prefills, rows, strict=True)]
    distances = check_all(hidden, [r.proofs for r in rows], topk=SPEC.toploc.topk, chunk_tokens=32)
    assert all(each.within(SPEC.toploc) for sequence in distances for each in sequence)


def test_hidden_states_that_are_not_finite_cannot_be_proved(unproved: list[Unproved]) -> None:
    poisoned = Unproved(unproved[0].completion, np.full_like(unproved[0].hidden_NH, 0x7FC0))
    with pytest.raises(ValueError, match="not finite"):
        prove([poisoned], SPEC.toploc)


def test_training_leaves_an_update_and_a_trace(policy: Policy, unproved: list[Unproved], tmp_path: Path) -> None:
    rollouts = rollouts_of(unproved)
    steps = train(policy, rollouts, SPEC, SEED, tmp_path)
    assert parse_trace((tmp_path / "trace/steps.json").read_bytes(), 2, 4) == steps
    expected = run_inner_steps(policy, rollouts, SPEC, SEED).pseudo_gradient
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})
    shapes = {name: tensor.shape for name, tensor in expected.items()}
    for name, tensor in read_update(tmp_path, manifest, shapes, codec_named(SPEC.codec)).items():
        assert np.abs(tensor - expected[name]).max() <= np.abs(expected[name]).max() / 200 + 1e-12
