"""Passes submissions on: what we could fetch goes to the relays that we upload to, for those who reach only these.

A trainer that hands its bytes to some verifiers and not to others would divide them over whether its submission was
there. Anyone who has the bytes offers them until the cut-off after which they no longer count; relays that have them
ask for nothing, and keep them as long as any submission.
"""

import logging
import time
from collections.abc import Callable, Iterator

from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.types import Root
from assay_verifier.deadlines import cut_off
from assay_verifier.inbox import Inbox
from assay_verifier.node import Node

log = logging.getLogger(__name__)

RETRY_S = 5.0


class PassingOn:
    """The submissions of one task. Trouble with relays is logged, and tried again while there is time."""

    def __init__(
        self,
        node: Node,
        inbox: Inbox,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._inbox, self._clock = node, inbox, clock
        self._done: set[Root] = set()
        self._not_before: dict[Root, float] = {}

    def advance(self, ledger: TaskLedger, now: int) -> bool:
        """Offer one submission that we hold to our relays; whether anything was offered. `now`: Unix time."""
        for record in _undecided(ledger, now):
            for committed in record.submissions:
                root = committed.submission.manifest_root
                is_due = root not in self._done and self._clock() >= self._not_before.get(root, 0.0)
                if is_due and self._inbox.holds(root):
                    return self._offer(root, record)
        return False

    def _offer(self, root: Root, record: EpochRecord) -> bool:
        try:
            delivery = self._inbox.submission(root)
            self._node.board.publish(delivery.directory, delivery.manifest, self._node.account)
        except (Unavailable, Stop) as error:
            log.warning("a submission could not be passed on", extra={"root": root.hex(), "why": str(error)})
            self._not_before[root] = self._clock() + RETRY_S
            return False
        except Malformed:  # nobody can have it
            self._done.add(root)
            return False
        self._done.add(root)
        self._node.status("submission passed on", epoch=record.epoch, root=root.hex())
        return True


def _undecided(ledger: TaskLedger, now: int) -> Iterator[EpochRecord]:
    """Epochs whose submissions may still have to be fetched by somebody."""
    for record in ledger.epochs.values():
        if not record.is_over and now < cut_off(record, ledger.task.params):
            yield record
