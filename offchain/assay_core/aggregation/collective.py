"""Synchronous exchange between machines that trust each other: one operator's own, or a few sites', in place of PCCL.

torchft is the engine: its lighthouse says who is there, Gloo adds up, its two-phase commit says whether a step counts.
This module adds what Assay needs around it. Peers join and leave between any two steps. One that dies in an exchange
costs the others a moment (one that hangs: a time limit), then they exchange again without it. One that joins takes
weights, momentum and step over from a peer; after a total loss all go on from the last policy version.

A step is taken by `add_up`: it says who is there and gives the sum of their shares, of one step's gradient or of whole
updates.

State travels as safetensors: torchft's own transports unpickle what they receive, which we do of nobody's bytes. All
ports are opened on the peer's own host address alone, but torchft asks nobody who they are: keep others away from them.
"""

import http.client
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
import torchft
from safetensors import SafetensorError
from torch.distributed import ProcessGroup, ProcessGroupGloo, ReduceOp, TCPStore  # pyright: ignore
from torchft.checkpointing.transport import CheckpointTransport
from torchft.coordination import LighthouseServer, ManagerServer
from torchft.manager import MANAGER_ADDR_KEY, REPLICA_ID_KEY

from assay_core.aggregation.codecs import Float32
from assay_core.aggregation.division import Added, Turn
from assay_core.protocol.errors import Malformed, Unavailable

log = logging.getLogger(__name__)

State = Mapping[str, npt.NDArray[Any]]
COUNTERS = "counters"
MAX_COUNTERS_BYTES = 1_024
MAX_ENTRY_BYTES = 256  # type, shape and place of a tensor in the header, without its name
RETRY_S = 0.2
MIN_ATTEMPTS = 3
BEAT_S = 0.2


@dataclass(frozen=True, slots=True)
class SyncPlace:
    """`lighthouse`: the URL of the group's lighthouse. `host`: where others reach this peer. `seat`: its number."""

    lighthouse: str
    host: str
    seat: int


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """`exchange_s`: after that a peer that does not answer counts as dead. `join_s`: how long to wait for a quorum."""

    min_peers: int = 1
    exchange_s: float = 10.0
    join_s: float = 60.0
    deadline_s: float = 300.0


