"""How a daemon ends on request: signals set a flag, and long work looks at it between its steps."""

import signal
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Protocol


class StopFlag(Protocol):
    """The part of `threading.Event` that work needs."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float) -> bool:
        """Sleep, but wake up when the flag is set; whether it is."""
        ...


class Interrupted(Exception):
    """Somebody asked the daemon to end. Not an error: what is unfinished is taken up at the next start."""


def check(stop: StopFlag) -> None:
    """Raises Interrupted once the flag is set."""
    if stop.is_set():
        raise Interrupted


def stopped_by(stop: StopFlag | None) -> AbstractContextManager[StopFlag]:
    """The caller's flag, else one that signals set."""
    return stopped_by_signals() if stop is None else nullcontext(stop)


@contextmanager
def stopped_by_signals() -> Generator[StopFlag]:
    """A flag that SIGINT and SIGTERM set; a second signal ends the process as if we were not here."""
    flag = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        flag.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask_to_stop)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
