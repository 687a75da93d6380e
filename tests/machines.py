"""Machines as other people have them: a disk that is full, a user who owns nothing, a process of its own."""

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON_PATH = os.pathsep.join(str(ROOT / part) for part in ("offchain", "trainer", "verifier", ""))
# Nobody of that number exists, so it has no home. The kernel still lets it use what is root's, such as an interpreter
# below /root, by modes alone: mode 000 and read-only folders shut it out, unlike root.
FOREIGN_UID = 54_321
STRANGER = ("unshare", "--user", f"--map-user={FOREIGN_UID}", f"--map-group={FOREIGN_UID}")
SMALL_DISK_BYTES = 2 * 2**20


def mount_disk(place: Path, size_bytes: int) -> bool:
    """Put a disk of so many bytes there; whether this user may."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", place]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount_disk(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def mounted_disk(place: Path, size_bytes: int = SMALL_DISK_BYTES) -> Generator[Path]:
    """A disk of so many bytes. Skips where this user may mount none."""
    if not mount_disk(place, size_bytes):
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        unmount_disk(place)


def fill(disk: Path) -> Path:
    """Take all that is free; deleting the returned file gives it back."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4_096)):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


def start_assay(
    *arguments: str, env: Mapping[str, str] | None = None, as_stranger: bool = False, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """The command as a process, with `env` alone around it, of another user if so asked."""
    if as_stranger and subprocess.run([*STRANGER, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine makes no user namespaces")
    command = [sys.executable, "-c", "from assay_protocol.cli import main; main(prog_name='assay')"]
    return subprocess.Popen(
        [*(STRANGER if as_stranger else ()), *command, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH, **(env or {})},
        cwd=cwd or "/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )


def run_assay(
    *arguments: str, env: Mapping[str, str] | None = None, as_stranger: bool = False, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `start_assay` once it has ended."""
    process = start_assay(*arguments, env=env, as_stranger=as_stranger, cwd=cwd)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err