class SyncGroup:
    """One peer's membership. Its `state` is given to those who join; `load` takes another's over."""

    def __init__(
        self,
        place: SyncPlace,
        state: Callable[[], State],
        load: Callable[[dict[str, npt.NDArray[Any]]], None],
        *,
        step: int = 0,
        limits: SyncLimits | None = None,
    ) -> None:
        """`step`: that of the policy version which this peer starts from. Raises Unavailable: no lighthouse."""
        self._limits = limits or SyncLimits()
        self._load = load
        self._peers = 0
        exchange, join = timedelta(seconds=self._limits.exchange_s), timedelta(seconds=self._limits.join_s)
        self._state = state
        self._store, store_port = _store_on(place.host)
        self._transport = SafetensorsTransport(place.host, self._limits.exchange_s, self._max_state_bytes)
        self._gloo = GlooOnHost(place.host, exchange)
        self._server: Any = None
        try:
            self._server = _manager_server(place, self._store, store_port, exchange)
            self._manager = torchft.Manager(
                pg=self._gloo,
                state_dict=lambda: dict(state()),
                load_state_dict=self._take_over,
                min_replica_size=self._limits.min_peers,
                use_async_quorum=False,
                init_sync=False,
                timeout=exchange,
                quorum_timeout=join,
                connect_timeout=exchange,
                rank=1,  # only rank 0 opens a server of its own, and on all interfaces: ours listens on one
                world_size=1,
                store_addr=place.host,
                store_port=store_port,
                lighthouse_addr=place.lighthouse,
                replica_id=f"peer_{place.seat}",
                hostname=place.host,
                checkpoint_transport=self._transport,
            )
        except (RuntimeError, TimeoutError) as error:
            self._transport.shutdown()
            if self._server is not None:
                self._server.shutdown()
            raise Unavailable(f"no lighthouse at {place.lighthouse}: {error}") from error
        self._manager.load_state_dict({"step": step, "batches_committed": 0})

    def close(self) -> None:
        """Leave the group; the others go on."""
        self._manager.shutdown(wait=False)
        self._gloo.abort()
        self._server.shutdown()

    @property
    def step(self) -> int:
        """Outer steps that count so far."""
        return self._manager.current_step()

    def add_up(
        self,
        share: Callable[[Turn], Float32],
        is_whole: Callable[[Float32], bool],
        keep_on: Callable[[], None] = lambda: None,
    ) -> Added:
        """The sum over all peers of what each computes as its `share` of a step, once the step counts.

        The step is that of the group, which `load` may have brought us to. When a peer is lost in the middle, or the
        sum `is_whole` not, those who are left divide the step again.

        Args:
            share: [D], what this peer contributes; D is equal for all. What it raises ends the exchange.
            keep_on: called before each attempt; what it raises ends the exchange.
        Raises Unavailable: no exchange succeeded within `deadline_s`, nor at the third attempt. Malformed: a peer
        trains another model.
        """
        begun = time.monotonic()
        attempts, peers_before = 0, self._peers
        while (started := time.monotonic()) < begun + self._limits.deadline_s or attempts < MIN_ATTEMPTS:
            keep_on()
            attempts += 1
            turn = self._gather()
            waited_s = time.monotonic() - started
            if turn is not None and (total := self._sum(turn, share(turn), is_whole)) is not None:
                lost_s = started - begun + (waited_s if turn.peers < peers_before else 0.0)
                return Added(total, turn.peers, attempts, lost_s)
            self._gloo.abort()  # anyone who still waits for us learns of it at once
        raise Unavailable(f"no exchange of step {self.step} succeeded in {attempts} attempts")

    def _gather(self) -> Turn | None:
        """Who takes part in an attempt; None: no quorum, or the state of a peer that is ahead did not arrive."""
        with self._tolerating():
            self._manager.start_quorum()
            rank = self._manager.participating_rank()
            if rank is not None and self._manager.errored() is None:
                return Turn(self.step, rank, self._manager.num_participants())
            self._manager.should_commit()
        return None

    def _sum(self, turn: Turn, mine: Float32, is_whole: Callable[[Float32], bool]) -> Float32 | None:
        """None: somebody was lost, and the step does not count."""
        with self._tolerating():
            sent = torch.from_numpy(mine)
            self._manager.allreduce(sent, reduce_op=ReduceOp.SUM).wait()
            if self._manager.errored() is None and not is_whole(sent.numpy()):
                self._manager.report_error(RuntimeError("a share is missing"))
            if self._manager.should_commit():
                self._peers = turn.peers
                return sent.numpy()
            log.warning("step is done again", extra={"step": turn.step, "peers": turn.peers})
        return None

    @contextmanager
    def _tolerating(self) -> Generator[None]:
        """What torchft raises when the lighthouse is away, or no quorum comes in time, ends an attempt, no more."""
        try:
            yield
        except (RuntimeError, TimeoutError, OSError) as error:
            log.warning("exchange failed", extra={"step": self.step, "why": str(error).splitlines()[0][:200]})
            time.sleep(RETRY_S)

    def _take_over(self, state: Any) -> None:
        """`state` is what our transport received. Raises Malformed: it is of other tensors than ours."""
        own = {name: (array.shape, array.dtype) for name, array in self._state().items()}
        if {name: (array.shape, array.dtype) for name, array in state.items()} != own:
            raise Malformed("a peer of this group trains another model: its tensors differ from ours")
        log.info("state taken over from a peer", extra={"step": self.step})
        self._load(state)

    def _max_state_bytes(self) -> int:
        state = self._state()
        names = sum(len(name) + MAX_ENTRY_BYTES for name in state)
        return sum(array.nbytes for array in state.values()) + names + MAX_COUNTERS_BYTES


class SafetensorsTransport(CheckpointTransport[Any]):
    """Hands this peer's state to those that join, over HTTP, as long as torchft allows it."""

    def __init__(self, host: str, timeout_s: float, max_state_bytes: Callable[[], int]) -> None:
        self._max_state_bytes = max_state_bytes
        self._condition = threading.Condition()
        self._offered: tuple[int, bytes] | None = None
        self._timeout_s = timeout_s
        transport = self

        class Handler(BaseHTTPRequestHandler):
            timeout = timeout_s

            def do_GET(self) -> None:
                data = transport.wait_for(self.path.removeprefix("/"))
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._url = f"http://{host}:{self._server.server_port}"

    def metadata(self) -> str:
        return self._url

    def send_checkpoint(self, dst_ranks: list[int], step: int, state_dict: Any, timeout: timedelta) -> None:
        data = encode_state(state_dict["user"]["default"], state_dict["torchft"])
        with self._condition:
            self._offered = (step, data)
            self._condition.notify_all()

    def disallow_checkpoint(self) -> None:
        with self._condition:
            self._offered = None

    def recv_checkpoint(self, src_rank: int, metadata: str, step: int, timeout: timedelta) -> Any:
        """Raises RuntimeError or OSError, which torchft takes for a failed attempt."""
        where = urlsplit(metadata)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout.total_seconds())
        try:
            connection.request("GET", f"/{step}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{metadata} does not offer its state of step {step}")
            data = answer.read((limit := self._max_state_bytes()) + 1)
            if len(data) > limit:
                raise RuntimeError(f"{metadata} sends a state of more than {limit} bytes")
        finally:
            connection.close()
        state, counters = decode_state(data)
        return {"user": {"default": state}, "torchft": counters}

    def shutdown(self, wait: bool = True) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, step: str) -> bytes | None:
        """The state of a step, which may be offered a moment after it is asked for."""
        with self._condition:
            self._condition.wait_for(lambda: self._offered is not None, self._timeout_s)
            return self._offered[1] if self._offered is not None and str(self._offered[0]) == step else None


