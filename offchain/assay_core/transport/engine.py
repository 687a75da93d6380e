"""What the rest of Assay needs from the transport of bundles. HTTP relays are the default engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.task import LIMITS, read_spec
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, Epoch, Root, TaskId

if TYPE_CHECKING:
    from assay_core.chain.signers import Signer


@dataclass(frozen=True, slots=True)
class PolicySignature:
    """An operator's EIP-712 signature (65 bytes r, s, v) of the policy root that it derived for an epoch.

    Read from a relay it is unproven: anyone who counts signatures recovers the signer first.
    """

    operator: Address
    policy_root: Root
    signature: bytes


class Fetcher(Protocol):
    """The part of an engine that gets bundles."""

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path: ...


def fetch_spec(fetcher: Fetcher, spec_root: Root) -> TaskSpec:
    """The spec of a task. Raises Unavailable, and Malformed: its initiator committed to an impossible one."""
    return read_spec(fetcher.fetch(spec_root, BundleKind.TASK, LIMITS))


class Engine(Protocol):
    """Moves bundles and policy signatures. Every method raises Unavailable when nobody answers: retry."""

    def publish(self, directory: Path, manifest: Manifest, account: "Signer") -> None:
        """Upload a bundle made by `build_bundle`; returns once at least one relay holds all of it.

        Publishing again is free and finishes what a crash interrupted. Raises Stop: our key may not upload (not
        bonded, over its quota).
        """
        ...

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        """Directory with the verified files of the bundle and its manifest.json. Read only: other bundles share them.

        Raises Malformed: anyone who committed to `root` committed to an impossible bundle. A relay that sends something
        else than `root` is its own fault alone: it is dropped and another asked.
        """
        ...

    def has(self, root: Root) -> bool:
        """Whether some relay that answers holds the whole bundle."""
        ...

    def held_s(self, root: Root) -> float | None:
        """For how many seconds some relay that answers says to have had the whole bundle; None: nobody says so."""
        ...

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """Put a policy signature on the board of every relay. Raises Stop: relays refuse it."""
        ...

    def signatures(self, task_id: TaskId, epoch: Epoch) -> Sequence[PolicySignature]:
        """What the relays' boards hold for an epoch, without repetitions, in order of operator; unproven."""
        ...
