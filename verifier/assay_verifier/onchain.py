"""The worker's `TaskChain`, on a real chain."""

import time
from collections.abc import Callable

from assay_core.chain.connection import Chain
from assay_core.chain.follow import TaskFollower
from assay_core.chain.headers import header_of
from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.types import Address, Epoch, EpochPhase, Role, TaskId


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
        return self._chain.commitments.is_sealable(self._task_id)

    def header_of(self, number: int) -> bytes | None:
        """RLP of a block's header; None: the node does not tell it."""
        return header_of(self._chain.web3, number)

    def free_bond_wei(self, key: Address) -> int:
        """What of the verifier bond that a key acts for answers for nothing yet."""
        return self._chain.staking.free_bond(Role.VERIFIER, key).amount_wei

    def operator_of(self, key: Address) -> Address:
        """The operator that a key acts for."""
        return self._chain.staking.operator_of(key)
