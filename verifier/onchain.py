"""The worker's `TaskChain`, on a real chain."""

import time
from collections.abc import Callable

from offchain.chain.connection import Chain
from offchain.chain.follow import TaskFollower
from offchain.chain.ledger import TaskLedger
from offchain.protocol.types import Address, Epoch, EpochPhase, TaskId


class OnChain:
    """One task through one node."""

    def __init__(
        self, chain: Chain, follower: TaskFollower, task_id: TaskId, clock: Callable[[], float] = time.time
    ) -> None:
        self._chain, self._follower, self._task_id, self._clock = chain, follower, task_id, clock
        self._operators: dict[Address, Address] = {}

    def refresh(self) -> TaskLedger:
        return self._follower.refresh()

    def now(self) -> int:
        """The later of the newest block's time and our clock's: a chain without transactions stands still."""
        return max(self._chain.now(), int(self._clock()))

    def phase_of(self, epoch: Epoch) -> EpochPhase:
        return self._chain.attestations.phase_of(self._task_id, epoch)

    def is_sealable(self) -> bool:
        return self._chain.registry.sealable(self._task_id)

    def operator_of(self, key: Address) -> Address:
        """The operator that a key acts for."""
        return self._chain.staking.operator_of(key)
