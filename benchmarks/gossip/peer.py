"""A real peer: `GossipNode` over TCP, one process each.

It listens for its neighbours' messages and, after each mix, connects to those that are due and sends its own, one after
the other, waiting until each has said that the whole message arrived. A neighbour that is away, silent or slow costs
one time limit and nothing else. What strangers send is refused after the head, before the payload is read.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from eth_account.signers.local import LocalAccount

from assay_core.protocol.errors import Rejected, Stop
from benchmarks.gossip.node import GossipNode, Seat
from benchmarks.gossip.wire import HEAD, Wire

log = logging.getLogger(__name__)

ACCEPTED, REFUSED = b"\x01", b"\x00"
CONNECTIONS_PER_PEER = 4
HEAD_S = 5.0  # a stranger who says nothing is gone after that


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Pace:
    """`interval_s` from mix to mix, give or take the share `jitter`; a message may take `timeout_s`."""

    interval_s: float
    jitter: float = 0.2
    timeout_s: float = 60.0


@dataclass(slots=True)
class Counts:
    """What a peer has done so far; bytes are those of messages, without headers of packets."""

    mixes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    failed: int = 0
    received: int = 0
    refused: int = 0


@dataclass(slots=True)
class GossipPeer:
    """Mixes until it is cancelled.

    `on_mix` sees the node after each mix and may `contribute` to it; `on_sent` is told the bytes of each message.
    """

    node: GossipNode
    wire: Wire
    account: LocalAccount
    places: Mapping[Seat, Place]
    pace: Pace
    on_mix: Callable[[GossipNode], None] = lambda _: None
    on_sent: Callable[[int], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    _connections: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Raises Stop: its own place is taken. Ends by being cancelled."""
        async with self._listening(), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mix_for_ever())
            tasks.create_task(self._send_for_ever())

    # ---------------------------------------------------------------------------------------------------- mixing

    async def _mix_for_ever(self) -> None:
        pace, chance = self.pace, random.Random(f"{self.account.address} {time.time_ns()}")
        await asyncio.sleep(chance.uniform(0, pace.interval_s))
        while True:
            self.node.mix()
            self.counts.mixes += 1
            self.on_mix(self.node)
            self._wake.set()
            await asyncio.sleep(pace.interval_s * (1 + pace.jitter * chance.uniform(-1, 1)))

    # --------------------------------------------------------------------------------------------------- sending

    async def _send_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (neighbour := self.node.next_due()) is not None:
                await self._send(neighbour)

    async def _send(self, neighbour: Seat) -> None:
        data = await asyncio.to_thread(self.wire.encode, self.node.message(), self.account)
        place = self.places[neighbour]
        try:
            async with asyncio.timeout(self.pace.timeout_s):
                reader, writer = await asyncio.open_connection(place.host, place.port)
                try:
                    writer.write(data)
                    await writer.drain()
                    answer = await reader.readexactly(1)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.counts.failed += 1
            log.info("neighbour not reached", extra={"neighbour": neighbour, "why": str(error) or type(error).__name__})
            return
        self.counts.sent += 1
        self.counts.sent_bytes += len(data)
        self.on_sent(len(data))
        if answer != ACCEPTED:
            log.warning("neighbour refuses our messages", extra={"neighbour": neighbour})

    # ------------------------------------------------------------------------------------------------- receiving

    @asynccontextmanager
    async def _listening(self) -> AsyncGenerator[None]:
        place = self.places[self.node.seat]
        try:
            server = await asyncio.start_server(self._serve, place.host, place.port, limit=2**16)
        except OSError as error:
            raise Stop(f"cannot listen on {place.host}:{place.port}: {error.strerror}") from error
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS_PER_PEER * len(self.places):
            writer.close()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(self.pace.timeout_s):
                writer.write(ACCEPTED if await self._take(reader) else REFUSED)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.counts.refused += 1  # it broke off, or was too slow
        finally:
            self._connections -= 1
            with suppress(OSError):
                writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(min(HEAD_S, self.pace.timeout_s)):
                head_bytes = await reader.readexactly(HEAD.size)
            head = await asyncio.to_thread(self.wire.read_head, head_bytes)
            if not self.node.awaits(head.sender, head.round):
                raise Rejected(f"peer {head.sender} repeats itself")
            payload = await reader.readexactly(self.wire.payload_bytes)
            self.node.receive(self.wire.read(head, payload))
        except Rejected as error:
            self.counts.refused += 1
            log.warning("message refused", extra={"why": str(error)})
            return False
        self.counts.received += 1
        return True
