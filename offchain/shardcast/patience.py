"""Time limits that keep slow or silent strangers from holding a relay's connections for ever."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_REQUEST_S = 10.0


class Patience:
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


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which waits for ever for a first request, closing connections that send none in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(FIRST_REQUEST_S, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        cycle: Any = self.cycle
        if cycle is None:
            self.transport.close()
