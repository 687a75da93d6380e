"""The leader's small server: it hands its assistants the offer, the rollouts, and the bundles that belong to them.

It answers nobody who does not know the secret, listens on one address, and only ever reads files that it was told of.
"""

import hmac
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import MANIFEST_NAME
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.types import Root
from assay_trainer.group.offer import HEX16, Offer
from assay_trainer.group.secret import ANSWER_MAC_HEADER, NONCE_HEADER, REQUEST_MAC_HEADER, answer_mac, request_mac

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 64
IDLE_S = 10.0
PRESENT_S = 3.0  # an assistant that has not asked for so long is not waited for
MAX_ASSISTANTS = 1_024


@dataclass
class Board:
    """What the server shows; the leader's thread writes, those of requests read."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _offer: Offer | None = None
    _rollouts: Path | None = None
    _bundles: Mapping[Root, Path] = field(default_factory=dict[Root, Path])
    _seen: dict[str, float] = field(default_factory=dict[str, float])
    _ready: set[str] = field(default_factory=set[str])

    def show(self, offer: Offer, bundles: Mapping[Root, Path], rollouts: Path | None = None) -> None:
        with self._lock:
            self._offer, self._bundles, self._rollouts = offer, dict(bundles), rollouts
            self._ready.clear()

    def clear(self) -> None:
        """No submission for now. What was shown may still be fetched."""
        with self._lock:
            self._offer = self._rollouts = None

    def offer_for(self, assistant: str) -> bytes:
        """Empty: no submission for now."""
        with self._lock:
            now = self.clock()
            self._seen = {name: at for name, at in self._seen.items() if now - at < PRESENT_S}
            if len(self._seen) < MAX_ASSISTANTS:
                self._seen[assistant] = now
            return b"" if self._offer is None else self._offer.to_bytes()

    def note_ready(self, submission: str, assistant: str) -> bool:
        with self._lock:
            if self._offer is None or self._offer.submission != submission or len(self._ready) >= MAX_ASSISTANTS:
                return False
            self._ready.add(assistant)
            return True

    def awaited(self) -> int:
        """How many assistants asked for work lately and are not ready for it yet."""
        with self._lock:
            now = self.clock()
            present = {name for name, at in self._seen.items() if now - at < PRESENT_S}
            return len(present - self._ready)

    def rollouts_of(self, submission: str) -> Path | None:
        with self._lock:
            return self._rollouts if self._offer is not None and self._offer.submission == submission else None

    def file_of(self, root: str, name: str) -> Path | None:
        """A file of a bundle: only what its manifest names."""
        with self._lock:
            place = next((place for known, place in self._bundles.items() if known.hex() == root), None)
        if place is None or name == MANIFEST_NAME:
            return place and place / name
        with suppress(Malformed):
            return place / name if any(entry.name == name for entry in read_manifest(place).files) else None
        return None


def parse_place(text: str) -> tuple[str, int]:
    """A port alone is one of this machine's own. Raises Stop: not HOST:PORT, or no address that others could reach."""
    host, colon, port = text.rpartition(":")
    host = host if colon else LOOPBACK
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Stop(f"{text!r} is no place for a group's leader: write HOST:PORT, or PORT for {LOOPBACK}")
    if host in {"0.0.0.0", "::", "[::]", "*"}:
        raise Stop(f"{host} is no address that assistants could reach: name the one of this machine that they will use")
    return host, int(port)


class LeaderServer:
    """Serves a board until closed."""

    def __init__(self, host: str, port: int, secret: bytes, board: Board) -> None:
        """Raises Stop: somebody else listens there, or the address is not this machine's."""
        try:
            self._server = _Server((host, port), _handler(secret, board))
        except OSError as error:
            raise Stop(f"the group's leader cannot listen on {host}:{port}: {error.strerror}") from error
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An assistant that goes away in the middle is no news."""


def _handler(secret: bytes, board: Board) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE_S

        def do_GET(self) -> None:
            nonce = self.headers.get(NONCE_HEADER, "")[:64]
            mac = self.headers.get(REQUEST_MAC_HEADER, "")
            if not hmac.compare_digest(mac.encode(), request_mac(secret, nonce, self.path).encode()):
                self._answer(403)
                return
            match self.path.split("/", 3)[1:]:
                case ["offer", assistant] if HEX16.fullmatch(assistant):
                    body = board.offer_for(assistant)
                    self._answer(200, body, answer_mac(secret, nonce, body))
                case ["ready", submission, assistant] if HEX16.fullmatch(assistant):
                    self._answer(200 if board.note_ready(submission, assistant) else 404)
                case ["rollouts", submission]:
                    self._send(board.rollouts_of(submission))
                case ["bundles", root, name]:
                    self._send(board.file_of(root, name))
                case _:
                    self._answer(404)

        def _answer(self, code: int, body: bytes = b"", mac: str | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            if mac is not None:
                self.send_header(ANSWER_MAC_HEADER, mac)
            self.end_headers()
            self.wfile.write(body)

        def _send(self, path: Path | None) -> None:
            try:
                stream = path.open("rb") if path is not None else None
            except OSError:  # tidied away since
                stream = None
            if stream is None:
                self._answer(404)
                return
            with stream:
                size = stream.seek(0, 2)
                stream.seek(0)
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                shutil.copyfileobj(stream, self.wfile, 2**20)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the leader's status tells what matters."""

    return Handler
