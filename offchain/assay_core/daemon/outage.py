"""What is out of reach: told when it begins and when it is over, not at every attempt; attempts come more seldom."""

import time
from collections.abc import Callable

from assay_core.daemon.status import Status

MOST_WAIT_S = 30.0  # between two attempts


class Outage:
    """One thing that must work for us: nodes and relays that answer, a disk that takes writes."""

    def __init__(
        self,
        status: Status,
        what: str,
        first_wait_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        back: str = "answers again",
        what_to_do: str | None = None,
    ) -> None:
        """`what`: in a word or two, such as `the network`; `back`: what it does once the outage is over."""
        self._status, self._what, self._first_wait_s, self._clock = status, what, first_wait_s, clock
        self._back, self._what_to_do = back, what_to_do
        self._began: float | None = None
        self._failures = 0

    def failed(self, why: str) -> float:
        """Take note of a failure; how many seconds to wait before the next attempt."""
        if self._began is None:
            self._began = self._clock()
            advice = {} if self._what_to_do is None else {"what_to_do": self._what_to_do}
            self._status(f"waiting for {self._what}", why=why, **advice)
        self._failures += 1
        return float(min(self._first_wait_s * 2 ** min(self._failures, 16), MOST_WAIT_S))

    def is_over(self) -> None:
        """It works, again or still."""
        if self._began is not None:
            seconds = round(self._clock() - self._began, 1)
            self._status(f"{self._what} {self._back}", after_s=seconds, attempts=self._failures)
        self._began, self._failures = None, 0
