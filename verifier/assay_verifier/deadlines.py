"""When an attestation has to be ready: shares of the attest window, the same for all of a task. Unix times."""

from assay_core.chain.records import EpochRecord
from assay_core.protocol.types import TaskParams

CUT_OFF_SHARE = 4
LAST_CALL_SHARE = 8


def cut_off(record: EpochRecord, params: TaskParams) -> int:
    """A quarter of the window before its end: submissions whose bytes are not here by then count as unavailable.

    Until then who has them passes them on; what comes later is not looked at, so that nobody who hands bytes out late,
    and to some, divides those who judge. Far ahead while the epoch is not sealed.
    """
    return _before_end(record, params.attest_window // CUT_OFF_SHARE)


def last_call(record: EpochRecord, params: TaskParams) -> int:
    """An eighth before its end: what could not be judged by then is attested to as unavailable, whatever is here."""
    return _before_end(record, params.attest_window // LAST_CALL_SHARE)


def _before_end(record: EpochRecord, seconds: int) -> int:
    return 2**63 if record.attest_by is None else record.attest_by - seconds
