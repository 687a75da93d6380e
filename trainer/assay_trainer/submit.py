"""Step 5: turn a folder into a bundle, upload it, commit to its root.

The order is fixed: first the bytes are with a relay, then the journal says that the commitment may be on its way, and
only then it is sent.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.header import SubmissionHeader
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Epoch, PolicyVersion, Root
from assay_trainer.tasks import Assignment

PACKAGES = ("assay-protocol", "numpy", "pyarrow", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Commission:
    """A submission as `commitSubmission` takes it; `is_last`: the epoch need not wait for further submissions of
    ours.
    """

    epoch: Epoch
    manifest_root: Root
    units: int
    policy_version: PolicyVersion
    is_last: bool


@dataclass(frozen=True, slots=True)
class Commitment:
    """Where a submission came to stand."""

    index: int
    tx_hash: bytes
    gas_used: int


class Publisher(Protocol):
    """The part of a transport engine that submitting needs; see offchain/assay_core/transport/engine.py."""

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None: ...


class Committer(Protocol):
    """Sends `commitSubmission`. Raises Reverted, Unavailable, Stop."""

    def commit(self, commission: Commission) -> Commitment: ...


def finish_bundle(folder: Path, assignment: Assignment, spec_root: Root) -> Manifest:
    """Write the manifest: the last step in making a submission."""
    return build_bundle(folder, BundleKind.SUBMISSION, header_of(assignment, spec_root).fields())


def header_of(assignment: Assignment, spec_root: Root) -> SubmissionHeader:
    """The header of the submission that an assignment asks for."""
    return SubmissionHeader(
        task_id=assignment.task_id,
        epoch=assignment.epoch,
        trainer=assignment.trainer,
        policy_version=assignment.policy_version,
        policy_root=assignment.policy_root,
        seed=assignment.seed,
        spec_root=spec_root,
        software=software_versions(),
    )


def reopen_bundle(folder: Path, spec: TaskSpec, root: Root | None) -> Manifest | None:
    """The manifest of a submission made before a restart; None when the folder does not hold all of it, unharmed."""
    try:
        return open_bundle(folder, BundleLimits(spec.limits.submission_bytes), root)
    except (Malformed, OSError):
        return None


def software_versions() -> dict[str, str]:
    """What made the submission, for people who look for the cause of a difference."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
