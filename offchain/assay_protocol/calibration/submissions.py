"""Submissions for `assay calibrate`: made by the trainer's code, measured by the verifier's, on one policy and task.

Nothing is judged here: every measure is taken, whatever a threshold would say. Shapes: K buckets of a sketch.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch

from assay_core.aggregation.codecs import codec_named
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.environments.interface import Environment
from assay_core.policy import load_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.protocol.encoding import derive, trainer_seed
from assay_core.protocol.spec import CheckSpec, SamplerSpec, TaskSpec, parse_spec
from assay_core.protocol.types import Address, Epoch, Seed, TaskId
from assay_core.toploc import Hidden, check_all
from assay_core.training.inner import InnerResult, run_inner_steps
from assay_protocol.calibration.conditions import Condition, computing, under
from assay_protocol.calibration.dishonest import Tensors, moved, poisoned, quantised, whitewashed
from assay_protocol.calibration.thresholds import HONEST
from assay_trainer.prover import proved_rollouts
from assay_verifier.checks import replay, sampling, update
from assay_verifier.checks.duplicates import likeness, sketch
from assay_verifier.checks.prefilled import Prefilled, prefill_rollouts

TRAINER = Address("0x00000000000000000000000000000000000000A1")
TASK = TaskId(1)
PLAIN = Condition()
OPEN = CheckSpec(min_replay_cosine=0.0, max_replay_norm_error=1e9, max_replay_topk_error=1e9)  # stops nothing
NOT_A_HIDDEN_STATE = np.zeros((0, 0), np.uint16)

INT8, FOUR_BITS, OTHER_VERSION = "int8 weights", "4-bit weights", "another policy version"
COOLER, SMALLER = "a temperature of 0.9", "a 4-bit model's tokens, prefilled"
STEP_SKIPPED, OTHER_RATE = "one inner step skipped", "a learning rate 5 % higher"
POISON, COPY, TENFOLD = "a poison direction, a tenth as long", "a copy with half its length in noise", "tenfold"
SAMPLING_CHEATS = frozenset({COOLER, SMALLER})


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a process needs to open its context. `policy_folder` was written by ourselves."""

    policy_folder: str
    spec: bytes
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A submission before it is written."""

    seed: Seed
    rollouts: Rollouts
    result: InnerResult


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the checks measured. `values` are named as in `thresholds.py`; `checked` lacks the hidden
    states, which are large; `largest_shift` is of a drawn token's probability between the parties."""

    kind: str
    regime: str
    conditions: str
    values: dict[str, float]
    checked: tuple[Prefilled, ...] = ()
    largest_shift: float = 0.0
    norm: float | None = None
    sketch_K: npt.NDArray[np.float64] | None = None

    def doubt(self, checks: CheckSpec) -> float:
        """What the sampling test says under these parameters: -log10 of a p-value."""
        return sampling.check_tokens(self.checked, checks).measured

    def distances(self) -> npt.NDArray[np.float64]:
        return np.concatenate([np.nan_to_num(item.interval_errors_T, nan=1.0) for item in self.checked])


@lru_cache(maxsize=4)
def _load(folder: str) -> CausalPolicy:
    """Settings that differ in the spec alone share a policy, which may be large."""
    return load_policy(Path(folder))


@lru_cache(maxsize=8)
def open_context(setting: Setting) -> "CalibrationContext":
    """One per process and setting."""
    spec = parse_spec(setting.spec)
    task_seed = Seed(hashlib.sha256(b"assay calibrate %d" % setting.seed).digest())
    return CalibrationContext(_load(setting.policy_folder), make_environment(spec.environment), spec, task_seed)


