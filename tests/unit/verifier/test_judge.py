"""Honest submissions pass every check; each lie is caught by the check that is there for it, and scored as it
deserves.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from eth_utils.address import to_checksum_address

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.rollouts import ROLLOUTS_NAME
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.environments import Prompt, make_environment
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import EnvironmentSpec, SamplerSpec
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Root, Seed
from assay_core.training.inner import run_inner_steps
from assay_verifier.judge import Judgement, compare_with_peers, judge, malformed, unavailable
from assay_verifier.verdict import report_bytes
from tests.submissions import Draft, LoadedContext
from tests.unit.verifier.honest import HonestTrainer

OTHER = Address(to_checksum_address("0x" + "b2" * 20))


def with_row(parts: Draft, position: int, change: Callable[[Completion], Completion]) -> Draft:
    rows = list(parts.rollouts.completions)
    rows[position] = change(rows[position])
    return replace(parts, rollouts=Rollouts(parts.rollouts.group_size, tuple(rows)))


def outcome(judgement: Judgement) -> tuple[int, Reason | None]:
    return judgement.verdict.score, judgement.verdict.reason


def another_model(policy: Policy) -> Policy:
    other = copy.deepcopy(policy)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in other.trainable().values():
            parameter += 0.3 * parameter.std() * torch.randn(parameter.shape, generator=noise)
    return other


def test_honest_submission_is_worth_its_full_price(trainer: HonestTrainer) -> None:
    judgement = trainer.judge(trainer.parts())
    assert outcome(judgement) == (100, None)
    assert [finding.check for finding in judgement.verdict.findings] == [
        "bytes",
        "identity",
        "prompts",
        "termination",
        "rewards",
        "update norm",
        "update trace",
        "toploc",
        "sampling logprobs",
        "sampling tokens",
        "termination plausible",
        "replay direction",
        "replay length",
        "replay largest",
    ]
    assert all(finding.measured <= finding.threshold for finding in judgement.verdict.findings)


# ---- identity


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"trainer": OTHER}, id="another's submission copied"),
        pytest.param({"epoch": Epoch(1)}, id="another epoch"),
        pytest.param({"policy_version": PolicyVersion(1)}, id="another policy version"),
        pytest.param({"policy_root": Root(b"\x07" * 32)}, id="another policy"),
        pytest.param({"seed": Seed(b"\x07" * 32)}, id="a seed of its own"),
        pytest.param({"spec_root": Root(b"\x07" * 32)}, id="another task bundle"),
    ],
)
def test_submission_that_names_something_else_earns_nothing_and_is_no_fraud(
    trainer: HonestTrainer, changes: dict[str, object]
) -> None:
    parts = trainer.parts()
    header = replace(parts.header, **changes)  # pyright: ignore[reportArgumentType]
    assert outcome(trainer.judge(replace(parts, header=header))) == (0, Reason.WRONG_IDENTITY)


def test_stale_policy_earns_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    case = trainer.case(trainer.write(parts))
    assert outcome(trainer.judge(parts, case=replace(case, newest_version=PolicyVersion(2))))[0] == 100
    stale = replace(case, newest_version=PolicyVersion(3))
    assert outcome(trainer.judge(parts, case=stale)) == (0, Reason.STALE_POLICY)


def test_policy_that_was_not_yet_published_is_not_loaded(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    case = replace(trainer.case(trainer.write(parts)), policy_root=None)
    assert outcome(trainer.judge(parts, case=case)) == (0, Reason.WRONG_IDENTITY)


def test_units_that_are_not_the_groups_rolled_out_earn_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    case = trainer.case(trainer.write(parts))
    case = replace(case, submission=replace(case.submission, units=40))
    assert outcome(trainer.judge(parts, case=case)) == (0, Reason.WRONG_IDENTITY)


# ---- prompts, termination, rewards


def test_prompts_of_the_trainers_own_choice_are_fraud(trainer: HonestTrainer) -> None:
    """Rolled out on easier prompts, everything else consistent."""
    rollouts = trainer.roll_out(seed=Seed(b"\x05" * 32))
    assert outcome(trainer.judge(trainer.parts(rollouts))) == (255, Reason.WRONG_PROMPTS)


def cut(row: Completion) -> Completion:
    short = row.completion_ids[:1]
    return replace(row, completion_ids=short, logprobs_T=row.logprobs_T[:1], finish="length")


def test_completion_that_stops_early_earns_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    rows = parts.rollouts.completions
    longer = next(i for i, row in enumerate(rows) if len(row.completion_ids) > 1)
    assert outcome(trainer.judge(with_row(parts, longer, cut))) == (0, Reason.BAD_TERMINATION)


@pytest.mark.parametrize("finish", ["eos", "length"])
def test_finish_that_the_tokens_contradict_earns_nothing(trainer: HonestTrainer, finish: str) -> None:
    parts = trainer.parts()
    other = next(i for i, row in enumerate(parts.rollouts.completions) if row.finish != finish)
    changed = with_row(parts, other, lambda row: replace(row, finish=finish))  # pyright: ignore[reportArgumentType]
    assert outcome(trainer.judge(changed)) == (0, Reason.BAD_TERMINATION)


def test_tokens_after_the_end_of_sequence_earn_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    eos = trainer.policy.eos_id

    def go_on(row: Completion) -> Completion:
        return replace(row, completion_ids=(eos, *row.completion_ids[1:]), finish=row.finish)

    position = next(i for i, row in enumerate(parts.rollouts.completions) if len(row.completion_ids) > 1)
    assert outcome(trainer.judge(with_row(parts, position, go_on))) == (0, Reason.BAD_TERMINATION)


def test_invented_reward_is_fraud(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    judgement = trainer.judge(with_row(parts, 5, lambda row: replace(row, reward=1.0 if row.reward < 1 else 0.5)))
    assert outcome(judgement) == (255, Reason.WRONG_REWARD)
    assert judgement.verdict.findings[-1].evidence["group"] == 1


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -0.1, 1.5])
def test_environment_that_gives_no_number_from_0_to_1_costs_no_bond(trainer: HonestTrainer, reward: float) -> None:
    parts, honest = trainer.parts(), trainer.environment

    class Broken:
        def prompt(self, seed: Seed, index: int) -> Prompt:
            return honest.prompt(seed, index)

        def reward(self, prompt: Prompt, completion: str) -> float:
            return reward

    trainer.environment = Broken()
    judgement = trainer.judge(parts)
    assert outcome(judgement) == (0, Reason.WRONG_REWARD)
    assert "the environment gives completion 0 of group 0" in judgement.verdict.findings[-1].detail


def test_rewards_bent_within_the_tolerance_teach_nothing(trainer: HonestTrainer) -> None:
    """Normalised by their spread, equal rewards bent by 1e-6 would be advantages of the trainer's own choice."""
    never_solved = EnvironmentSpec(name="sorting", args={"digits": 7})
    trainer.spec = trainer.spec.model_copy(update={"environment": never_solved})
    trainer.environment = make_environment(never_solved)
    bend = trainer.spec.checks.reward_tolerance
    rollouts = trainer.roll_out()
    rows = [replace(row, reward=row.reward + (-bend, bend)[i % 2]) for i, row in enumerate(rollouts.completions)]
    parts = trainer.parts(Rollouts(rollouts.group_size, tuple(rows)))
    assert parts.trace == ()
    assert not any(tensor.any() for tensor in parts.update.values())
    assert outcome(trainer.judge(parts)) == (100, None)


