"""What an epoch waits for, of whom, and until when, out of the ledger. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.inspect.formatting import moment
from assay_core.protocol.types import Address

NAMED = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """In words; `until`: Unix time when it ends at the latest, None where nothing ends it but somebody who acts."""

    what: str
    until: int | None = None

    def __str__(self) -> str:
        return self.what if self.until is None else f"{self.what}, until {moment(self.until)} at the latest"


def wait_of(ledger: TaskLedger, record: EpochRecord) -> Wait | None:
    """None: nothing more is decided about the epoch."""
    if record.is_over or record.is_abandoned:
        return None
    if not record.is_sealed:
        return _of_open(ledger, record)
    if record.is_settled:
        return _of_settled(record)
    params, owed = ledger.task.params, sorted(record.members - record.commitments.keys())
    if owed and not record.reveals and not record.is_attested:
        return Wait(f"reports on epoch {record.epoch} from {named(owed)}", record.attest_by)
    hidden = sorted(record.commitments.keys() - record.reveals.keys())
    if hidden and not record.is_attested:
        until = None if record.attest_by is None else record.attest_by + params.reveal_window
        return Wait(f"reports on epoch {record.epoch} to be revealed by {named(hidden)}", until)
    return Wait(f"epoch {record.epoch} to be settled")


def _of_open(ledger: TaskLedger, record: EpochRecord) -> Wait:
    """Events do not tell who has committed its last submission: who has none is waited for in any case."""
    if record.is_closed:
        return Wait(f"epoch {record.epoch} to be sealed")
    owed = sorted(set(ledger.trainers) - {each.submission.trainer for each in record.submissions})
    who = f" from {named(owed)}" if owed else "" if record.submissions else " from a trainer"
    return Wait(f"submissions to epoch {record.epoch}{who}", record.commit_by if record.submissions else None)


def _of_settled(record: EpochRecord) -> Wait:
    if record.open_disputes:
        return Wait(f"panels on {len(record.open_disputes)} scores of epoch {record.epoch}")
    return Wait(f"the challenge window of epoch {record.epoch}", record.challenge_by)


def named(who: Iterable[Address]) -> str:
    """A few of them by address, the others counted."""
    listed = list(who)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
