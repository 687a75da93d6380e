"""The one maker of submissions, of their cases and of what judges them: for tests, cheats, fuzzing and benchmarks.

Rollouts, proofs, training and files are the trainer's own functions; a case is what a true header says.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from assay_core.bundle.directory import build_bundle, open_bundle, write_atomically
from assay_core.bundle.header import SubmissionHeader
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.rollouts import ROLLOUTS_NAME, rollouts_bytes
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments.interface import Environment
from assay_core.policy import load_policy
from assay_core.policy.interface import Policy
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, Root, Seed, TaskId
from assay_core.training.inner import PseudoGradient, run_inner_steps
from assay_core.training.states import InnerState, write_state
from assay_core.training.trace import StepTrace
from assay_protocol.calibration.dishonest import whitewashed
from assay_trainer.adversaries import Adversary
from assay_trainer.inner import write_training
from assay_trainer.submission_builder import Policies, SubmissionBuilder
from assay_trainer.submit import header_of
from assay_trainer.tasks import Assignment
from assay_verifier.case import Case, case_from_header
from assay_verifier.judge import Judgement, judge
from tests.fakes import Notes

TRAINER = Address("0x00000000000000000000000000000000000000A1")
TASK = TaskId(1)
TASK_SEED = Seed(hashlib.sha256(b"task").digest())
SPEC_ROOT = Root(hashlib.sha256(b"spec").digest())
POLICY_ROOT = Root(hashlib.sha256(b"policy").digest())  # of a policy that is never written
MAX_STALENESS = 2

Tamper = Callable[[Path], None]


@dataclass(frozen=True)
class Draft:
    """A submission before it is written. `tamper` may change its files before they are hashed, `forge` after that."""

    header: SubmissionHeader
    rollouts: Rollouts
    update: PseudoGradient
    trace: tuple[StepTrace, ...]
    states: tuple[InnerState, ...] = ()  # where submissions are replayed step by step
    tamper: Tamper | None = None
    forge: Tamper | None = None


def trained(policy: Policy, rollouts: Rollouts, spec: TaskSpec, header: SubmissionHeader) -> Draft:
    """A submission whose training is as the recipe says."""
    states: list[InnerState] = []
    result = run_inner_steps(policy, rollouts, spec, header.seed, on_state=lambda number, state: states.append(state))
    kept = tuple(states) if spec.checks.replay == "steps" else ()
    return Draft(header, rollouts, result.pseudo_gradient, result.trace, kept)


def reproved(policy: Policy, rollouts: Rollouts, spec: TaskSpec) -> Rollouts:
    """The same rows with proofs of what `policy` makes of their tokens."""
    washed = zip(rollouts.completions, whitewashed(policy, rollouts, spec).completions, strict=True)
    return Rollouts(rollouts.group_size, tuple(replace(row, proofs=other.proofs) for row, other in washed))


def write(draft: Draft, spec: TaskSpec, folder: Path) -> Manifest:
    """Put a submission on disk, as its trainer would commit to it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ROLLOUTS_NAME, rollouts_bytes(draft.rollouts))
    for number, state in enumerate(draft.states):
        write_state(folder, number, state)
    write_training(folder, draft.update, draft.trace, spec)
    if draft.tamper is not None:
        draft.tamper(folder)
    manifest = build_bundle(folder, BundleKind.SUBMISSION, draft.header.fields())
    if draft.forge is not None:
        draft.forge(folder)
    return manifest


def case_of(header: SubmissionHeader, spec: TaskSpec, manifest_root: Root, epoch_seed: Seed | None = None) -> Case:
    """What the chain says of a submission whose true header this is. Every one is replayed; no seed: all is checked."""
    return replace(case_from_header(header, spec, manifest_root), epoch_seed=epoch_seed, max_staleness=MAX_STALENESS)


@dataclass(frozen=True)
class LoadedContext:
    """A judge's context: one policy, already loaded, whatever its root."""

    loaded: Policy
    task_environment: Environment

    def policy(self, root: Root) -> Policy:
        return self.loaded

    def environment(self) -> Environment:
        return self.task_environment


class OnePolicy:
    """A transport and a judge's context in one: there is one policy, in a folder."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder, self._environment = folder, environment
        self.manifest = build_bundle(folder, BundleKind.POLICY, {})
        self._loaded = load_policy(folder)

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        open_bundle(self.folder, limits, root)
        return self.folder

    def policy(self, root: Root) -> Policy:
        assert root == self.manifest.root
        return self._loaded

    def environment(self) -> Environment:
        return self._environment


def build(
    context: OnePolicy, spec: TaskSpec, assignment: Assignment, folder: Path, adversary: Adversary | None = None
) -> Manifest:
    """By the trainer's own builder, which loads the policy for itself."""
    policies, stop = Policies(context, load_policy), threading.Event()
    builder = SubmissionBuilder(spec, SPEC_ROOT, policies, context.environment(), Notes(), stop, adversary)
    return builder.make(assignment, folder)


def judged(
    context: OnePolicy,
    spec: TaskSpec,
    assignment: Assignment,
    folder: Path,
    manifest: Manifest,
    epoch_seed: Seed | None = None,
) -> Judgement:
    """What was built for an assignment, from its files on."""
    case = case_of(header_of(assignment, SPEC_ROOT), spec, manifest.root, epoch_seed)
    return judge(case, context, folder, open_bundle(folder, BundleLimits(spec.limits.submission_bytes), manifest.root))
