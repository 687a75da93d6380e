"""What a trainer sends and receives, from the manifests of what it published and of what it trained from."""

from dataclasses import dataclass
from math import prod

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.aggregation.updates import FOLDER as UPDATE_FOLDER
from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.named_tensors import Float32File
from assay_core.bundle.rollouts import ROLLOUTS_NAME
from assay_core.chain.ledger import TaskLedger
from assay_core.inspect.earnings import submissions_of
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, Root
from assay_core.transport.engine import Engine

GRADIENT_BYTES = 4  # float32, as data-parallel training exchanges gradients by default


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of all submissions of a trainer, and of the policies it made them from. What HTTP adds is not counted."""

    submissions: int
    policies: int
    update: int
    rollouts: int  # with their proofs
    other: int  # trace and manifest
    received: int

    @property
    def sent(self) -> int:
        return self.update + self.rollouts + self.other


def traffic_of(engine: Engine, ledger: TaskLedger, spec: TaskSpec, trainer: Address) -> Traffic:
    """Raises Unavailable: the relay does not answer."""
    refs = [each.ref for each in submissions_of(ledger, trainer)]
    submissions = [
        _manifest(engine, ref.submission.manifest_root, BundleKind.SUBMISSION, spec.limits.submission_bytes)
        for ref in refs
    ]
    versions = [ref.submission.policy_version for ref in refs]
    fetched = ledger.policies[min(versions) : max(versions) + 1] if versions else []  # each newest one, also when idle
    policies = [
        _manifest(engine, record.policy_root, BundleKind.POLICY, spec.limits.policy_bytes) for record in fetched
    ]
    update = sum(_bytes_of(submission, UPDATE_FOLDER + "/") for submission in submissions)
    rollouts = sum(_bytes_of(submission, ROLLOUTS_NAME) for submission in submissions)
    return Traffic(
        submissions=len(submissions),
        policies=len(policies),
        update=update,
        rollouts=rollouts,
        other=sum(map(_whole, submissions)) - update - rollouts,
        received=sum(map(_whole, policies)),
    )


def parameters_of(engine: Engine, root: Root, spec: TaskSpec) -> int:
    """How many numbers a policy trains: the size of a gradient."""
    directory = engine.fetch(root, BundleKind.POLICY, BundleLimits(spec.limits.policy_bytes))
    return sum(map(prod, Float32File(directory / WEIGHTS_NAME).shapes.values()))


def data_parallel_bytes(parameters: int, trainers: int, steps: int) -> int:
    """What each trainer sends, and receives, when a ring all-reduce averages the gradients of every step."""
    return round(2 * (trainers - 1) / trainers * GRADIENT_BYTES * parameters) * steps


def _manifest(engine: Engine, root: Root, kind: BundleKind, most_bytes: int) -> Manifest:
    return read_manifest(engine.fetch(root, kind, BundleLimits(most_bytes)), expected_root=root)


def _bytes_of(manifest: Manifest, prefix: str) -> int:
    return sum(entry.size_bytes for entry in manifest.files if entry.name.startswith(prefix))


def _whole(manifest: Manifest) -> int:
    return manifest.size_bytes + len(manifest.to_bytes())
