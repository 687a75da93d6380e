"""The folder of a network on this machine: who runs one there now, and what a run that was killed has left running."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from assay_core.protocol.errors import Stop

MARKER = ".assay-run"  # locked as long as the run lasts; holds the process that has the lock
PROCESSES = "processes.json"
END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process, by its id and when it began: ids are given again."""

    name: str
    pid: int
    began: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"

    @property
    def is_alive(self) -> bool:
        return bool(self.began) and began_at(self.pid) == self.began


def began_at(pid: int) -> str:
    """When a process began, in the system's own measure; empty where it has ended, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


MayEnd = Callable[[Sequence[Running]], bool]


@contextmanager
def claimed(folder: Path, option: str, may_end: MayEnd = lambda left: False) -> Generator[None]:
    """Have a run's folder to oneself. `may_end`: whether to end what a killed run has left running.

    Raises Stop: a network runs there, processes of one do, or the folder is not a run's. Nothing is changed then.
    """
    marker, is_new = folder / MARKER, not folder.exists()
    if not is_new and any(folder.iterdir()) and not marker.exists():
        raise Stop(f"{folder} is not empty and not of a former run: name another folder with {option}")
    folder.mkdir(parents=True, exist_ok=True)
    with marker.open("a+") as lock:
        _lock(lock, folder, option)
        if left := left_running(folder):
            if not may_end(left):
                named = ", ".join(str(each) for each in left)
                raise Stop(f"a network was killed in {folder}, and {named} still run: `assay up --end-left` ends them")
            end(left)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            if is_new and [path.name for path in folder.iterdir()] == [MARKER]:  # refused before anything was done
                marker.unlink()
                folder.rmdir()


@contextmanager
def fresh(folder: Path, option: str) -> Generator[None]:
    """As `claimed`, and what a former run left there is removed."""
    with claimed(folder, option):
        empty(folder)
        yield


def _lock(lock: IO[str], folder: Path, option: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        raise Stop(
            f"a network runs in {folder}, started by process {owner}: end it, or name another folder with {option}"
        ) from None


def empty(folder: Path) -> None:
    """Remove all that a run has left; the folder must be claimed."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def write_processes(file: Path, running: Iterable[Running]) -> None:
    """What a run has started, for the one after it."""
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps([asdict(each) for each in running]))
    beside.replace(file)


def left_running(folder: Path) -> list[Running]:
    """Processes of the last run that still run, though nobody may watch them."""
    try:
        listed = [Running(**each) for each in json.loads((folder / PROCESSES).read_text())]
    except (OSError, ValueError, TypeError):
        return []
    return [each for each in listed if each.is_alive]


def end(running: Iterable[Running]) -> None:
    """End processes that a killed run has left: a polite signal, then a firm one."""
    left = list(running)
    for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        for each in left:
            if each.is_alive:
                os.kill(each.pid, number)
        deadline = time.monotonic() + seconds
        while (left := [each for each in left if each.is_alive]) and time.monotonic() < deadline:
            time.sleep(0.05)
    if left:
        raise Stop(f"{', '.join(str(each) for each in left)} cannot be ended: end them yourself")
