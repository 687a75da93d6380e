"""Sees that there is bond for the next work: frees what it can, waits, or says what its operator has to add."""

from collections.abc import Callable, Sequence
from typing import Protocol

from assay_core.chain.contracts import WorkRef
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.status import Status
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import Address, Root
from assay_trainer.collateral import Collateral, claimable, is_anything_in_flight, missing_wei, units_in_flight
from assay_trainer.tasks import Idle

CLAIM_BATCH = 50  # works claimed in one transaction


class BondChain(Protocol):
    """Raises Unavailable; what is sent also Reverted and Stop."""

    @property
    def trainer(self) -> Address:
        """The operator that our key acts for."""
        ...

    def refresh(self) -> TaskLedger: ...
    def show(self, wei: int) -> str:
        """An amount for people, e.g. `9 ASSAY`."""
        ...

    def collateral(self) -> Collateral:
        """What of our bond answers for this task, and what is free."""
        ...

    def claim(self, works: Sequence[WorkRef]) -> None: ...


class Bond:
    """The bond of one trainer, as far as one task needs it."""

    def __init__(
        self, chain: BondChain, status: Status, is_kept_back: Callable[[Root], bool] = lambda root: False
    ) -> None:
        """`is_kept_back`: whether a work must not be claimed yet."""
        self._chain, self._status, self._is_kept_back = chain, status, is_kept_back

    def lacking(self, ledger: TaskLedger, units: int) -> Idle | None:
        """Free bond by claiming what is decided, where a work of so many units takes more than there is.

        None: there is enough. Raises Stop: there is not, and nothing of ours that is under way will free any.
        """
        held = self._chain.collateral()
        if self._missing_wei(ledger, held, units) == 0:
            return None
        for works in self._claimable_batches(ledger):
            self._claim(works)
            ledger, held = self._chain.refresh(), self._chain.collateral()
            if self._missing_wei(ledger, held, units) == 0:
                return None
        missing = self._missing_wei(ledger, held, units)
        if not is_anything_in_flight(ledger, self._chain.trainer):
            raise Stop(self._why_short(ledger, held, missing))
        return Idle(
            f"{held.in_flight} works in flight hold {self._chain.show(held.locked_wei)} of bond, and another takes "
            f"{self._chain.show(missing)}: waiting until they are decided; to go on meanwhile add to it with "
            "`assay stake bond --role trainer`"
        )

    def _missing_wei(self, ledger: TaskLedger, held: Collateral, units: int) -> int:
        """How much more free bond another work takes."""
        return missing_wei(ledger.task.params, held, units + units_in_flight(ledger, self._chain.trainer))

    def _claimable_batches(self, ledger: TaskLedger) -> list[list[WorkRef]]:
        decided = claimable(ledger, self._chain.trainer)
        works = [each for each in decided if not self._is_kept_back(each.work.manifest_root)]
        return [works[first : first + CLAIM_BATCH] for first in range(0, len(works), CLAIM_BATCH)]

    def _claim(self, works: list[WorkRef]) -> None:
        try:
            self._chain.claim(works)
        except Reverted as error:  # somebody claimed one of them for us: the ledger will show it
            self._status("claim refused", why=str(error))
            return
        self._status("works claimed", works=len(works), first=works[0].epoch, last=works[-1].epoch)

    def _why_short(self, ledger: TaskLedger, held: Collateral, missing: int) -> str:
        slashed = self._slashed_works(ledger)
        because = f" after work {slashed[-1]} was judged fraud (see `assay explain {slashed[-1]}`)" if slashed else ""
        return (
            f"trainer {self._chain.trainer} has {self._chain.show(held.free_wei)} of free bond{because}; task "
            f"{ledger.task_id} takes {self._chain.show(missing)} more for a work: add to it with "
            f"`assay stake bond --role trainer {self._chain.show(missing).split()[0]}`"
        )

    def _slashed_works(self, ledger: TaskLedger) -> list[str]:
        return [
            f"{ledger.task_id}/{record.epoch}/{index}"
            for record in ledger.epochs.values()
            for index, fraud in record.frauds.items()
            if fraud.trainer == self._chain.trainer
        ]
