"""A verifier's node: what all parts of the daemon need, in one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay_core.bundle.manifest import Manifest
from assay_core.chain.signers import Signer
from assay_core.daemon.status import Status
from assay_core.protocol.types import Address, Epoch, TaskId
from assay_core.transport.engine import PolicySignature
from assay_verifier.database import Sessions
from assay_verifier.rotation import Rotation
from assay_verifier.transactions import Transactions


class Board(Protocol):
    """The part of a transport engine that gives bundles and policy signatures. All raise Unavailable and Stop."""

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None: ...
    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None: ...
    def signatures(self, task_id: TaskId, epoch: Epoch) -> Sequence[PolicySignature]: ...


@dataclass(frozen=True, slots=True)
class Node:
    """Who verifies which task (`verifier`: the operator; `account`: the key that acts), and by what means."""

    task_id: TaskId
    verifier: Address
    account: Signer
    transactions: Transactions
    sessions: Sessions
    board: Board
    rotation: Rotation
    status: Status
