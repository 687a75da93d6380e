"""One process at a time: a file that is locked while a process lives, and says which one it is."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from assay_core.bundle.disk import meeting_folder
from assay_core.protocol.errors import Stop

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
PROBE_S = 0.05  # `is_held` looks at a lock by taking it for a moment, which must not keep its owner from starting


@contextmanager
def only_one(file: Path, who: str, advice: str) -> Generator[None]:
    """Hold a file for this process alone until the block, or the process, ends.

    `who` holds it and what to do then, for people. Raises Stop: another process has it; its number is told.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            take_lock(handle)
        except BlockingIOError as error:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
            number = f" (process {holder})" if holder.isdigit() else ""
            raise Stop(f"{who}{number}: {advice}") from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("this file system has no locks: see that nothing runs twice", extra={"file": str(file)})
        else:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def take_lock(handle: int) -> None:
    """Lock an open file for this process alone. Raises BlockingIOError: another has it; OSError: there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(PROBE_S)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(file: Path) -> bool | None:
    """Whether a process holds a file as `only_one` does; None: that cannot be found out here."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


def locks_folder() -> Path:
    """Where this user's processes find each other's locks. Raises OSError: there is no such place."""
    folder = meeting_folder("locks")
    if folder is None:
        raise PermissionError(errno.EACCES, "neither the home nor the temporary folder can be written", "locks")
    return folder
