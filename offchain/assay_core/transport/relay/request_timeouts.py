"""Time limits that keep slow or silent strangers from holding a relay's connections for ever."""

import asyncio
import os
from contextlib import suppress
from io import FileIO
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

PATHSEND = "http.response.pathsend"
SLICE_BYTES = 2**20  # what a client must take within the time that it may be idle
QUICK_S = 1.0
MAX_INCOMPLETE_BYTES = 2**14  # of a head, or between two pieces of a body, that are held until they are whole
MAX_PIPELINED = 16


class RequestTimeouts:
    """ASGI wrapper: a request whose next piece does not come, or is not taken, within `idle_s` is ended.

    An upload must besides keep up `min_bytes_per_s` after a first `idle_s`, so that one byte now and then is no way
    to stay. Times out with 408 as long as no response has begun, else by closing the connection.
    """

    def __init__(self, app: ASGIApp, idle_s: float, min_bytes_per_s: int) -> None:
        self._app = app
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        started_at, received, is_whole, has_begun = loop.time(), 0, False, False

        async def receive_soon() -> Message:
            nonlocal received, is_whole
            if is_whole:  # what comes next is only the news that the client has left
                return await receive()
            in_pace_s = started_at + 2 * self._idle_s + received / self._min_bytes_per_s - loop.time()
            async with asyncio.timeout(min(self._idle_s, max(in_pace_s, 0))):
                message = await receive()
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        async def send_soon(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == PATHSEND:  # a whole file, which has time limits of its own
                await send(message)
                return
            async with asyncio.timeout(self._idle_s):
                await send(message)

        try:
            await self._app(scope, receive_soon, send_soon)
        except TimeoutError:
            if not has_begun:
                headers = [(b"connection", b"close"), (b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": 408, "headers": headers})
                await send({"type": "http.response.body", "body": b'{"detail":"too slow: send again"}'})
            # else: uvicorn notices that the response is not whole and closes the connection


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which closes connections of the slow and has the kernel send files.

    uvicorn itself waits for ever for a first request, and for the rest of a head that has begun; it takes heads of any
    length and queues any number of requests that come before their turn. It knows no `http.response.pathsend` (ASGI's
    extension for files) either, which here goes by sendfile: bytes that do not pass through this process cost it
    neither time nor memory.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inner: Any = self.app
        self.app = self._with_pathsend
        self._incomplete_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._incomplete_bytes += len(data)
        super().data_received(data)
        if self._incomplete_bytes > MAX_INCOMPLETE_BYTES and not self.transport.is_closing():
            self.send_400_response("Head or trailer too long.")
        self._watch()

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ConnectionAbortedError("too many requests before their turn")  # the parser stops: 400
        self._incomplete_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._incomplete_bytes = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    async def _with_pathsend(self, scope: Any, receive: Any, send: Any) -> None:
        cycle: RequestResponseCycle = send.__self__  # `self.cycle` is the last one that has come in

        async def send_or_pathsend(message: Any) -> None:
            if message["type"] != PATHSEND:
                await send(message)
                return
            try:
                with open(message["path"], "rb", buffering=0) as file:
                    await self._send_file(file, cycle.expected_content_length)
            except (OSError, RuntimeError):  # it has left, or takes too long; RuntimeError: asyncio's word for closing
                cycle.disconnected = True  # which uvicorn would take for an error of ours
                self.transport.abort()
            else:
                cycle.expected_content_length = 0
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        extensions = {**scope.get("extensions", {}), PATHSEND: {}}
        await self._inner({**scope, "extensions": extensions}, receive, send_or_pathsend)

    async def _send_file(self, file: FileIO, size: int) -> None:
        """Raises OSError (TimeoutError is one), RuntimeError: the client has left, or takes the bytes too slowly."""
        if os.fstat(file.fileno()).st_size != size:
            raise OSError("the file has another size than was announced")
        if hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(file.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
        start, slice_bytes, timeout_s = self._send_at_once(file, size), SLICE_BYTES, float(self.timeout_keep_alive)
        while start < size:
            begun_at = self.loop.time()
            async with asyncio.timeout(timeout_s):
                sent = await self.loop.sendfile(self.transport, file, start, min(slice_bytes, size - start))
            if not sent:
                raise OSError("the file has shrunk")
            start += sent
            if self.loop.time() - begun_at < QUICK_S:  # the same pace for more at once: each call costs something
                slice_bytes, timeout_s = 4 * SLICE_BYTES, 4.0 * self.timeout_keep_alive

    def _send_at_once(self, file: FileIO, size: int) -> int:
        """Hand the kernel what it takes without waiting: asyncio goes through its loop twice for each slice."""
        if (
            not hasattr(os, "sendfile")
            or self.transport.get_write_buffer_size()
            or self.transport.get_extra_info("sslcontext") is not None
        ):
            return 0  # what goes before it, or what would encrypt it, is not the kernel's
        sent, socket = 0, self.transport.get_extra_info("socket").fileno()
        with suppress(BlockingIOError):
            while sent < size and (count := os.sendfile(socket, file.fileno(), sent, size - sent)):
                sent += count
        return sent

    def _watch(self) -> None:
        """One deadline for a whole head, however slowly it comes; none while a request is being served."""
        if not self._is_waiting():
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = None
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_keep_alive, self._close_if_waiting)

    def _close_if_waiting(self) -> None:
        self._deadline = None
        if self._is_waiting():
            self.transport.close()

    def _is_waiting(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete
