"""Where cheats are tried: one small task, its policies, an honest trainer that works with the real trainer's parts, and
a judge. Everything follows from the number of the run.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from eth_utils.address import to_checksum_address

from assay_core.bundle.directory import open_bundle, read_manifest
from assay_core.bundle.header import SubmissionHeader
from assay_core.bundle.manifest import BundleLimits
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.environments import Environment, make_environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import Json, derive, trainer_seed
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    BPS,
    Address,
    Epoch,
    PolicyVersion,
    Root,
    Seed,
    SubmissionIndex,
)
from assay_core.training.inner import OnStep, PseudoGradient, run_inner_steps
from assay_core.training.trace import StepTrace
from assay_protocol.calibration.dishonest import whitewashed
from assay_protocol.task_file import load_task_file
from assay_trainer.prover import proved_rollouts
from assay_verifier.case import Case
from assay_verifier.checks.duplicates import Sketch
from assay_verifier.judge import Judgement, judge, malformed, sketch_submission
from tests.submissions import (
    POLICY_ROOT,
    SPEC_ROOT,
    TASK,
    TASK_SEED,
    TRAINER,
    Draft,
    LoadedContext,
    case_of,
    trained,
    write,
)

COLLEAGUE = Address(to_checksum_address("0x" + "b2" * 20))
VERSION = PolicyVersion(1)
EARLIER = 1_000  # run + EARLIER stands for the epoch before that of a run

# Thresholds for trainers that compute in float32, as ours do: those that users of the example run with, from
# `assay calibrate`. Those of the noise of bfloat16 are the defaults.
EXAMPLE = load_task_file(Path(__file__).parents[2] / "examples" / "sorting.toml").spec
SPEC = TaskSpec(
    title="sort four digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 4, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=16, group_size=4),
    recipe=RecipeSpec(inner_steps=4, groups_per_step=8, lr=1e-3),
    toploc=EXAMPLE.toploc,
    checks=EXAMPLE.checks,
)
ADAPTER: Json = {"rank": 2, "alpha": 4, "targets": ["blocks.*"]}
# Where little is sampled: of the submissions replayed, and of a submission's completions prefilled.
QUARTER_BPS = BPS // 4


@dataclass
class Scene:
    """The task. `policy` is the current one, `past` the version before it, `small` a cheaper model.

    `trainer`: who makes submissions where nobody else is named.
    """

    policy: CausalPolicy
    past: CausalPolicy
    small: CausalPolicy
    spec: TaskSpec = SPEC
    environment: Environment = field(default_factory=lambda: make_environment(SPEC.environment))
    drafts: dict[tuple[int, Address], Draft] = field(default_factory=dict[tuple[int, Address], Draft])
    trainer: Address = TRAINER

    # ---- honest submission

    def seed(self, run: int, who: Address | None = None) -> Seed:
        """Each run is an epoch of its own."""
        return trainer_seed(TASK_SEED, TASK, Epoch(run), who or self.trainer)

    def roll_out(self, seed: Seed, policy: Policy | None = None, spec: TaskSpec | None = None) -> Rollouts:
        """With proofs that are true of whatever policy ran."""
        return proved_rollouts(policy or self.policy, self.environment, spec or self.spec, seed)

    def train(
        self,
        rollouts: Rollouts,
        seed: Seed,
        recipe: RecipeSpec | None = None,
        on_step: OnStep | None = None,
    ) -> tuple[PseudoGradient, tuple[StepTrace, ...]]:
        spec = self.spec if recipe is None else self.spec.model_copy(update={"recipe": recipe})
        result = run_inner_steps(self.policy, rollouts, spec, seed, on_step)
        return result.pseudo_gradient, result.trace

    def draft(self, run: int, rollouts: Rollouts | None = None, who: Address | None = None) -> Draft:
        """A submission trained as it should be, on the rollouts given or on honest ones."""
        who = who or self.trainer
        return trained(self.policy, rollouts or self.roll_out(self.seed(run, who)), self.spec, self.header(run, who))

    def header(self, run: int, who: Address) -> SubmissionHeader:
        seed = self.seed(run, who)
        return SubmissionHeader(TASK, Epoch(run), who, VERSION, POLICY_ROOT, seed, SPEC_ROOT, {"assay": "test"})

    def honest(self, run: int, who: Address | None = None) -> Draft:
        """What an honest trainer submits; the last few are remembered, since many cheats start from one."""
        who = who or self.trainer
        if (run, who) not in self.drafts:
            self.drafts[run, who] = self.draft(run, who=who)
            while len(self.drafts) > 8:
                self.drafts.pop(next(iter(self.drafts)))
        return self.drafts[run, who]

    # ---- what cheats need

    def whitewashed(self, rollouts: Rollouts) -> Rollouts:
        """The same tokens with what the declared policy says about them: true rewards, logprobs and proofs.

        What can be had by one prefill, so what a cheat that knows the checks would submit.
        """
        washed = whitewashed(self.policy, rollouts, self.spec)
        rows = tuple(replace(row, reward=self.reward(row)) for row in washed.completions)
        return Rollouts(rollouts.group_size, rows)

    def reward(self, row: Completion) -> float:
        """That of the environment, for the prompt that the row says it answers."""
        text = self.policy.decode(row.prompt_ids)
        prompt = replace(self.environment.prompt(Seed(bytes(32)), 0), text=text, data={"line": text.rstrip("=")})
        return self.environment.reward(prompt, self.policy.decode(row.completion_ids))

    def generator(self, run: int, purpose: str) -> np.random.Generator:
        """Randomness of a cheat's own."""
        return np.random.default_rng(int.from_bytes(derive(self.seed(run), purpose)[:8], "big"))

    # ---- the verdict

    def write(self, draft: Draft, folder: Path) -> Root:
        return write(draft, self.spec, folder).root

    def judge(
        self,
        folder: Path,
        root: Root,
        run: int,
        *,
        who: Address | None = None,
        quarter: bool = False,
        others: Sequence[Path] = (),
    ) -> Judgement:
        """Judge as the verifier does: everything, or the quarter that the epoch's seed draws.

        `others` are folders of submissions that the verifier has besides this one, of other trainers.
        """
        try:
            manifest = open_bundle(folder, BundleLimits(self.spec.limits.submission_bytes))
        except Malformed as error:
            return Judgement(malformed(str(error)))
        case = self.case(run, root, who or self.trainer, quarter=quarter)
        sketches = [self._sketch(other, number, case) for number, other in enumerate(others, start=1)]
        known = [each for each in sketches if each is not None]
        return judge(case, LoadedContext(self.policy, self.environment), folder, manifest, known)

    def case(self, run: int, root: Root, who: Address, *, quarter: bool) -> Case:
        spec = self.spec
        if quarter:
            few = spec.rollout.groups * spec.rollout.group_size // 4
            spec = spec.model_copy(update={"checks": spec.checks.model_copy(update={"completions_checked": few})})
        seed = derive(TASK_SEED, "epoch", run) if quarter else None
        case = case_of(self.header(run, who), spec, root, seed)
        return replace(case, sampling_bps=QUARTER_BPS) if quarter else case

    def _sketch(self, folder: Path, number: int, case: Case) -> Sketch | None:
        if case.epoch_seed is None:
            return None
        manifest = read_manifest(folder)
        other = replace(
            case, submission=replace(case.submission, index=SubmissionIndex(number), manifest_root=manifest.root)
        )
        return sketch_submission(other, self.policy, folder, manifest, case.epoch_seed)


