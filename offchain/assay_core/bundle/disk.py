"""What a machine's disk may do to us: take nothing now, be another user's, have no place for this one."""

import errno
import os
import sqlite3
import tempfile
from contextlib import suppress
from os import PathLike
from pathlib import Path

from assay_core.protocol.errors import Stop

DISK_FAULTS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE))
SQLITE_FAULTS = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY))
FULL = os.strerror(errno.ENOSPC)  # what libraries that are not Python's put into words of their own


def disk_fault(error: BaseException | None) -> str | None:
    """What the disk says, if that is what lies behind an error, a library's too; None: it is something else."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in SQLITE_FAULTS:
            return str(error)
        if FULL in str(error):
            return FULL
        error = error.__cause__ or error.__context__
    return None


def meeting_folder(purpose: str) -> Path | None:
    """Where this user's processes find each other: below the home, where keys are too, else below the temporary folder.

    None: neither can be written.
    """
    places = [Path(tempfile.gettempdir()) / f"assay-{purpose}-{os.getuid()}"]
    with suppress(RuntimeError):  # no home
        places.insert(0, Path.home() / ".assay" / purpose)
    for place in places:
        with suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if place.stat().st_uid == os.getuid() and os.access(place, os.W_OK | os.X_OK):
                return place
    return None


def expanded(path: str | PathLike[str]) -> Path:
    """A path as a person writes it, with `~` for the home. Raises Stop: it needs a home, and this user has none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise Stop(f"{path} lies in your home, and you have none: set HOME, or name a folder without ~") from error