def test_token_outside_of_the_vocabulary_is_malformed(trainer: HonestTrainer) -> None:
    parts = with_row(
        trainer.parts(),
        0,
        lambda row: replace(row, completion_ids=(10_000, *row.completion_ids[1:]), finish=row.finish),
    )
    assert outcome(trainer.judge(parts))[0] == 0


# ---- proofs and sampling


def test_rollouts_of_another_model_are_fraud(trainer: HonestTrainer) -> None:
    rollouts = trainer.roll_out(policy=another_model(trainer.policy))
    judgement = trainer.judge(trainer.parts(rollouts))
    assert outcome(judgement) == (255, Reason.PROOF_MISMATCH)
    assert "do not match the declared policy" in judgement.verdict.findings[-1].detail


def test_tokens_of_another_model_prefilled_through_the_right_one_are_fraud(trainer: HonestTrainer) -> None:
    """Proofs are true of the tokens; logprobs are those of the right model: only the seeded draw gives it away."""
    copied = trainer.roll_out(policy=another_model(trainer.policy))
    prefills = trainer.policy.prefill(
        [row.prompt_ids for row in copied.completions],
        [row.completion_ids for row in copied.completions],
        trainer.spec.sampler,
    )
    rows = tuple(
        replace(row, logprobs_T=prefill.logprobs_T.astype(np.float32))
        for row, prefill in zip(copied.completions, prefills, strict=True)
    )
    rollouts = trainer.prove(Rollouts(copied.group_size, rows))
    judgement = trainer.judge(trainer.parts(rollouts))
    assert outcome(judgement) == (255, Reason.SAMPLING_MISMATCH)
    assert judgement.verdict.findings[-1].check == "sampling tokens"


