"""Requests that wait for a shard which is on its way to the relay."""

import asyncio
from contextlib import suppress
from functools import partial

from starlette.concurrency import run_in_threadpool

from assay_core.transport.relay.shard_store import ShardStore


class Arrivals:
    """Wakes requests when the shard that they wait for has landed on the shelf. For one event loop."""

    def __init__(self, shards: ShardStore) -> None:
        self._shards = shards
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, be told by the shelf's threads."""

        def landed(digest: bytes) -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(self._wake, digest)

        self._shards.on_landed = landed

    async def wait_for(self, digest: bytes, seconds: float, *, from_an_uploader: bool) -> bool:
        """Whether a shard that an unfinished bundle lists (one being uploaded, if so) lands within the time."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, []).append(future)  # first listen, then look: it may land in between
        try:
            # Hopping to a thread and back takes longer than asking here.
            is_coming = self._shards.is_on_its_way_unless_busy(digest, from_an_uploader=from_an_uploader)
            if is_coming is None:
                ask = partial(self._shards.is_on_its_way, digest, from_an_uploader=from_an_uploader)
                is_coming = await run_in_threadpool(ask)
            if not is_coming:
                return False
            if self._shards.shard_file(digest).exists():
                return True
            async with asyncio.timeout(seconds):
                await future
            return True
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting[digest]
            waiting.remove(future)
            if not waiting:
                del self._waiting[digest]

    def _wake(self, digest: bytes) -> None:
        for future in self._waiting.get(digest, ()):
            if not future.done():
                future.set_result(None)
