"""How a daemon ends on request: signals set a flag, and long work looks at it between its steps.

What looks at nothing, such as a request to a node that hangs, is interrupted a few seconds later: every step is safe to
be taken up again, since a daemon may be killed anywhere.
"""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Protocol

GRACE_S = 5.0


class StopFlag(Protocol):
    """The part of `threading.Event` that is needed."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float) -> bool:
        """Sleep, but wake up when the flag is set; whether it is."""
        ...


class Interrupted(BaseException):
    """Somebody asked the daemon to end: what is unfinished is taken up at the next start.

    Not an error, and no `Exception`: what catches all of those must not go on.
    """


class StoppableClock:
    """Time for what waits for others, such as a sender: its sleep ends with the flag."""

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def monotonic(self) -> float:
        """Seconds since any moment."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Raises Interrupted once the flag is set."""
        if self._stop.wait(seconds):
            raise Interrupted


def check(stop: StopFlag) -> None:
    """Raises Interrupted once the flag is set."""
    if stop.is_set():
        raise Interrupted


def stopped_by(stop: StopFlag | None) -> AbstractContextManager[StopFlag]:
    """The caller's flag, else one that signals set."""
    return stopped_by_signals() if stop is None else nullcontext(stop)


@contextmanager
def stopped_by_signals(grace_s: float = GRACE_S) -> Generator[StopFlag]:
    """A flag that SIGINT and SIGTERM set. Raises Interrupted in the block where that still runs `grace_s` later.

    A second signal ends the process as if we were not here. For the main thread alone.
    """
    signals = _Signals(grace_s)
    signals.take()
    try:
        yield signals.flag
    finally:
        signals.give_back()


class _Signals:
    """The handlers of SIGINT and SIGTERM while a daemon runs."""

    def __init__(self, grace_s: float) -> None:
        self.flag = threading.Event()
        self._is_overdue = False
        self._overdue = threading.Timer(grace_s, self._interrupt)
        self._overdue.daemon = True
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def take(self) -> None:
        for number in self._before:
            signal.signal(number, self._handle)

    def give_back(self) -> None:
        self._overdue.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_overdue:
            self._is_overdue = False
            raise Interrupted
        if not self.flag.is_set():
            self.flag.set()
            self._overdue.start()
            return
        handler = self._before[signal.Signals(number)]
        signal.signal(number, handler)
        signal.raise_signal(number)

    def _interrupt(self) -> None:
        """From the timer's thread: the main thread wakes up, whatever it waits for, and raises in `_handle`."""
        self._is_overdue = True
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGINT)