def test_another_temperature_is_fraud(trainer: HonestTrainer) -> None:
    cold = trainer.spec.model_copy(update={"sampler": SamplerSpec(temperature=0.3, max_new_tokens=4)})
    judgement = trainer.judge(trainer.parts(trainer.roll_out(spec=cold)))
    assert outcome(judgement) == (255, Reason.SAMPLING_MISMATCH)


def test_hand_picked_completion_is_fraud(trainer: HonestTrainer) -> None:
    """Group 0's best answer copied to all members, proved and scored honestly."""
    rollouts = trainer.roll_out()
    best = max(rollouts.group(0), key=lambda row: row.reward)
    rows = [replace(best, group=row.group, prompt_index=row.prompt_index) for row in rollouts.group(0)]
    picked = trainer.prove(Rollouts(rollouts.group_size, (*rows, *rollouts.completions[len(rows) :])))
    assert outcome(trainer.judge(trainer.parts(picked))) == (255, Reason.SAMPLING_MISMATCH)


def test_invented_logprobs_are_fraud(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    changed = with_row(parts, 2, lambda row: replace(row, logprobs_T=row.logprobs_T - np.float32(0.5)))
    judgement = trainer.judge(changed)
    assert outcome(judgement) == (255, Reason.SAMPLING_MISMATCH)
    assert judgement.verdict.findings[-1].check == "sampling logprobs"


def test_proof_of_another_completion_is_fraud(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    rows = parts.rollouts.completions
    twin = next(
        (i, j)
        for i, row in enumerate(rows)
        for j, other in enumerate(rows)
        if len(row.proofs) == len(other.proofs) and row.prompt_ids != other.prompt_ids
    )
    changed = with_row(parts, twin[0], lambda row: replace(row, proofs=rows[twin[1]].proofs))
    assert outcome(trainer.judge(changed)) == (255, Reason.PROOF_MISMATCH)


def test_truncated_proof_is_malformed(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    changed = with_row(parts, 0, lambda row: replace(row, proofs=(row.proofs[0][:-4], *row.proofs[1:])))
    assert outcome(trainer.judge(changed)) == (0, Reason.MALFORMED)


def test_missing_proofs_are_malformed(trainer: HonestTrainer) -> None:
    changed = with_row(trainer.parts(), 0, lambda row: replace(row, proofs=()))
    assert outcome(trainer.judge(changed)) == (0, Reason.MALFORMED)


# ---- update and replay


def test_altered_update_is_fraud_when_replayed(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    judgement = trainer.judge(replace(parts, update={name: -value for name, value in parts.update.items()}))
    assert outcome(judgement) == (255, Reason.REPLAY_MISMATCH)
    assert judgement.verdict.findings[-1].measured == pytest.approx(2, abs=0.1)


def test_update_of_skipped_steps_is_fraud_when_replayed(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    recipe = trainer.spec.recipe.model_copy(update={"inner_steps": 1})
    lazy = run_inner_steps(
        trainer.policy, parts.rollouts, trainer.spec.model_copy(update={"recipe": recipe}), trainer.seed
    )
    judgement = trainer.judge(replace(parts, update=lazy.pseudo_gradient))
    assert outcome(judgement) == (255, Reason.REPLAY_MISMATCH)


def test_update_of_zeros_is_fraud_when_replayed(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    zeros = {name: np.zeros_like(value) for name, value in parts.update.items()}
    assert outcome(trainer.judge(replace(parts, update=zeros))) == (255, Reason.REPLAY_MISMATCH)


def test_submission_that_is_not_sampled_is_not_replayed(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    altered = replace(parts, update={name: -value for name, value in parts.update.items()})
    case = replace(trainer.case(trainer.write(altered)), sampling_bps=0)
    assert outcome(trainer.judge(altered, case=case)) == (100, None)
    assert outcome(trainer.judge(altered, case=case.everything_checked())) == (255, Reason.REPLAY_MISMATCH)


def test_update_that_no_training_can_produce_is_fraud(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    judgement = trainer.judge(replace(parts, update={name: value * 100 for name, value in parts.update.items()}))
    assert outcome(judgement) == (255, Reason.BAD_UPDATE)


def test_not_a_number_in_the_update_earns_nothing(trainer: HonestTrainer) -> None:
    def poison(directory: Path) -> None:
        path = directory / "update" / "0000.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        data[start : start + 4] = np.float32("nan").tobytes()  # scales come first
        path.write_bytes(bytes(data))

    judgement = trainer.judge(trainer.parts(), poison)
    assert outcome(judgement) == (0, Reason.BAD_UPDATE)
    assert judgement.verdict.update_norm is None


def test_update_of_other_shapes_earns_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    flat = {name: value.reshape(-1) for name, value in parts.update.items()}
    assert outcome(trainer.judge(replace(parts, update=flat))) == (0, Reason.BAD_UPDATE)


def test_trace_of_other_batches_earns_nothing(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    turned = tuple(replace(step, groups=step.groups[::-1]) for step in parts.trace)
    assert outcome(trainer.judge(replace(parts, trace=turned))) == (0, Reason.BAD_UPDATE)
    assert outcome(trainer.judge(replace(parts, trace=parts.trace[:1]))) == (0, Reason.BAD_UPDATE)


# ---- bytes


def test_reward_that_is_not_a_number_is_malformed(trainer: HonestTrainer) -> None:
    changed = with_row(trainer.parts(), 3, lambda row: replace(row, reward=float("nan")))
    assert outcome(trainer.judge(changed)) == (0, Reason.MALFORMED)


def test_completion_longer_than_allowed_is_malformed(trainer: HonestTrainer) -> None:
    def lengthen(row: Completion) -> Completion:
        return replace(row, completion_ids=(1,) * 5, logprobs_T=np.zeros(5, np.float32), finish="length")

    assert outcome(trainer.judge(with_row(trainer.parts(), 3, lengthen))) == (0, Reason.MALFORMED)


def add_a_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello")


def drop_the_rollouts(folder: Path) -> None:
    (folder / ROLLOUTS_NAME).unlink()


def break_the_table(folder: Path) -> None:
    (folder / ROLLOUTS_NAME).write_bytes(b"PAR1")


def empty_the_trace(folder: Path) -> None:
    (folder / "trace/steps.json").write_bytes(b"{}")


def space_out_the_trace(folder: Path) -> None:
    (folder / "trace/steps.json").write_bytes(b'{"steps": []}')


@pytest.mark.parametrize(
    "tamper", [add_a_file, drop_the_rollouts, break_the_table, empty_the_trace, space_out_the_trace]
)
def test_bytes_that_are_no_submission_are_malformed(trainer: HonestTrainer, tamper: Callable[[Path], None]) -> None:
    assert outcome(trainer.judge(trainer.parts(), tamper)) == (0, Reason.MALFORMED)


def test_missing_update_earns_nothing(trainer: HonestTrainer) -> None:
    judgement = trainer.judge(trainer.parts(), lambda folder: (folder / "update/0000.safetensors").unlink())
    assert outcome(judgement) == (0, Reason.BAD_UPDATE)


def test_header_that_is_incomplete_is_malformed(trainer: HonestTrainer) -> None:
    bundle = trainer.write(trainer.parts())
    manifest = build_bundle(bundle.directory, BundleKind.SUBMISSION, {"task": 1})
    context = LoadedContext(trainer.policy, trainer.environment)
    assert outcome(judge(trainer.case(bundle), context, bundle.directory, manifest)) == (0, Reason.MALFORMED)


# ---- an epoch's submissions together


def test_update_far_larger_than_the_others_earns_nothing_and_is_no_fraud(trainer: HonestTrainer) -> None:
    honest = trainer.judge(trainer.parts()).verdict
    large = replace(honest, update_norm=(honest.update_norm or 0) * 30)
    compared = compare_with_peers([honest, honest, large], trainer.spec.checks.max_update_norm_ratio)
    assert report_bytes(compared) == bytes([100, 100, 0])
    assert compared[2].reason is Reason.BAD_UPDATE


def test_submissions_that_teach_nothing_do_not_make_outliers_of_those_that_do(trainer: HonestTrainer) -> None:
    honest = trainer.judge(trainer.parts()).verdict
    empty = replace(honest, update_norm=0.0)
    compared = compare_with_peers([empty, honest, empty], trainer.spec.checks.max_update_norm_ratio)
    assert report_bytes(compared) == bytes([100, 100, 100])


def test_what_was_refused_before_does_not_move_the_median(trainer: HonestTrainer) -> None:
    honest = trainer.judge(trainer.parts()).verdict
    tiny_frauds = [replace(honest, score=255, reason=Reason.REPLAY_MISMATCH, update_norm=1e-6)] * 5
    compared = compare_with_peers([*tiny_frauds, honest], trainer.spec.checks.max_update_norm_ratio)
    assert compared[-1].score == 100


def test_unreachable_and_impossible_submissions_are_no_fraud() -> None:
    assert report_bytes([unavailable("no relay has it"), malformed("its manifest is none")]) == bytes([254, 0])


def test_submission_without_an_informative_group_is_accepted_with_a_zero_update(trainer: HonestTrainer) -> None:
    never_solved = EnvironmentSpec(name="sorting", args={"digits": 7})
    trainer.spec = trainer.spec.model_copy(update={"environment": never_solved})
    trainer.environment = make_environment(never_solved)
    parts = trainer.parts()
    assert parts.trace == ()
    assert outcome(trainer.judge(parts)) == (100, None)


def test_judging_twice_gives_the_same_evidence(trainer: HonestTrainer) -> None:
    parts = trainer.parts()
    first, second = (trainer.judge(parts).verdict for _ in range(2))
    assert canonical_json(first.json()) == canonical_json(second.json())


def test_judging_a_small_submission_takes_well_under_two_seconds(trainer: HonestTrainer) -> None:
    rollout = trainer.spec.rollout.model_copy(update={"groups": 16, "group_size": 8})
    trainer.spec = trainer.spec.model_copy(update={"rollout": rollout})
    parts = trainer.parts()
    started_at = time.perf_counter()
    assert outcome(trainer.judge(parts)) == (100, None)
    assert time.perf_counter() - started_at < 2
