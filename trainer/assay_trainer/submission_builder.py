"""Makes one submission: rollouts, proofs, training, bundle; or goes on where an earlier process was stopped."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from assay_core.bundle.directory import write_atomically
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.rollouts import ROLLOUTS_NAME, RolloutLimits, parse_rollouts, read_rollouts, rollouts_bytes
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.daemon import stopping
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import StopFlag
from assay_core.environments.interface import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import Malformed, MalformedUpdate, Stop
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import PolicyVersion, Root
from assay_core.training.inner import PseudoGradient, run_inner_steps
from assay_core.training.trace import StepTrace
from assay_trainer.adversaries import Adversary
from assay_trainer.inner import InnerSteps, train
from assay_trainer.prover import prove
from assay_trainer.pulse import Pulse
from assay_trainer.rollout import roll_out
from assay_trainer.submit import finish_bundle
from assay_trainer.tasks import Assignment


class Fetcher(Protocol):
    """The part of a transport engine that gets bundles; see offchain/assay_core/transport/engine.py."""

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path: ...


class Policies:
    """Policies by root, fetched and verified; the last one stays loaded."""

    def __init__(self, fetcher: Fetcher, load: Callable[[Path], Policy]) -> None:
        self._fetcher = fetcher
        self._load = load
        self._held: tuple[Root, Policy] | None = None

    def get(self, root: Root, version: PolicyVersion, spec: TaskSpec) -> Policy:
        """Raises Unavailable: no relay has it now. Stop: what the chain names is no policy."""
        if self._held is None or self._held[0] != root:
            try:
                self._held = (root, self._load(self.fetch(root, spec)))
            except Malformed as error:
                raise Stop(
                    f"policy version {version} of this task is broken, nobody can train from it: {error}"
                ) from error
        return self._held[1]

    def fetch(self, root: Root, spec: TaskSpec) -> Path:
        """Its verified files. Raises Unavailable, Malformed."""
        return self._fetcher.fetch(root, BundleKind.POLICY, BundleLimits(spec.limits.policy_bytes))


class TrainingGroup(Protocol):
    """Several machines that take the inner steps of a submission together; see
    trainer/assay_trainer/group/leader.py.
    """

    @property
    def members(self) -> int:
        """How many took the last inner step."""
        ...

    def prepare(self, assignment: Assignment, spec: TaskSpec, spec_root: Root) -> None:
        """Called before the rollouts are made. Raises Unavailable."""
        ...

    def inner_steps(self, rollouts_file: Path) -> InnerSteps:
        """For the submission prepared last, whose rollouts are in this file."""
        ...


@dataclass(frozen=True, slots=True)
class SubmissionBuilder:
    """What it takes to make submissions of one task."""

    spec: TaskSpec
    spec_root: Root
    policies: Policies
    environment: Environment
    status: Status
    stop: StopFlag
    adversary: Adversary | None = None
    group: TrainingGroup | None = None
    pulse: Pulse = field(default_factory=Pulse)

    def make(self, assignment: Assignment, folder: Path) -> Manifest:
        """The submission of an assignment, as a whole bundle in `folder`.

        The same assignment gives the same bytes on one machine. Rollouts of an interrupted attempt are used again,
        anything after them is made again. Raises Interrupted, Unavailable; Stop: the policy is broken.
        """
        policy = self.policies.get(assignment.policy_root, assignment.policy_version, self.spec)
        if self.group is not None:
            self.group.prepare(assignment, self.spec, self.spec_root)
        folder.mkdir(parents=True, exist_ok=True)
        _keep_only(folder, ROLLOUTS_NAME)
        rollouts = self._found(folder)
        if rollouts is None:
            with self.pulse.timed("rollout", f"rolls out for epoch {assignment.epoch}"):
                rollouts = self._rolled_out(policy, assignment, folder)
        self.status(
            "rolled out",
            epoch=assignment.epoch,
            completions=len(rollouts.completions),
            tokens=rollouts.tokens,
            mean_reward=round(rollouts.mean_reward, 4),
        )
        with self.pulse.timed("training", f"trains for epoch {assignment.epoch}"):
            self._train(policy, rollouts, assignment, folder)
        return finish_bundle(folder, assignment, self.spec_root)

    def _found(self, folder: Path) -> Rollouts | None:
        try:
            return read_rollouts(folder / ROLLOUTS_NAME, RolloutLimits.of(self.spec))
        except FileNotFoundError:
            return None
        except (Malformed, OSError):  # a damaged disk: make them again
            (folder / ROLLOUTS_NAME).unlink(missing_ok=True)
            return None

    def _rolled_out(self, policy: Policy, assignment: Assignment, folder: Path) -> Rollouts:
        source = policy if self.adversary is None else self.adversary.policy_for_rollout(policy)
        try:
            rollouts = Rollouts(self.spec.rollout.group_size, tuple(self._completions(source, assignment)))
            data = rollouts_bytes(rollouts)
            parse_rollouts(data, RolloutLimits.of(self.spec))  # what others would refuse is refused here
        except (Malformed, ValueError) as error:  # prompts that it cannot read, activations that are not finite
            raise Stop(f"policy version {assignment.policy_version} cannot be rolled out: {error}") from error
        write_atomically(folder / ROLLOUTS_NAME, data)
        return rollouts

    def _completions(self, policy: Policy, assignment: Assignment) -> Iterator[Completion]:
        started, done = time.monotonic(), 0
        for batch in roll_out(policy, self.environment, self.spec, assignment.seed):
            yield from prove(batch, self.spec.toploc)
            done += len(batch)
            self.status(
                "rolling out", epoch=assignment.epoch, completions=done, seconds=round(time.monotonic() - started, 2)
            )
            self.pulse.worked()
            stopping.check(self.stop)

    def _train(self, policy: Policy, rollouts: Rollouts, assignment: Assignment, folder: Path) -> None:
        def report(step: int, trace: StepTrace) -> None:
            self.status(
                "inner step",
                epoch=assignment.epoch,
                step=step,
                loss=round(trace.loss, 6),
                gradient_norm=round(trace.gradient_norm, 6),
                **({} if self.group is None else {"members": self.group.members}),
            )
            self.pulse.worked()
            stopping.check(self.stop)

        def submitted(update: PseudoGradient) -> PseudoGradient:
            return update if self.adversary is None else self.adversary.update(update)

        if self.adversary is not None:
            rollouts = self.adversary.rollouts_for_training(rollouts)
        try:
            train(
                policy,
                rollouts,
                self.spec,
                assignment.seed,
                folder,
                submit=submitted,
                on_step=report,
                take_steps=run_inner_steps if self.group is None else self.group.inner_steps(folder / ROLLOUTS_NAME),
            )
        except MalformedUpdate as error:
            raise Stop(f"policy version {assignment.policy_version} cannot be trained: {error}") from error


def _keep_only(folder: Path, name: str) -> None:
    """Delete what a former process left half made."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != name:
            path.unlink()