@lru_cache(maxsize=4)
def make_scene(number: int = 0) -> Scene:
    """A policy that has learned a little, the version that one epoch of training makes of it, and a smaller one."""
    return _scene(number, SPEC)


@lru_cache(maxsize=4)
def make_step_wise_scene(number: int = 0) -> Scene:
    """The same task, learned through adapters; of a drawn submission one step is replayed."""
    checks = SPEC.checks.model_copy(update={"replay": "steps", "steps_replayed": 1})
    return _scene(number, SPEC.model_copy(update={"checks": checks}), adapter=ADAPTER)


def _scene(number: int, spec: TaskSpec, **parts: Json) -> Scene:
    torch.set_num_threads(1)
    environment = make_environment(SPEC.environment)
    start: dict[str, Json] = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, **parts}
    warmup: dict[str, Json] = {"steps": 60, "batch": 64}
    seed = Seed(hashlib.sha256(b"scene %d" % number).digest())
    past = initial_policy(start | {"warmup": warmup}, seed, environment)
    small = initial_policy(start | {"layers": 1, "width": 16, "warmup": warmup}, seed, environment)
    scene = Scene(copy.deepcopy(past), past, small, spec, environment)
    updates = [scene.train(scene.roll_out(each), each)[0] for each in (derive(seed, "first", n) for n in range(3))]
    descend(scene.policy, {name: np.mean([update[name] for update in updates], axis=0) for name in updates[0]})
    return scene


def descend(policy: Policy, pseudo_gradient: dict[str, npt.NDArray[np.float32]]) -> None:
    with torch.no_grad():
        for name, parameter in policy.trainable().items():
            parameter -= 0.7 * torch.from_numpy(pseudo_gradient[name])
