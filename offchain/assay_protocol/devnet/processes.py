"""Child processes of a local network: started with a log file each, watched, started again, and stopped by process id.

They end with us, also where we are killed: Linux tells them; elsewhere the folder's list of processes is what is left.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.folder import Running, began_at, write_processes

STOP_SECONDS = 10.0
RESTARTS = 5  # of one child, within
RESTARTS_WITHIN_S = 600.0
PR_SET_PDEATHSIG = 1
ASSAY = (sys.executable, "-c", "from assay_protocol.cli import main; main(prog_name='assay')")


@dataclass(frozen=True, slots=True)
class Child:
    """One running process and where it writes."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def tail(self, lines: int = 15) -> str:
        """Its last words, for an error message."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class Children:
    """Owns what it started, and nothing else. Use as a context manager: leaving it stops every child."""

    def __init__(self, log_dir: Path, listed_in: Path | None = None) -> None:
        """`listed_in`: a file that names them, for the run after one that was killed."""
        self._log_dir = log_dir
        self._listed_in = listed_in
        self._children: dict[str, Child] = {}
        self._restarts: dict[str, list[float]] = {}
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
                preexec_fn=_end_with_parent(),
            )
        child = Child(name, process, log, tuple(command), env or {})
        self._children[name] = child
        self._list()
        return child

    def _list(self) -> None:
        if self._listed_in is not None:
            named = [(each.name, each.process.pid) for each in self._children.values()]
            write_processes(self._listed_in, [Running(name, pid, began_at(pid)) for name, pid in named])

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
            said = log.read_text(encoding="utf-8", errors="replace").strip()[-1_000:]
            raise Stop(f"`assay {' '.join(arguments)}` failed with exit code {done.returncode}: {said}")
        return done.stdout.decode()

    def check(self, allowed_to_end: frozenset[str] = frozenset()) -> None:
        """Raises Stop: a child has ended that should still run."""
        for child in list(self._children.values()):
            code = child.process.poll()
            was_killed = self._children.get(child.name) is not child  # a moment ago, by another thread
            if code is not None and not was_killed and child.name not in allowed_to_end:
                raise Stop(f"{child.name} ended with exit code {code}; its log {child.log} ends:\n{child.tail()}")

    def revive(self, say: Callable[[str], None]) -> list[str]:
        """Start again what has failed, as it was started; `say` is told each in a line. Returns their names.

        A child that ended with exit code 0 had nothing left to do. Raises Stop: one fails again and again.
        """
        revived = list[str]()
        for child in list(self._children.values()):
            code = child.process.poll()
            if code == 0:
                del self._children[child.name]
                say(f"{child.name} is done; its log: {child.log}")
            elif code is not None:
                self._require_few_restarts(child, code)
                count = len(self._restarts[child.name])
                say(f"{child.name} ended with code {code}: starting it again ({count} of {RESTARTS}), see {child.log}")
                self.start(child.name, child.command, child.env)
                revived.append(child.name)
        return revived

    def _require_few_restarts(self, child: Child, code: int) -> None:
        now = time.monotonic()
        recent = [at for at in self._restarts.get(child.name, []) if now - at < RESTARTS_WITHIN_S]
        if len(recent) >= RESTARTS:
            words = f"{child.name} ends again and again, now with exit code {code}"
            raise Stop(f"{words}; its log {child.log} ends:\n{child.tail()}")
        self._restarts[child.name] = [*recent, now]

    def stop(self, name: str, seconds: float = STOP_SECONDS) -> int | None:
        """End one child: a polite signal, then, after `seconds`, a firm one. Returns its exit code."""
        child = self._children.pop(name, None)
        if child is None:
            return None
        self._list()
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


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes another program, so that the kernel ends it with us.

    None where it cannot: not on Linux, or in a thread, with which it would end.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != us:  # killed a moment ago
            os._exit(1)

    return ask


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
