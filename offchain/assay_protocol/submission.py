"""A submission made from folders alone, as a trainer makes it: no chain, no relay, no key."""

import threading
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.task import write_task
from assay_core.chain.keys import parse_address
from assay_core.daemon.status import Scalar
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Epoch, PolicyVersion, Root, Seed, TaskId
from assay_trainer.submission_builder import Policies, SubmissionBuilder
from assay_trainer.tasks import Assignment


def build_submission(
    spec: TaskSpec,
    policy_dir: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    trainer: str,
    seed: bytes,
    task_id: int = 1,
    epoch: int = 0,
    policy_version: int = 0,
) -> Manifest:
    """Make a submission: roll the policy out, prove it, take the inner steps, and write the bundle into `folder`.

    Args:
        policy_dir: the bundle of a policy, as `build_task`, `export_policy` and relays give it.
        folder: where the submission goes; rollouts of an interrupted attempt with the same seed are used again.
        trainer: the operator that it is made for: an address.
        seed: 32 bytes, of which all prompts and draws follow; for a task on chain
    `assay_trainer.tasks.submission_seed`. Raises Stop: no address, or the policy is broken or does not fit. Rejected:
    the spec names no known environment.
    """
    source = Path(policy_dir)
    limits = BundleLimits(spec.limits.policy_bytes)
    try:
        root = open_bundle(source, limits).root
    except Malformed as error:
        raise Stop(f"{source} is not the bundle of a policy: {error}") from error
    assignment = Assignment(
        TaskId(task_id), Epoch(epoch), parse_address(trainer), Seed(seed), PolicyVersion(policy_version), root
    )
    builder = SubmissionBuilder(
        spec,
        spec_root(spec),
        Policies(_OneFolder(source), load_policy),
        make_environment(spec.environment),
        _quiet,
        threading.Event(),
    )
    return builder.make(assignment, Path(folder))


def spec_root(spec: TaskSpec) -> Root:
    """The root of a task's bundle, which a spec alone determines."""
    with TemporaryDirectory() as scratch:
        return write_task(Path(scratch) / "task", spec).root


class _OneFolder:
    """Gives one bundle, which was verified before."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        return self._directory


def _quiet(message: str, /, **fields: Scalar) -> None:
    return
