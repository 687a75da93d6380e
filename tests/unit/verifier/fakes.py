"""Engine, sender and status of tests: they implement the verifier's protocols and remember what they were told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eth_account.signers.local import LocalAccount

from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.contracts import Call
from assay_core.chain.sender import Receipt
from assay_core.protocol.errors import Malformed, Reverted, Unavailable
from assay_core.protocol.types import Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from tests.unit.verifier.honest import Bundle


@dataclass
class ShardStore:
    """An engine without a network: what was published is there for all, unless it is lost."""

    bundles: dict[Root, Path] = field(default_factory=dict[Root, Path])
    board: list[PolicySignature] = field(default_factory=list[PolicySignature])
    impossible: set[Root] = field(default_factory=set[Root])
    is_down: bool = False

    def add(self, bundle: Bundle) -> Root:
        self.bundles[bundle.manifest.root] = bundle.directory
        return bundle.manifest.root

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        if root in self.impossible:
            raise Malformed(f"bundle {root.hex()} has a file that differs from its hash")
        if self.is_down or root not in self.bundles:
            raise Unavailable("no relay has it")
        return self.bundles[root]

    def publish(self, directory: Path, manifest: Manifest, account: LocalAccount) -> None:
        if self.is_down:
            raise Unavailable("no relay answers")
        self.bundles[manifest.root] = directory

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        self.board.append(signed)

    def signatures(self, task_id: TaskId, epoch: Epoch) -> Sequence[PolicySignature]:
        return self.board


@dataclass
class Sent:
    """A sender that keeps what it is given, or refuses it: as the contracts do, or as too large for any block."""

    calls: list[Call] = field(default_factory=list[Call])
    refusal: str | None = None
    fits: Callable[[Call], bool] = lambda _: True

    def send(self, call: Call) -> Receipt:
        if not self.fits(call):
            raise Unavailable(f"the node refused {call}: gas required exceeds allowance")
        if self.refusal is not None:
            raise Reverted(self.refusal, {}, str(call))
        self.calls.append(call)
        return Receipt(bytes(32), 1, 21_000, 0, ())


class Silent:
    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, message: str, /, **fields: object) -> None:
        self.said.append(message)