@dataclass
class CalibrationContext:
    policy: CausalPolicy
    environment: Environment
    spec: TaskSpec
    task_seed: Seed
    rounded: dict[int, CausalPolicy] = field(default_factory=dict[int, CausalPolicy])

    # ---- honest submissions

    def seed(self, number: int) -> Seed:
        """Each submission is of an epoch of its own."""
        return trainer_seed(self.task_seed, TASK, Epoch(number), TRAINER)

    def make(self, number: int, condition: Condition) -> Made:
        """An honest submission by a machine under `condition`."""
        seed = self.seed(number)
        rollouts = self._roll_out(under(self.policy, condition), seed)
        return Made(seed, rollouts, self._train(rollouts, seed, condition))

    def honest(self, number: int, made: Condition, judged: Condition, regime: str) -> Measured:
        """Made by one honest machine, checked by another."""
        submission = self.make(number, made)
        claimed = self._received(submission.result.pseudo_gradient)
        prefilled = self._prefill(submission.rollouts, submission.seed, judged)
        ours = self._train(submission.rollouts, submission.seed, judged)
        values = self._prefill_values(prefilled) | self._replay_values(claimed, ours)
        own = sketch("own", submission.rollouts, claimed, self._sketch_seed())
        return Measured(
            HONEST, regime, f"{made} | {judged}", values, _light(prefilled), _largest_shift(prefilled),
            update.norm(claimed), own.update_K,
        )  # fmt: skip

    # ---- cheats, by parties that both compute in float32: where they show least

    def cheating_rollouts(self, number: int) -> Iterator[Measured]:
        """Another model's rollouts with true proofs of what ran; other tokens with true proofs of the right model."""
        seed = self.seed(number)
        trained = self._train(self._roll_out(self.policy, seed), seed, PLAIN).pseudo_gradient
        for kind, other in (
            (INT8, self._quantised(8)),
            (FOUR_BITS, self._quantised(4)),
            (OTHER_VERSION, moved(self.policy, trained)),
        ):
            yield self._rollouts_measured(kind, self._roll_out(other, seed), seed)
        cooler = self.spec.model_copy(update={"sampler": self._sampler(0.9 * self.spec.sampler.temperature)})
        for kind, rollouts in (
            (COOLER, self._roll_out(self.policy, seed, cooler)),
            (SMALLER, self._roll_out(self._quantised(4), seed)),
        ):
            yield self._rollouts_measured(kind, whitewashed(self.policy, rollouts, self.spec), seed)

    def cheating_updates(self, number: int) -> Iterator[Measured]:
        """Honest rollouts, and updates that are not what the recipe makes of them."""
        seed = self.seed(number)
        rollouts = self._roll_out(self.policy, seed)
        ours = self._train(rollouts, seed, PLAIN)
        honest, recipe = ours.pseudo_gradient, self.spec.recipe
        if not ours.trace:
            return  # nothing to learn in this submission, so nothing to cheat with
        generator = np.random.default_rng(int.from_bytes(derive(seed, "calibrate")[:8], "big"))
        made = {
            POISON: poisoned(honest, 0.1, generator),
            OTHER_RATE: self._trained(rollouts, seed, lr=1.05 * recipe.lr),
        }
        if recipe.inner_steps > 1:
            made[STEP_SKIPPED] = self._trained(rollouts, seed, inner_steps=recipe.inner_steps - 1)
        for kind, tensors in made.items():
            yield Measured(kind, "", "", self._replay_values(self._received(tensors), ours))
        copied = self._received(poisoned(honest, 0.5, generator))
        one = sketch("one", rollouts, self._received(honest), self._sketch_seed())
        other = replace(sketch("other", rollouts, copied, self._sketch_seed()), rollouts=b"")
        yield Measured(COPY, "", "", {"update_cosine": likeness(one, other)})

    # ---- parts

    def _roll_out(self, policy: CausalPolicy, seed: Seed, spec: TaskSpec | None = None) -> Rollouts:
        return proved_rollouts(policy, self.environment, spec or self.spec, seed)

    def _train(self, rollouts: Rollouts, seed: Seed, condition: Condition, spec: TaskSpec | None = None) -> InnerResult:
        with computing(condition.flags(), self.policy.backbone.module()):
            return run_inner_steps(under(self.policy, condition), rollouts, spec or self.spec, seed)

    def _trained(self, rollouts: Rollouts, seed: Seed, **recipe: float) -> Tensors:
        spec = self.spec.model_copy(update={"recipe": self.spec.recipe.model_copy(update=recipe)})
        return self._train(rollouts, seed, PLAIN, spec).pseudo_gradient

    def _prefill(self, rollouts: Rollouts, seed: Seed, condition: Condition) -> list[Prefilled]:
        everything = range(len(rollouts.completions))
        return prefill_rollouts(under(self.policy, condition), rollouts, everything, self.spec, seed)

    def _rollouts_measured(self, kind: str, rollouts: Rollouts, seed: Seed) -> Measured:
        prefilled = self._prefill(rollouts, seed, PLAIN)
        values = {} if kind in SAMPLING_CHEATS else self._prefill_values(prefilled)
        return Measured(kind, "", "", values, _light(prefilled))

    def _prefill_values(self, prefilled: Sequence[Prefilled]) -> dict[str, float]:
        toploc = self.spec.toploc
        found = check_all(
            [Hidden(item.prefill.hidden_NH, len(item.row.prompt_ids)) for item in prefilled],
            [item.row.proofs for item in prefilled],
            topk=toploc.topk,
            chunk_tokens=toploc.chunk_tokens,
        )
        proofs = [distance for each in found for distance in each]
        return {
            "exponent_mismatches": float(max(each.exponent_mismatches for each in proofs)),
            "mantissa_mean": max(each.mantissa_mean for each in proofs),
            "mantissa_median": max(each.mantissa_median for each in proofs),
            "submission_mantissa_mean": fmean(each.mantissa_mean for each in proofs),
            "logprob_error": sampling.check_logprobs(prefilled, OPEN).measured,
        }

    def _replay_values(self, claimed: Tensors, ours: InnerResult) -> dict[str, float]:
        codec = codec_named(self.spec.codec)
        found = {each.check: each.measured for each in replay.compare(claimed, ours.pseudo_gradient, codec, OPEN)}
        lengths = [found[name] for name in (replay.NAME_LENGTH, replay.NAME_CHOICE) if name in found]
        values = {"replay_turn": max(0.0, found[replay.NAME_DIRECTION])}
        values |= {"replay_norm_error": max(lengths)} if lengths else {}
        return values | ({"replay_topk_error": found[replay.NAME_LARGEST]} if replay.NAME_LARGEST in found else {})

    def _received(self, tensors: Tensors) -> Tensors:
        return replay.through_codec(tensors, codec_named(self.spec.codec))

    def _sketch_seed(self) -> Seed:
        return derive(self.task_seed, "sketches")

    def _sampler(self, temperature: float) -> SamplerSpec:
        return self.spec.sampler.model_copy(update={"temperature": temperature})

    def _quantised(self, bits: int) -> CausalPolicy:
        if bits not in self.rounded:
            self.rounded[bits] = quantised(self.policy, bits)
        return self.rounded[bits]


