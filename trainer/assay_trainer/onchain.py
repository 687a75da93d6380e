"""The worker's `TaskChain`, on a real chain."""

from collections.abc import Sequence

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import AppealsContract, Call, PlantsContract, SubmissionRef
from assay_core.chain.events import SubmissionCommitted
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.sender import Sender
from assay_core.daemon.heartbeat import Balances
from assay_core.protocol.amounts import Money
from assay_core.protocol.types import Address, Epoch, Role, SubmissionKind, TaskId
from assay_trainer.collateral import Collateral
from assay_trainer.submit import Commission, Commitment


class OnChain:
    """One task through one node, for one key: the operator's own or its worker key."""

    def __init__(self, chain: Chain, follower: TaskFollower, sender: Sender, task_id: TaskId) -> None:
        """Raises Unavailable: the node is down."""
        self._chain = chain
        self._follower = follower
        self._sender = sender
        self._task_id = task_id
        self._money = chain.money()
        self.trainer: Address = chain.staking.operator_of(sender.address)

    def refresh(self) -> TaskLedger:
        return self._follower.refresh(self._sender.last_block)

    def show(self, wei: int) -> str:
        return self._money.show(wei)

    def at_least(self, wei: int) -> str:
        return self._money.at_least(wei)

    def now(self) -> int:
        return self._chain.now()

    def is_sending(self) -> bool:
        """Whether a transaction of our key is still on its way: of an earlier process, perhaps."""
        return self._sender.is_sending()

    def collateral(self) -> Collateral:
        held = self._chain.commitments.collateral_of(self._task_id, self.trainer)
        free = self._chain.staking.free_bond(Role.TRAINER, self._sender.address).amount_wei
        return Collateral(held.locked_wei, free, held.in_flight)

    @property
    def money(self) -> Money:
        return self._money

    def balances(self) -> Balances:
        """Three questions to the node. Raises Unavailable."""
        bond = self._chain.staking.bond_of(self.trainer, Role.TRAINER)
        locked = self._chain.commitments.collateral_of(self._task_id, self.trainer).locked_wei
        coin = self._chain.balance_wei(self._sender.address)
        return Balances(coin, bond.bonded_wei, bond.free_wei, locked)

    def enlist(self, terms_hash: bytes) -> None:
        self._sender.send(self._chain.commitments.enlist(self._task_id, terms_hash))

    def leave(self) -> None:
        """With a sender of its own, since the other one ends with the worker."""
        call = self._chain.commitments.delist(self._task_id, self.trainer)
        Sender(self._chain, self._sender.account).send(call)

    def claim(self, submissions: Sequence[SubmissionRef]) -> None:
        self._sender.send(self._chain.payouts.claim(submissions))

    def commit(self, commission: Commission) -> Commitment:
        call = self._chain.commitments.commit_submission(
            self._task_id,
            commission.epoch,
            SubmissionKind.FULL,
            commission.manifest_root,
            commission.units,
            commission.policy_version,
            is_last=commission.is_last,
        )
        receipt = self._sender.send(call)
        event = receipt.event(SubmissionCommitted)
        return Commitment(event.index, receipt.tx_hash, receipt.gas_used)


class PlantsOnChain:
    """The planter's `PlantChain`, on a real chain."""

    def __init__(self, chain: Chain, trainer: Sender, planter: Sender, task_id: TaskId) -> None:
        """Raises Unavailable: the node is down."""
        self._chain, self._trainer, self._planter, self._task_id = chain, trainer, planter, task_id
        self.trainer: Address = chain.staking.operator_of(trainer.address)

    @property
    def planter(self) -> Address:
        return self._planter.address

    @property
    def plants(self) -> PlantsContract:
        return self._chain.plants

    @property
    def appeals(self) -> AppealsContract:
        return self._chain.appeals

    def now(self) -> int:
        return self._chain.now()

    def takes_plants(self) -> bool:
        return self._chain.registry.params_of(self._task_id).challenge_window > 0

    def deposit_wei(self) -> int:
        return self._chain.plants.deposit_of(self._task_id)

    def balance_wei(self) -> int:
        return self._chain.token.balance_of(self.planter)

    def pay(self, call: Call, amount_wei: int) -> None:
        token = self._chain.token
        if amount_wei and token.allowance(self.planter, call.to) < amount_wei:
            self._planter.send(token.approve(call.to, amount_wei))
        self._planter.send(call)

    def send_as_trainer(self, call: Call) -> None:
        self._trainer.send(call)

    def epoch_of(self, commitment: bytes) -> Epoch:
        return self._chain.plants.plant_of(self._task_id, commitment).epoch
