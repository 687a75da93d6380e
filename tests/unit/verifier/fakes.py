"""Engine and sender of tests: they implement the verifier's protocols and remember what they were told."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eth_account.signers.local import LocalAccount

from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.contracts import Call
from assay_core.chain.sender import Receipt
from assay_core.chain.signers import Signer
from assay_core.daemon.status import Status
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.errors import Malformed, Reverted, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_verifier.arrivals import Arrivals
from assay_verifier.attester import Attester
from assay_verifier.database import Sessions
from assay_verifier.inbox import Inbox, JudgeContext
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.node import Board, Node
from assay_verifier.rotation import Rotation
from assay_verifier.sealed import Envelope
from assay_verifier.transactions import Sends, Transactions
from tests.fakes import Shelf
from tests.unit.verifier.chronicle import CONTRACT, contracts
from tests.unit.verifier.honest import SPEC, Bundle


@dataclass
class ShardStore(Shelf):
    """An engine without a network: what was published is there for all, unless it is lost."""

    board: list[PolicySignature] = field(default_factory=list[PolicySignature])
    impossible: set[Root] = field(default_factory=set[Root])
    is_down: bool = False

    def add(self, bundle: Bundle) -> Root:
        self.bundles[bundle.manifest.root] = bundle.directory
        return bundle.manifest.root

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        if root in self.impossible:
            raise Malformed(f"bundle {root.hex()} has a file that differs from its hash")
        if self.is_down:
            raise Unavailable("no relay has it")
        return super().fetch(root, kind, limits)

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        if self.is_down:
            raise Unavailable("no relay answers")
        super().publish(directory, manifest, account)

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        self.board.append(signed)

    def signatures(self, task_id: TaskId, epoch: Epoch) -> Sequence[PolicySignature]:
        return self.board


def judging_queue(
    shards: ShardStore, spec: TaskSpec = SPEC, clock: Callable[[], float] = time.monotonic
) -> JudgingQueue:
    """A verifier's, over these bundles."""
    inbox = Inbox(shards, spec)
    context = JudgeContext(inbox, make_environment(spec.environment), load_policy)
    return JudgingQueue(spec, inbox, context, punctual(), clock)


def punctual() -> Arrivals:
    """As relays tell it that have had everything for long."""
    return Arrivals(lambda root: False, lambda root: 3_600.0, lambda block: 60.0, lambda: 0)


def node_of(
    who: Address,
    key: LocalAccount,
    sender: Sends,
    board: Board,
    sessions: Sessions,
    status: Status,
    rotation: Rotation | None = None,
) -> Node:
    """A verifier's, of task 1 of a chronicle; without `rotation` it never waits for others."""
    transactions, turns = Transactions(sender, sessions, TaskId(1)), rotation or Rotation(who, step_s=0.0)
    return Node(TaskId(1), who, key, transactions, sessions, board, turns, status)


def attester_of(node: Node, folder: Path) -> Attester:
    """With the contracts of a chronicle."""
    return Attester(node, contracts().attestations, Envelope(node.account, 31_337, CONTRACT), folder)


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