def _light(prefilled: Sequence[Prefilled]) -> tuple[Prefilled, ...]:
    return tuple(
        replace(
            item, row=replace(item.row, proofs=()), prefill=replace(item.prefill, hidden_NH=NOT_A_HIDDEN_STATE)
        )
        for item in prefilled
    )  # fmt: skip


def _largest_shift(prefilled: Sequence[Prefilled]) -> float:
    return max(
        float(np.abs(np.exp(item.row.logprobs_T.astype(np.float64)) - np.exp(item.prefill.logprobs_T)).max())
        for item in prefilled
    )


# ---- jobs for processes


@dataclass(frozen=True, slots=True)
class Job:
    """One honest submission, or one of each cheat of rollouts or of updates."""

    number: int
    what: str = HONEST
    made: Condition = PLAIN
    judged: Condition = PLAIN
    regime: str = ""


def run_job(setting: Setting, job: Job) -> list[Measured]:
    """Make and judge what one job asks for, in a process of its own."""
    context = open_context(setting)
    if job.what == HONEST:
        return [context.honest(job.number, job.made, job.judged, job.regime)]
    make: Callable[[int], Iterator[Measured]] = (
        context.cheating_rollouts if job.what == "rollouts" else context.cheating_updates
    )
    return list(make(job.number))


def start_process(threads: int) -> None:
    """First thing in each process."""
    torch.set_num_threads(threads)
