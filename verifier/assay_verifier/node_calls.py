"""Writes down how often the node was asked, for the metrics of `serve`, which is another process."""

import time
from collections import Counter
from collections.abc import Callable

from assay_verifier.database import Sessions
from assay_verifier.models import NodeCallsRow

EACH_S = 30.0


class NodeCalls:
    """Adds what a process has asked to what those before it have."""

    def __init__(self, sessions: Sessions, calls: Counter[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions, self._calls, self._clock = sessions, calls, clock
        self._noted, self._next = Counter[str](), 0.0

    def note(self) -> None:
        """Cheap: the database is written now and then."""
        if self._clock() < self._next:
            return
        self._next, calls = self._clock() + EACH_S, Counter(self._calls)
        with self._sessions() as session, session.begin():
            for method, count in (calls - self._noted).items():
                row = session.get(NodeCallsRow, method) or NodeCallsRow(method)
                row.calls += count
                session.add(row)
        self._noted = calls
