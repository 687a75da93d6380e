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
    """Logs each step and appends it to a file as `{"at": unix seconds, "message": …, field: …}`."""

    def __init__(self, path: Path, logger: logging.Logger, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._log = logger
        self._clock = clock

    def __call__(self, message: str, /, **fields: Scalar) -> None:
        self._log.info(message, extra=fields)
        line = json.dumps({"at": round(self._clock(), 3), "message": message, **fields})
        with self._path.open("a", encoding="utf-8") as stream:  # one short write: lines never mix
            stream.write(line + "\n")
