"""One relay as its client sees it: requests in its language, and how it has behaved so far."""

import logging
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import httpx
from eth_utils.address import to_checksum_address

from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, SHARD_BYTES, Manifest, commits_to
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.protocol.urls import basic_authorisation, without_login
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.messages import (
    COMING_HEADER,
    HOPS_HEADER,
    TRAIL_HEADER,
    WAIT_HEADER,
    Board,
    Held,
    Listed,
    Missing,
)
from assay_core.transport.relay.wire import Call, Lines

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 8 * 2**20  # the list of missing shards of the largest manifest
MIN_BYTES_PER_S = 16_384
MAX_WAIT_S = 5.0
MAX_LIST_BYTES = 2**16
MAX_HELD_BYTES = 256
MAX_BOARD_BYTES = 2**20
TELLING_BYTES = 2**18  # smaller answers tell the latency, not the speed
REFUSALS = {400, 401, 403, 404, 405, 413, 422}  # sending the same again would not help


class CorruptResponse(Exception):
    """A relay sent what cannot be what it was asked for."""


class Coming(Exception):
    """The relay does not have it yet, but somebody is sending it there: ask again."""


class RemoteRelay:
    """Safe to use from several threads. A login in the URL (`https://user:password@host`) is sent, and never shown."""

    def __init__(
        self,
        url: str,
        http: httpx.Client,
        *,
        connect_s: float = 3.0,
        timeout_s: float = 15.0,
        shun_s: float = 30.0,
        hops: int = 0,
    ) -> None:
        self._url = without_login(url)
        self._login = basic_authorisation(url)
        self._http = http
        self._lines = Lines(self._url, connect_s, timeout_s)
        self._timeout_s = timeout_s
        self._shun_s = shun_s
        self._hops = hops
        self._shun_until = 0.0
        self._seconds_per_byte = 1e-10  # optimistic, so that each is tried
        self._started: list[float] = []
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self.answered_at: float | None = None  # monotonic; None: never yet
        self.failed_at: float | None = None
        self.is_dropped = False

    def __str__(self) -> str:
        return self._url

    def close(self) -> None:
        self._lines.close()

    # ---------------------------------------------------------------------------------------------- behaviour

    def rank(self) -> tuple[bool, float]:
        """Lower is better: has it failed lately, and the time that one more shard would take."""
        return self.is_shunned, self.expected_s(SHARD_BYTES)

    @property
    def is_shunned(self) -> bool:
        return time.monotonic() < self._shun_until

    def expected_s(self, size: int) -> float:
        """How long a shard will take, beside those that it is sending: from those before, or the wait for this one."""
        with self._lock:
            pace = self._seconds_per_byte
            if self._started:
                pace = max(pace, (time.monotonic() - self._started[0]) / SHARD_BYTES)
            return pace * size * (len(self._started) + 1)

    def timeout_s(self, size: int) -> float:
        """How long a request for this many bytes may take, however steadily they come in."""
        return 2 * self._timeout_s + size / MIN_BYTES_PER_S

    @contextmanager
    def busy(self) -> Generator[None]:
        started_at = time.monotonic()
        with self._lock:
            self._started.append(started_at)
        try:
            yield
        finally:
            with self._lock:
                self._started.remove(started_at)

    def drop(self, why: str) -> None:
        """Never ask it again."""
        if not self.is_dropped:
            self.is_dropped = True
            log.warning("relay dropped", extra={"relay": self._url, "why": why})

    def shun(self, why: str) -> None:
        """Ask it last for a while; told when it begins."""
        with self._lock:
            is_first, now = self._failing_since is None, time.monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
        self._shun_until, self.failed_at = now + self._shun_s, now
        if is_first:
            log.warning("relay fails", extra={"relay": self._url, "why": why})

    def _works(self) -> None:
        """It has answered; told where it had failed."""
        with self._lock:
            since, self._failing_since = self._failing_since, None
        self.answered_at = time.monotonic()
        if since is not None:
            log.info("relay answers again", extra={"relay": self._url, "after_s": round(time.monotonic() - since, 1)})

    def _learn_speed(self, size: int, seconds: float) -> None:
        if size >= TELLING_BYTES:
            with self._lock:
                self._seconds_per_byte += 0.3 * (seconds / size - self._seconds_per_byte)

    # ----------------------------------------------------------------------------------------------- requests

    def get(self, path: str, max_bytes: int, headers: Mapping[str, str] | None = None) -> bytes:
        """A body of at most `max_bytes`. Raises Unavailable: no answer, or not here; CorruptResponse: it is longer."""
        started_at = time.monotonic()
        status, data = self._request("GET", path, max_bytes, headers=headers)
        if status != 200:
            raise Unavailable(f"{self} answers {status}{_detail(data)}")
        self._learn_speed(len(data), time.monotonic() - started_at)
        return data

    def get_manifest(self, root: Root, trail: str = "") -> bytes:
        """Of a bundle that need not be whole yet.

        Raises Unavailable; CorruptResponse: it is not what the root stands for.
        """
        headers = {TRAIL_HEADER: trail} if trail else None
        data = self.get(f"/v1/manifests/{root.hex()}?unfinished=true", MAX_MANIFEST_BYTES, headers)
        if not commits_to(root, data):
            raise CorruptResponse(f"{self} sent another manifest")
        return data

    def get_shard(self, digest: bytes, into: memoryview, call: Call) -> None:
        """Fill `into` with a shard.

        Raises Unavailable, Abandoned; Coming: not here yet; CorruptResponse: it is another.
        """
        wait_s = min(MAX_WAIT_S, self._timeout_s / 2)
        try:
            status, answer, headers = self._lines.get(
                f"/v1/shards/{digest.hex()}",
                into,
                call,
                {WAIT_HEADER: f"{wait_s:.3f}", HOPS_HEADER: str(self._hops), **self._login},
            )
        except Unavailable as error:
            self.shun(str(error))
            raise Unavailable(f"{self} does not answer: {error}") from error
        if status < 500:
            self._works()
        if status == 200 and answer == digest:
            self._learn_speed(len(into), time.monotonic() - call.started_at)
        elif status == 200:
            raise CorruptResponse(f"{self} sent a corrupt shard {digest.hex()}")
        elif status == 503 and COMING_HEADER.lower() in headers:
            raise Coming
        else:
            if status >= 500:
                self.shun(f"answers {status}")
            raise Unavailable(f"{self} answers {status}{_detail(answer)}")

    def has(self, root: Root) -> bool:
        status, _ = self._request("HEAD", f"/v1/manifests/{root.hex()}", 0)
        if status not in (200, 404):
            raise Unavailable(f"{self} answers {status}")
        return status == 200

    def held_s(self, root: Root) -> float | None:
        """For how long it says to have had all of a bundle; None: it has not. Raises Unavailable, CorruptResponse."""
        status, answer = self._request("GET", f"/v1/bundles/{root.hex()}", MAX_HELD_BYTES)
        if status == 404:
            return None
        if status != 200:
            raise Unavailable(f"{self} answers {status}")
        try:
            return Held.model_validate_json(answer).held_s
        except ValueError as error:
            raise CorruptResponse(f"{self} does not say for how long it has had a bundle") from error

    def list_since(self, cursor: float) -> Listed:
        """Bundles that it began to receive after a moment of its own clock. Raises Unavailable, CorruptResponse."""
        try:
            return Listed.model_validate_json(self.get(f"/v1/bundles?after={cursor!r}", MAX_LIST_BYTES))
        except ValueError as error:
            raise CorruptResponse(f"{self} sent a list of bundles that is none") from error

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        """What its policy board holds for an epoch, unproven. Raises Unavailable, CorruptResponse."""
        try:
            board = Board.model_validate_json(
                self.get(f"/v1/tasks/{task_id}/epochs/{epoch}/signatures", MAX_BOARD_BYTES)
            )
        except ValueError as error:
            raise CorruptResponse(f"{self} sent a policy board that is none") from error
        return [
            PolicySignature(
                Address(to_checksum_address(each.operator)),
                Root(bytes.fromhex(each.policy_root)),
                bytes.fromhex(each.signature),
            )
            for each in board.signatures
        ]

    def begin(self, manifest: Manifest, headers: Mapping[str, str]) -> set[bytes]:
        """Send the manifest; returns the hashes of the shards that the relay lacks. Raises Unavailable, Stop."""
        answer = self.put(f"/v1/manifests/{manifest.root.hex()}", manifest.to_bytes(), headers)
        try:
            return {bytes.fromhex(digest) for digest in Missing.model_validate_json(answer).missing}
        except ValueError as error:
            raise Unavailable(f"{self} answers an upload with nonsense") from error

    def put(self, path: str, data: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        """Raises Unavailable: retry; Stop: the relay refuses, and says why."""
        try:
            status, answer = self._request("PUT", path, MAX_ANSWER_BYTES, data, headers)
        except CorruptResponse as error:
            raise Unavailable(str(error)) from error
        if status in REFUSALS:
            raise Stop(f"{self} refuses{_detail(answer)}")
        if not 200 <= status < 300:
            raise Unavailable(f"{self} answers {status}{_detail(answer)}")
        return answer

    def _request(
        self,
        method: str,
        path: str,
        max_bytes: int,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body. An encoded body is refused: a few bytes could be blown up into gigabytes."""
        until = time.monotonic() + self.timeout_s(max_bytes + len(data or b""))
        all_headers = {"Accept-Encoding": "identity", HOPS_HEADER: str(self._hops), **self._login, **(headers or {})}
        body = bytearray()
        try:
            with self._http.stream(method, self._url + path, content=data, headers=all_headers) as response:
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > max_bytes and response.status_code == 200:
                        raise CorruptResponse(f"{self} sent more than {max_bytes} bytes")
                    if len(body) > MAX_ANSWER_BYTES or time.monotonic() > until:
                        raise Unavailable(f"{self} is too slow")
        except (httpx.TransportError, httpx.InvalidURL, Unavailable) as error:
            self.shun(str(error) or type(error).__name__)
            raise Unavailable(f"{self} does not answer: {error or type(error).__name__}") from error
        if response.status_code >= 500:
            self.shun(f"answers {response.status_code}")
        else:
            self._works()
        return response.status_code, bytes(body)


def _detail(answer: bytes) -> str:
    """What the relay says about it, shortened and without control characters."""
    text = answer[:300].decode(errors="replace")
    return f": {''.join(char if char.isprintable() else ' ' for char in text)}" if text else ""
