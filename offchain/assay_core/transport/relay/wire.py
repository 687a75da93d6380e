"""Shards over HTTP/1.1 straight into memory that the caller owns: the standard library, no copies.

The bytes of a shard are hashed while the next ones come in; both happen outside of Python's global lock.
"""

import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from assay_core.protocol.errors import Unavailable

SLICE_BYTES = 2**20  # what is hashed at once: small enough to be in the processor's cache still, few turns of the lock
MAX_DETAIL_BYTES = 2_048
MAX_IDLE = 16


class Abandoned(Exception):
    """Nobody wants the answer any more."""


class Call:
    """One request, which another thread may watch and abandon."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.received = 0
        self.abandoned = ""
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def abandon(self, why: str) -> None:
        """End the request; anyone who waits for it gets Abandoned."""
        with self._lock:
            self.abandoned = why
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def use(self, connection: socket.socket) -> None:
        """Raises Abandoned."""
        with self._lock:
            if self.abandoned:
                raise Abandoned(self.abandoned)
            self._socket = connection

    def release(self) -> None:
        """From here on, abandoning it does not touch the connection, which others may use."""
        with self._lock:
            self._socket = None


class Lines:
    """Connections to one server, kept open between requests. Safe to use from several threads."""

    def __init__(self, url: str, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._url = url
        self._timeouts = connect_timeout_s, read_timeout_s
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def get(
        self, path: str, into: memoryview, call: Call, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, and for 200 the SHA-256 of the body, which fills `into` exactly; else what the server says.

        A body of 200 that does not fit gives an empty digest. Raises Unavailable, Abandoned.
        """
        connection, is_fresh = self._take()
        try:
            try:
                response = self._ask(connection, path, call, headers)
            except (OSError, http.client.HTTPException):
                if is_fresh or call.abandoned:
                    raise
                connection.close()  # the server has closed it meanwhile
                connection = self._connect()
                response = self._ask(connection, path, call, headers)
            status, answer = response.status, self._read(response, into, call)
            call.release()
            self._give_back(connection, response)
            return status, answer, {name.lower(): value for name, value in response.getheaders()}
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a URL that is none
            connection.close()
            if call.abandoned:
                raise Abandoned(call.abandoned) from error
            raise Unavailable(str(error) or type(error).__name__) from error
        except BaseException:
            connection.close()
            raise
        finally:
            call.release()

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _ask(
        self, connection: http.client.HTTPConnection, path: str, call: Call, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        connect_s, read_s = self._timeouts
        if connection.sock is None:
            connection.timeout = connect_s
            connection.connect()
        if connection.sock is None:
            raise ConnectionError("not connected")
        connection.sock.settimeout(read_s)
        call.use(connection.sock)
        connection.request("GET", urlsplit(self._url).path + path, headers={"Accept-Encoding": "identity", **headers})
        return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse, into: memoryview, call: Call) -> bytes:
        if response.status != 200:
            return response.read(MAX_DETAIL_BYTES)
        if response.length is not None and response.length != len(into):
            return b""
        digest = hashlib.sha256()
        while call.received < len(into):
            piece = into[call.received : call.received + SLICE_BYTES]
            count = response.readinto(piece)
            if not count:
                if response.length is None:  # sent in chunks: this was all of it
                    return b""
                raise ConnectionError("connection ended in mid-shard")
            digest.update(piece[:count])
            call.received += count
        return digest.digest() if not response.read(1) else b""

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        kind: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            kind = http.client.HTTPSConnection
        elif parts.scheme != "http":
            raise Unavailable(f"{self._url!r} is no http URL")
        if not parts.hostname:
            raise Unavailable(f"{self._url!r} names no host")
        return kind(parts.hostname, parts.port)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        try:
            return self._connect(), True
        except ValueError as error:
            raise Unavailable(f"{self._url!r} is no URL") from error

    def _give_back(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        with self._lock:
            if response.isclosed() and connection.sock is not None and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()
