"""Holds a parser to its word while it reads: memory, processor time, and no file outside of its folder."""

import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CPU_SECONDS = 20.0
# What Python itself may read at any moment: modules that are imported late, and the machine's own description.
READABLE = tuple(
    {
        *(os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())),
        str(Path(__file__).resolve().parents[2]) + os.sep,
        *("/proc/", "/sys/", "/usr/", "/lib/", "/dev/urandom", "/dev/null"),
    }
)
TOUCHES = frozenset(
    (
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "shutil.rmtree",
    )
)
RUNS = frozenset(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"))


class Escaped(BaseException):
    """A parser touched what it may not. No `except Exception` swallows it."""


class TooSlow(BaseException):
    """One input took more processor time than any honest one could."""


_folder: str | None = None
_is_watching = False


def watch() -> None:
    """Once per process: every file that Python opens is looked at from now on, while `confined`."""
    global _is_watching
    if not _is_watching:
        sys.addaudithook(_look)
        _is_watching = True


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if _folder is None:
        return
    if event == "open":
        _look_at_open(arguments)
    elif event in TOUCHES:
        for path in arguments[:2]:
            if isinstance(path, (str, bytes, os.PathLike)) and not _is_inside(path):
                raise Escaped(f"{event} {os.fsdecode(path)!r}")
    elif event in RUNS:
        raise Escaped(f"{event} {arguments!r}"[:200])


def _look_at_open(arguments: tuple[Any, ...]) -> None:
    path, mode, flags = arguments
    if isinstance(path, int):
        return
    writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
        isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )
    if _is_inside(path) or os.fsdecode(path) == os.devnull:
        return
    if writes or not os.path.realpath(path).startswith(READABLE):
        raise Escaped(f"open {os.fsdecode(path)!r} {mode}")


def _is_inside(path: Any) -> bool:
    return _folder is not None and (os.path.realpath(path) + os.sep).startswith(_folder)


def used_bytes() -> int:
    """Address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * PAGE_BYTES


@contextmanager
def confined(folder: Path, limit_bytes: int) -> Generator[None]:
    """Inside, the process has at most `limit_bytes` of address space, and files only below `folder`."""
    global _folder
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))
    _folder = os.path.realpath(folder) + os.sep
    try:
        yield
    finally:
        _folder = None
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _too_slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow(f"more than {CPU_SECONDS:.0f} s of processor time for one input")
