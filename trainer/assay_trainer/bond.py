"""Sees that there is bond for the next submission: frees what it can, waits, or says what its operator has to add."""

from collections.abc import Callable, Sequence
from typing import Protocol

from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.status import Status
from assay_core.inspect.earnings import submissions_of
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import Address, Root
from assay_trainer.collateral import Collateral, claimable, is_anything_in_flight, missing_wei, units_in_flight
from assay_trainer.tasks import Idle

CLAIM_BATCH = 50  # submissions claimed in one transaction


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

    def at_least(self, wei: int) -> str:
        """As `show`, but never less than it is."""
        ...

    def collateral(self) -> Collateral:
        """What of our bond answers for this task, and what is free."""
        ...

    def claim(self, submissions: Sequence[SubmissionRef]) -> None: ...


class Bond:
    """The bond of one trainer, as far as one task needs it."""

    def __init__(
        self, chain: BondChain, status: Status, is_kept_back: Callable[[Root], bool] = lambda root: False
    ) -> None:
        """`is_kept_back`: whether a submission must not be claimed yet."""
        self._chain, self._status, self._is_kept_back = chain, status, is_kept_back

    def lacking(self, ledger: TaskLedger, units: int) -> Idle | None:
        """Free bond by claiming what is decided, where a submission of so many units takes more than there is.

        None: there is enough. Raises Stop: there is not, and nothing of ours that is under way will free any.
        """
        held = self._chain.collateral()
        if self._missing_wei(ledger, held, units) == 0:
            return None
        for submissions in self._claimable_batches(ledger):
            self._claim(submissions)
            ledger, held = self._chain.refresh(), self._chain.collateral()
            if self._missing_wei(ledger, held, units) == 0:
                return None
        missing = self._missing_wei(ledger, held, units)
        if not is_anything_in_flight(ledger, self._chain.trainer):
            raise Stop(self._why_short(ledger, held, missing))
        return Idle(
            f"{held.in_flight} submissions in flight hold {self._chain.show(held.locked_wei)} of bond, "
            f"and another takes {self._chain.at_least(missing)}: waiting "
            "until they are decided; to go on meanwhile add to it with "
            "`assay stake bond --role trainer`"
        )

    def _missing_wei(self, ledger: TaskLedger, held: Collateral, units: int) -> int:
        """How much more free bond another submission takes."""
        return missing_wei(ledger.task.params, held, units + units_in_flight(ledger, self._chain.trainer))

    def _claimable_batches(self, ledger: TaskLedger) -> list[list[SubmissionRef]]:
        decided = claimable(ledger, self._chain.trainer)
        submissions = [each for each in decided if not self._is_kept_back(each.submission.manifest_root)]
        return [submissions[first : first + CLAIM_BATCH] for first in range(0, len(submissions), CLAIM_BATCH)]

    def _claim(self, submissions: list[SubmissionRef]) -> None:
        try:
            self._chain.claim(submissions)
        except Reverted as error:  # somebody claimed one of them for us: the ledger will show it
            self._status("claim refused", why=str(error))
            return
        self._status(
            "submissions claimed", submissions=len(submissions), first=submissions[0].epoch, last=submissions[-1].epoch
        )

    def _why_short(self, ledger: TaskLedger, held: Collateral, missing: int) -> str:
        slashed = [each for each in submissions_of(ledger, self._chain.trainer) if each.slashed_wei]
        because = ""
        if slashed:
            last, taken = slashed[-1].submission_id, self._chain.show(slashed[-1].slashed_wei)
            because = (
                f" after submission {last} was judged fraud, which took {taken} "
                f"(`assay explain {last}` says why and shows the evidence)"
            )
        return (
            f"trainer {self._chain.trainer} has {self._chain.show(held.free_wei)} of free bond{because}; task "
            f"{ledger.task_id} takes {self._chain.at_least(missing)} more for a submission: add to it with "
            f"`assay stake bond --role trainer {self._chain.at_least(missing).split()[0]}`"
        )
