"""Child processes of a local network: started with a log file each, watched, and stopped by process id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay_core.protocol.errors import Stop

STOP_SECONDS = 10.0
ASSAY = (sys.executable, "-c", "from assay_protocol.cli import main; main(prog_name='assay')")


@dataclass(frozen=True, slots=True)
class Child:
    """One running process and where it writes."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def tail(self, lines: int = 15) -> str:
        """Its last words, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Children:
    """Owns what it started, and nothing else. Use as a context manager: leaving it stops every child."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._children: dict[str, Child] = {}
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_all()

    def __getitem__(self, name: str) -> Child:
        return self._children[name]

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        """Start one process. Its own session keeps a terminal's Ctrl-C away from it: we stop it, in order."""
        log = self._log_dir / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children[name] = child
        return child

    def assay(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Child:
        """Start an `assay` command in a process of its own."""
        return self.start(name, [*ASSAY, *arguments], env)

    def run_assay(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run an `assay` command to its end and return what it printed. Raises Stop: it failed."""
        log = self._log_dir / f"{name}.log"
        with log.open("ab") as errors:
            done = subprocess.run(
                [*ASSAY, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(env or {})},
                check=False,
            )
        if done.returncode != 0:
            said = log.read_text(errors="replace").strip()[-1_000:]
            raise Stop(f"`assay {' '.join(arguments)}` failed with exit code {done.returncode}: {said}")
        return done.stdout.decode()

    def check(self, allowed_to_end: frozenset[str] = frozenset()) -> None:
        """Raises Stop: a child has ended that should still run."""
        for child in list(self._children.values()):
            code = child.process.poll()
            was_killed = self._children.get(child.name) is not child  # a moment ago, by another thread
            if code is not None and not was_killed and child.name not in allowed_to_end:
                raise Stop(f"{child.name} ended with exit code {code}; its log {child.log} ends:\n{child.tail()}")

    def stop(self, name: str, seconds: float = STOP_SECONDS) -> int | None:
        """End one child: a polite signal, then, after `seconds`, a firm one. Returns its exit code."""
        child = self._children.pop(name, None)
        if child is None:
            return None
        _signal(child.process, signal.SIGTERM)
        try:
            return child.process.wait(seconds)
        except subprocess.TimeoutExpired:
            _signal(child.process, signal.SIGKILL)
            return child.process.wait()

    def kill(self, name: str) -> int:
        """End one child as an accident would, by its process id and without notice. Returns its exit code.

        Nobody misses it from then on. Raises Stop: it had ended by itself.
        """
        child = self._children.pop(name, None)
        if child is None:
            raise Stop(f"{name} is not running any more")
        if child.process.poll() is not None:
            raise Stop(f"{name} had ended with exit code {child.process.returncode}; its log: {child.log}")
        _signal(child.process, signal.SIGKILL)
        return child.process.wait()

    def stop_all(self) -> None:
        """End every child, the newest first, all asked before any is waited for."""
        for child in list(self._children.values()):
            _signal(child.process, signal.SIGTERM)
        for name in reversed(list(self._children)):
            self.stop(name)


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)


def wait_for_port(child: Child, port: int, seconds: float = 60.0) -> None:
    """Wait until `child` listens on a loopback port. Raises Stop: it ended, or did not listen in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            raise Stop(f"{child.name} ended before it was ready; its log {child.log} ends:\n{child.tail()}")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise Stop(f"{child.name} did not listen on port {port} within {seconds:.0f} s; see {child.log}")
