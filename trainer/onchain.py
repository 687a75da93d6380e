"""The worker's `TaskChain`, on a real chain."""

from offchain.chain.connection import Chain
from offchain.chain.events import WorkCommitted
from offchain.chain.follow import TaskFollower
from offchain.chain.ledger import TaskLedger
from offchain.chain.sender import Sender
from offchain.protocol.types import Address, Epoch, PolicyVersion, Role, Root, TaskId
from trainer.submit import Commitment


class OnChain:
    """One task through one node, for one key: the operator's own or its worker key."""

    def __init__(self, chain: Chain, follower: TaskFollower, sender: Sender, task_id: TaskId) -> None:
        """Raises Unavailable: the node is down."""
        self._chain = chain
        self._follower = follower
        self._sender = sender
        self._task_id = task_id
        self.trainer: Address = chain.staking.operator_of(sender.address)

    def refresh(self) -> TaskLedger:
        return self._follower.refresh()

    def now(self) -> int:
        return self._chain.now()

    def active_bond_wei(self) -> int:
        return self._chain.staking.active_bond(Role.TRAINER, self._sender.address).amount_wei

    def enlist(self) -> None:
        self._sender.send(self._chain.registry.enlist(self._task_id))

    def commit(self, epoch: Epoch, manifest_root: Root, units: int, policy_version: PolicyVersion) -> Commitment:
        call = self._chain.registry.commit_work(self._task_id, epoch, manifest_root, units, policy_version)
        receipt = self._sender.send(call)
        event = receipt.event(WorkCommitted)
        return Commitment(event.index, receipt.tx_hash, receipt.gas_used)
