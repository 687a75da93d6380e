"""One key on one machine: one process at a time sends with it, and the next knows which nonce was used last.

So a command beside a daemon takes the next nonce, also where a node counts no transactions that wait.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from assay_core.bundle.disk import meeting_folder
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address

log = logging.getLogger(__name__)

LOOK_S = 0.05


class Clock(Protocol):
    """Time as senders wait by it."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


@dataclass(frozen=True, slots=True)
class LastSent:
    """The newest transaction of a key: its nonce, hash, and Unix time."""

    nonce: int
    tx_hash: str
    at: float


class SharedNonces:
    """Lock and note of one key on one chain, in files that all processes of this user share."""

    def __init__(self, chain_id: int, address: Address, folder: Path | None = None) -> None:
        self._folder = folder or meeting_folder("sending")
        self._note = None if self._folder is None else self._folder / f"{chain_id}-{address.lower()}.json"

    @contextmanager
    def held(self, deadline: float, clock: Clock = time) -> Generator[None]:
        """Keep other processes from sending. Raises Unavailable: one of them does until the deadline."""
        if self._note is None:
            yield
            return
        try:
            handle = os.open(self._note.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            log.warning("no lock for the key", extra={"why": str(error)})
            yield
            return
        try:
            while not _locked(handle):
                if clock.monotonic() > deadline:
                    raise Unavailable("another process of this machine is sending with the same key: try again")
                clock.sleep(LOOK_S)
            yield
        finally:
            os.close(handle)

    def last(self) -> LastSent | None:
        """What was sent last; None: nothing that we know of."""
        with suppress(OSError, ValueError, TypeError):
            if self._note is not None:
                return LastSent(**json.loads(self._note.read_text()))
        return None

    def note(self, sent: LastSent) -> None:
        """Only while held. Without a place to write it is left out: the node alone has to know then."""
        if self._note is None:
            return
        part = self._note.with_suffix(".part")
        try:
            part.write_text(json.dumps(asdict(sent)))
            part.replace(self._note)
        except OSError as error:
            log.warning("the nonce was not written down", extra={"why": str(error)})


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
