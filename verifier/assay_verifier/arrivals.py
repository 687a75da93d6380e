"""Which submissions were there before anybody could know what of them is checked.

An epoch's seed decides what is replayed. Who holds bytes back until it is known could upload what was not drawn, and
let the rest count as unavailable, which costs nothing. So what nobody shows to have been there in time is checked in
full: then it does not matter what was drawn.
"""

import logging
from collections.abc import Callable

from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Epoch, Root

log = logging.getLogger(__name__)


class Arrivals:
    """Remembers what was here in time, and asks relays about the rest."""

    def __init__(
        self,
        holds: Callable[[Root], bool],
        held_s: Callable[[Root], float | None],
        seconds_since: Callable[[int], float],
        newest_block: Callable[[], int | None],
    ) -> None:
        """What it asks.

        Args:
            holds: whether the bytes of a submission have been here.
            held_s: for how many seconds a relay says that it has had all of them; None: none says so. May raise
                Unavailable.
            seconds_since: how long ago a block was made. May raise Unavailable.
            newest_block: up to which the chain was read at the last look; None: it never was.
        """
        self._holds, self._held_s = holds, held_s
        self._seconds_since, self._newest_block = seconds_since, newest_block
        self._seen: dict[Epoch, set[Root]] = {}
        self._found: dict[tuple[Epoch, bytes, Root], bool] = {}

    def note(self, ledger: TaskLedger) -> None:
        """Remember what is here while the seed of the open epoch is not known, as this look at the chain tells."""
        record = ledger.open_epoch
        if record is None or record.seed is not None:
            return
        if record.seed_block is None or (self._newest_block() or 0) < record.seed_block:
            here = {root for root in _roots(record) if self._holds(root)}
            self._seen.setdefault(record.epoch, set()).update(here)

    def is_in_time(self, record: EpochRecord, root: Root) -> bool:
        """Whether a submission of a sealed epoch was there before its seed was known; decided once."""
        key = record.epoch, record.seed or b"", root
        if key not in self._found:
            in_time = root in self._seen.get(record.epoch, ()) or self._was_on_a_relay(record, root)
            self._found[key] = in_time
            if not in_time:
                told = {"epoch": record.epoch, "submission": root.hex()}
                log.info("not seen before the seed was known: checked in full", extra=told)
        return self._found[key]

    def forget(self, record: EpochRecord) -> None:
        """Let go of an epoch that is attested to."""
        self._seen.pop(record.epoch, None)
        self._found = {key: found for key, found in self._found.items() if key[0] != record.epoch}

    def _was_on_a_relay(self, record: EpochRecord, root: Root) -> bool:
        if record.seed_block is None:
            return False
        try:
            held_s = self._held_s(root)
            # a block before the seed's, since what we know of the chain's time may be as old as a block
            return held_s is not None and held_s >= self._seconds_since(record.seed_block - 1)
        except Unavailable as error:
            log.info("nobody tells when a submission came", extra={"submission": root.hex(), "why": str(error)})
            return False


def _roots(record: EpochRecord) -> list[Root]:
    return [committed.submission.manifest_root for committed in record.submissions]
