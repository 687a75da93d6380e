"""What has been done so far, on disk, so that a crash loses nothing and repeats nothing that cannot be repeated.

One JSON file per submission, replaced atomically, and one folder with the submission itself. The chain decides what is
committed; the journal only says where to go on.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from assay_core.bundle.directory import write_atomically
from assay_core.daemon.lock import only_one
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Epoch, PolicyVersion, Root, Seed


class Stage(StrEnum):
    """How far the submission of an epoch has come."""

    MAKING = "making"  # rollouts, proofs, training
    MADE = "made"  # the folder is a whole bundle with a manifest
    SENDING = "sending"  # uploaded; commitSubmission may have been sent
    COMMITTED = "committed"
    MISSED = "missed"  # the epoch was sealed without our submission


@dataclass(frozen=True, slots=True)
class Entry:
    """One submission: the policy and the seed it is made from, and its manifest root once it is made.

    `number` counts the trainer's submissions of the epoch from 0. One with `is_plant` is made to be found out.
    """

    epoch: Epoch
    stage: Stage
    policy_version: PolicyVersion
    policy_root: Root
    seed: Seed
    manifest_root: Root | None = None
    number: int = 0
    is_plant: bool = False

    @property
    def name(self) -> str:
        """Of its file and folder."""
        return _name(self.epoch, self.number)

    @property
    def is_over(self) -> bool:
        return self.stage in (Stage.COMMITTED, Stage.MISSED)


class Journal:
    """Entries and submission folders of one task, below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "epochs").mkdir(parents=True, exist_ok=True)

    def folder(self, epoch: Epoch, number: int = 0) -> Path:
        """Where a submission of an epoch is made."""
        return self._directory / "submissions" / _name(epoch, number)

    def read(self, epoch: Epoch, number: int = 0) -> Entry | None:
        """Raises Stop: the file is damaged."""
        return self._read(self._path(_name(epoch, number)))

    def write(self, entry: Entry) -> Entry:
        value = {name: item.hex() if isinstance(item, bytes) else item for name, item in asdict(entry).items()}
        write_atomically(self._path(entry.name), json.dumps(value, indent=1).encode())
        return entry

    def entries(self) -> Iterator[Entry]:
        """All, by epoch."""
        for path in sorted((self._directory / "epochs").glob("*.json")):
            if (entry := self._read(path)) is not None:
                yield entry

    def discard_submission(self, epoch: Epoch, number: int = 0) -> None:
        """Delete what was made for an epoch. The manifest goes first: half a folder must not look whole."""
        folder = self.folder(epoch, number)
        (folder / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._directory / "epochs" / f"{name}.json"

    @staticmethod
    def _read(path: Path) -> Entry | None:
        try:
            return _parse(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Stop(f"the journal entry {path} is damaged: move it away to make that submission again") from error


def _name(epoch: Epoch, number: int) -> str:
    return f"{epoch:06d}-{number:03d}" if number else f"{epoch:06d}"


def _parse(value: dict[str, Any]) -> Entry:
    root = value["manifest_root"]
    return Entry(
        epoch=Epoch(int(value["epoch"])),
        stage=Stage(value["stage"]),
        policy_version=PolicyVersion(int(value["policy_version"])),
        policy_root=Root(bytes.fromhex(value["policy_root"])),
        seed=Seed(bytes.fromhex(value["seed"])),
        manifest_root=None if root is None else Root(bytes.fromhex(root)),
        number=int(value.get("number", 0)),
        is_plant=bool(value.get("is_plant", False)),
    )


def exclusive(directory: Path) -> AbstractContextManager[None]:
    """Hold a state directory for this process alone, until it ends. Raises Stop: another trainer has it."""
    who = f"another trainer runs in {directory}"
    return only_one(directory / "lock", who, "end it, or name another --state-dir")
