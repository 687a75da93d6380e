"""Whose turn it is to do what anybody may do, so that many verifiers do not all send the same transaction."""

import time
from collections.abc import Callable, Hashable

from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.types import Address

STEP_S = 1.5
REFUSED_S = 2.0  # doubled with each refusal of the same, up to the longest
LONGEST_S = 60.0


class Rotation:
    """The first in line acts at once, the next a little later when it is still to be done, and so on.

    The line is the enlisted verifiers by address, turned by one place for each epoch.
    """

    def __init__(self, verifier: Address, clock: Callable[[], float] = time.monotonic, step_s: float = STEP_S) -> None:
        self._verifier, self._clock, self._step_s = verifier, clock, step_s
        self._seen: dict[Hashable, float] = {}
        self._not_before: dict[Hashable, float] = {}
        self._refusals: dict[Hashable, int] = {}

    def is_ours(self, what: Hashable, ledger: TaskLedger, epoch: int) -> bool:
        """Whether we should do `what` now. The first question about it starts its clock."""
        now = self._clock()
        seen = self._seen.setdefault(what, now)
        waited_for = seen + self.place(ledger, epoch) * self._step_s
        return now >= max(waited_for, self._not_before.get(what, 0.0))

    def is_ready(self, what: Hashable) -> bool:
        """Whether we may do `what`, which is ours alone, now: not just after we sent it or it was refused."""
        return self._clock() >= self._not_before.get(what, 0.0)

    def place(self, ledger: TaskLedger, epoch: int) -> int:
        """Our place in the line; behind everybody while we are not enlisted."""
        line = sorted(ledger.verifiers, key=lambda address: int(address, 16))
        if self._verifier not in line:
            return len(line)
        return (line.index(self._verifier) - epoch) % len(line)

    def done(self, what: Hashable) -> None:
        """We have sent it: the ledger needs a moment to show it."""
        self._not_before[what] = self._clock() + REFUSED_S

    def refused(self, what: Hashable) -> None:
        """The contracts did not take it: try again later, if it is then still to be done."""
        count = self._refusals[what] = self._refusals.get(what, 0) + 1
        self._not_before[what] = self._clock() + min(REFUSED_S * 2 ** (count - 1), LONGEST_S)
