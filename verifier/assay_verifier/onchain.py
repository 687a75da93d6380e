"""The worker's `TaskChain`, on a real chain."""

import time
from collections.abc import Callable

from assay_core.chain.connection import Chain
from assay_core.chain.follow import TaskFollower
from assay_core.chain.headers import header_of
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.heartbeat import Balances
from assay_core.protocol.types import Address, Epoch, EpochPhase, Role, TaskId


class OnChain:
    """One task through one node."""

    def __init__(
        self,
        chain: Chain,
        follower: TaskFollower,
        task_id: TaskId,
        clock: Callable[[], float] = time.time,
        last_block: Callable[[], int] = lambda: 0,
    ) -> None:
        """`last_block`: in which we did something last."""
        self._chain, self._follower, self._task_id, self._clock = chain, follower, task_id, clock
        self._last_block = last_block
        self._ahead_s: float | None = None
        self._operators: dict[Address, Address] = {}

    def refresh(self) -> TaskLedger:
        self._ahead_s = None
        return self._follower.refresh(self._last_block())

    def now(self) -> int:
        """The later of the newest block's time and our clock's: a chain without transactions stands still.

        The chain is asked once a refresh; from there its time goes on as ours does.
        """
        if self._ahead_s is None:
            self._ahead_s = max(self._chain.now() - self._clock(), 0.0)
        return int(self._clock() + self._ahead_s)

    def seconds_since(self, number: int) -> float:
        """How long ago a block was made. Raises Unavailable."""
        return self.now() - self._chain.time_of(number)

    def phase_of(self, epoch: Epoch) -> EpochPhase:
        return self._chain.attestations.phase_of(self._task_id, epoch)

    def is_sealable(self) -> bool:
        return self._chain.commitments.is_sealable(self._task_id)

    def header_of(self, number: int) -> bytes | None:
        """RLP of a block's header; None: the node does not tell it."""
        return header_of(self._chain.web3, number)

    def free_bond_wei(self, key: Address) -> int:
        """What of the verifier bond that a key acts for answers for nothing yet."""
        return self._chain.staking.free_bond(Role.VERIFIER, key).amount_wei

    def balances(self, verifier: Address, key: Address) -> Balances:
        """Three questions to the node. Raises Unavailable."""
        bond = self._chain.staking.bond_of(verifier, Role.VERIFIER)
        locked = self._chain.verifiers.collateral_of(self._task_id, verifier).amount_wei
        return Balances(self._chain.balance_wei(key), bond.bonded_wei, bond.free_wei, locked)

    def operator_of(self, key: Address) -> Address:
        """The operator that a key acts for."""
        return self._chain.staking.operator_of(key)
