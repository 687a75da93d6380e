"""What this user has committed to in challenges, kept until they are revealed: without the salt a bond is lost."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_core.protocol.errors import Stop

if TYPE_CHECKING:
    from assay_core.chain.challenging import Objection
    from assay_core.protocol.types import SubmissionId

MAX_FILE_BYTES = 4_096


class Objections:
    """A folder of one deployment, with a file for each commitment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, objection: "Objection") -> None:
        """Write it down for good, readable by its owner only. Raises Stop: that fails."""
        name = f"{objection.task_id}-{objection.epoch}-{objection.index}-{objection.commitment.hex()[:16]}.json"
        text = json.dumps({**asdict(objection), "salt": objection.salt.hex()}, indent=2) + "\n"
        part = self._folder / f".{name}.{os.getpid()}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / name)
        except OSError as error:
            raise Stop(f"cannot write {self._folder / name} ({error.strerror}): nothing was sent") from error

    def of(self, submission: "SubmissionId") -> "list[Objection]":
        """All about a submission, oldest first. Raises Stop: a file cannot be read."""
        files = sorted(
            self._folder.glob(f"{submission.task_id}-{submission.epoch}-{submission.index}-*.json"), key=_age
        )
        return [_read(path) for path in files]


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _read(path: Path) -> "Objection":
    from assay_core.chain.challenging import Objection

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("too large")
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values["salt"] = bytes.fromhex(values["salt"])
        return Objection(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"{path} is no challenge of ours ({error}): repair the file, or move it away") from error
