"""How a trainer ends on request: long work looks at a flag between its steps."""

from typing import Protocol


class StopFlag(Protocol):
    """The part of `threading.Event` that work needs."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float) -> bool:
        """Sleep, but wake up when the flag is set; whether it is."""
        ...


class Interrupted(Exception):
    """Somebody asked the trainer to end. Not an error: what is unfinished is taken up at the next start."""


def check(stop: StopFlag) -> None:
    """Raises Interrupted once the flag is set."""
    if stop.is_set():
        raise Interrupted