def encode_state(state: State, counters: Mapping[str, int]) -> bytes:
    """Tensors and torchft's own counters as one safetensors file."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state.items()}
    return safetensors.numpy.save(arrays, {COUNTERS: json.dumps(dict(counters))})


def decode_state(data: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, int]]:
    """Raises Malformed: not what `encode_state` writes."""
    try:
        header_bytes = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + header_bytes])
        counters = json.loads(header["__metadata__"][COUNTERS])
        state = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Malformed(f"a peer's state cannot be read: {error}") from error
    if not isinstance(counters, dict) or not all(type(value) is int for value in counters.values()):  # pyright: ignore
        raise Malformed("a peer's counters are no integers")
    return state, counters  # pyright: ignore[reportUnknownVariableType]


class GlooOnHost(torchft.ProcessGroupGloo):
    """Gloo on one address, rather than on whichever the machine's name resolves to."""

    def __init__(self, host: str, timeout: timedelta) -> None:
        super().__init__(timeout=timeout)
        self._host = host

    def _create_pg(self, store: Any, rank: int, world_size: int) -> Any:
        options: Any = ProcessGroupGloo._Options()  # pyright: ignore
        options._devices = [ProcessGroupGloo.create_device(hostname=self._host)]  # pyright: ignore
        options._timeout = self._timeout
        backend: Any = ProcessGroupGloo(store, rank, world_size, options)  # pyright: ignore
        backend._set_sequence_number_for_group()
        group: Any = ProcessGroup(store, rank, world_size)
        group._set_default_backend(ProcessGroup.BackendType.GLOO)
        group._register_backend(torch.device("cpu"), ProcessGroup.BackendType.GLOO, backend)
        return group


def _store_on(host: str) -> tuple[Any, int]:
    """A store that listens on one address; by itself it takes all."""
    listening = socket.create_server((host, 0))
    port = int(listening.getsockname()[1])
    store = TCPStore(host, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())
    return store, port


def _manager_server(place: SyncPlace, store: Any, store_port: int, connect: timedelta) -> Any:
    """What speaks to the lighthouse for this peer, where `torchft.Manager` looks for it. Raises RuntimeError."""
    replica = f"peer_{place.seat}:{uuid.uuid4()}"  # the same seat again is another peer
    server = ManagerServer(
        replica_id=replica,
        lighthouse_addr=place.lighthouse,
        hostname=place.host,
        bind=f"{place.host}:0",
        store_addr=f"{place.host}:{store_port}",
        world_size=1,
        heartbeat_interval=timedelta(seconds=BEAT_S),
        connect_timeout=connect,
        quorum_retries=0,
    )
    store.set(MANAGER_ADDR_KEY, server.address())
    store.set(REPLICA_ID_KEY, replica)
    return server


def start_lighthouse(host: str, port: int, *, min_peers: int = 1, join_s: float = 1.0, beat_s: float = 3.0) -> Any:
    """The group's meeting point, until its `shutdown()`. One process of the operator runs it.

    `join_s`: how long a quorum waits for those who beat and have not asked yet; `beat_s`: who is silent for so long is
    dead. It keeps nothing that matters: when it dies, start another at the same place. Port 0: see `lighthouse_url`.
    """
    return LighthouseServer(
        bind=f"{host}:{port}",
        min_replicas=min_peers,
        join_timeout_ms=round(join_s * 1_000),
        heartbeat_timeout_ms=round(beat_s * 1_000),
    )


def lighthouse_url(lighthouse: Any, host: str) -> str:
    """Where peers find a lighthouse that was started on `host`: by itself it says the machine's name."""
    return f"http://{host}:{urlsplit(lighthouse.address()).port}"
