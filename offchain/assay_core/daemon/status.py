"""What a daemon is doing, for people and for programs: log records, and a line of JSON per step in a file."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Scalar = str | int | float | bool | None


class Status(Protocol):
    """Takes note of one step: a constant message, data in fields, never a key or password."""

    def __call__(self, message: str, /, **fields: Scalar) -> None: ...


class StatusFile:
    """Logs each step and appends it to a file as `{"at": unix seconds, "message": …, field: …}`.

    A disk that takes nothing costs the lines meanwhile, never the daemon: it is logged when that begins and ends.
    """

    def __init__(self, path: Path, logger: logging.Logger, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._log = logger
        self._clock = clock
        self._is_broken = False

    def __call__(self, message: str, /, **fields: Scalar) -> None:
        self._log.info(message, extra=fields)
        line = json.dumps({"at": round(self._clock(), 3), "message": message, **fields})
        try:
            with self._path.open("a", encoding="utf-8") as stream:  # one short write: lines never mix
                stream.write(line + "\n")
        except OSError as error:
            if not self._is_broken:
                why = f"{error.strerror}: {self._path}"
                self._log.warning("the status file takes no lines; going on without", extra={"why": why})
            self._is_broken = True
        else:
            if self._is_broken:
                self._log.info("the status file takes lines again", extra={"file": str(self._path)})
            self._is_broken = False
