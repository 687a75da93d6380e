"""An honest trainer of tests: makes submissions of a tiny task, whole and true, for tests to break in one place."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from assay_core.bundle.header import SubmissionHeader
from assay_core.bundle.manifest import Manifest
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Epoch, PolicyVersion, Root, Seed
from assay_trainer.prover import proved_rollouts
from assay_verifier.case import Case
from assay_verifier.judge import Judgement, judge
from tests.submissions import (
    SPEC_ROOT,
    TASK,
    TASK_SEED,
    TRAINER,
    Draft,
    LoadedContext,
    Tamper,
    case_of,
    reproved,
    trained,
    write,
)

SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=4),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=4, lr=1e-3),
)
EPOCH_SEED = Seed(hashlib.sha256(b"epoch").digest())
SEED = trainer_seed(TASK_SEED, TASK, Epoch(0), TRAINER)


@dataclass(frozen=True)
class Bundle:
    """A submission on disk."""

    directory: Path
    manifest: Manifest


def plain_case(spec: TaskSpec, manifest_root: Root, policy_root: Root) -> Case:
    """The first submission of task 1, epoch 0, by TRAINER."""
    return case_of(first_header(policy_root), spec, manifest_root, EPOCH_SEED)


def first_header(policy_root: Root, seed: Seed = SEED) -> SubmissionHeader:
    return SubmissionHeader(TASK, Epoch(0), TRAINER, PolicyVersion(0), policy_root, seed, SPEC_ROOT, {"assay": "0.1"})


@dataclass
class HonestTrainer:
    """Rolls out, proves, trains and writes as the protocol asks; each step can be replaced."""

    spec: TaskSpec
    policy: Policy
    policy_root: Root
    folder: Path
    environment: Environment
    seed: Seed = SEED
    written: int = 0

    def roll_out(
        self, policy: Policy | None = None, spec: TaskSpec | None = None, seed: Seed | None = None
    ) -> Rollouts:
        return proved_rollouts(policy or self.policy, self.environment, spec or self.spec, seed or self.seed)

    def prove(self, rollouts: Rollouts) -> Rollouts:
        return reproved(self.policy, rollouts, self.spec)

    def header(self) -> SubmissionHeader:
        return first_header(self.policy_root, self.seed)

    def parts(self, rollouts: Rollouts | None = None) -> Draft:
        return trained(self.policy, rollouts or self.roll_out(), self.spec, self.header())

    def write(self, parts: Draft, tamper: Tamper | None = None) -> Bundle:
        """`tamper` may change the files before they are hashed: what a cheat would commit to."""
        self.written += 1
        directory = self.folder / f"submission-{self.written}"
        return Bundle(directory, write(replace(parts, tamper=tamper), self.spec, directory))

    def case(self, bundle: Bundle) -> Case:
        return plain_case(self.spec, bundle.manifest.root, self.policy_root)

    def judge(self, parts: Draft, tamper: Tamper | None = None, case: Case | None = None) -> Judgement:
        bundle = self.write(parts, tamper)
        return judge(
            case or self.case(bundle), LoadedContext(self.policy, self.environment), bundle.directory, bundle.manifest
        )
