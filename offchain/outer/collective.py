"""Synchronous exchange between machines that trust each other: one operator's own, or a few sites', in place of PCCL.

torchft is the engine: its lighthouse says who is there, Gloo adds up, its two-phase commit says whether a step counts.
This module adds what Assay needs around it. Peers join and leave between any two steps. One that dies in an exchange
costs the others a time limit: they exchange the same updates again without it, so no inner step is lost. One that joins
takes weights, momentum and step over from a peer; after a total loss all go on from the last policy version.

State travels as safetensors: torchft's own transports unpickle what they receive, which we do of nobody's bytes.
"""

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import safetensors.numpy
import torch
import torchft
from safetensors import SafetensorError
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torchft.checkpointing.transport import CheckpointTransport
from torchft.coordination import LighthouseServer

from offchain.outer.codecs import Float32
from offchain.protocol.errors import Malformed, Unavailable

log = logging.getLogger(__name__)

Tensors = dict[str, Float32]
COUNTERS = "counters"
MAX_COUNTERS_BYTES = 1_024
RETRY_S = 0.2


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
    patience_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The weighted mean of an outer step, and of how many peers; `attempts` above 1: somebody left in the middle."""

    mean: Tensors
    peers: int
    attempts: int


class SyncGroup:
    """One peer's membership. Its `state` is given to those who join; `load` takes another's over."""

    def __init__(
        self,
        place: SyncPlace,
        state: Callable[[], Mapping[str, Float32]],
        load: Callable[[Tensors], None],
        *,
        step: int = 0,
        limits: SyncLimits | None = None,
    ) -> None:
        """`step`: that of the policy version which this peer starts from. Raises Unavailable: no lighthouse."""
        self._limits = limits or SyncLimits()
        self._load = load
        self._taken_over = False
        self._store = TCPStore(place.host, 0, is_master=True, wait_for_workers=False)
        exchange, join = timedelta(seconds=self._limits.exchange_s), timedelta(seconds=self._limits.join_s)
        self._state = state
        self._transport = SafetensorsTransport(place.host, self._limits.exchange_s, self._max_state_bytes)
        try:
            self._manager = torchft.Manager(
                pg=torchft.ProcessGroupGloo(timeout=exchange),
                state_dict=lambda: dict(state()),
                load_state_dict=self._take_over,
                min_replica_size=self._limits.min_peers,
                use_async_quorum=False,
                init_sync=False,
                timeout=exchange,
                quorum_timeout=join,
                connect_timeout=exchange,
                rank=0,
                world_size=1,
                store_addr=place.host,
                store_port=self._store.port,
                lighthouse_addr=place.lighthouse,
                replica_id=f"peer_{place.seat}",
                hostname=place.host,
                checkpoint_transport=self._transport,
            )
        except (RuntimeError, TimeoutError) as error:
            self._transport.shutdown()
            raise Unavailable(f"no lighthouse at {place.lighthouse}: {error}") from error
        self._manager.load_state_dict({"step": step, "batches_committed": 0})

    def close(self) -> None:
        """Leave the group; the others go on."""
        self._manager.shutdown(wait=False)

    @property
    def step(self) -> int:
        """Outer steps that count so far."""
        return self._manager.current_step()

    def exchange(self, update: Mapping[str, Float32], weight: float = 1.0) -> Exchanged:
        """The weighted mean of all peers' updates for this step, once it counts.

        A peer that turns out to be behind is first brought up to date (`load`), and its update, made from older
        weights, has no say. Raises Unavailable: no exchange succeeded within `patience_s`.
        """
        until = time.monotonic() + self._limits.patience_s
        self._taken_over = False
        attempts = 0
        while time.monotonic() < until:
            attempts += 1
            try:
                if (found := self._attempt(update, weight)) is not None:
                    return Exchanged(found[0], found[1], attempts)
            except (RuntimeError, TimeoutError) as error:  # lighthouse away, no quorum in time
                log.warning("exchange failed", extra={"step": self.step, "why": str(error).splitlines()[0][:200]})
            time.sleep(RETRY_S)
        raise Unavailable(f"no exchange of step {self.step} succeeded in {self._limits.patience_s:g} s")

    def _attempt(self, update: Mapping[str, Float32], weight: float) -> tuple[Tensors, int] | None:
        self._manager.start_quorum()
        sent = torch.from_numpy(_pack(update, 0.0 if self._taken_over else weight))
        self._manager.allreduce(sent).wait()
        peers = self._manager.num_participants()
        if not self._manager.should_commit():
            return None
        mean = _unpack(sent.numpy(), update)
        if mean is None:  # all of them have just joined: nobody had a say
            return {name: np.zeros_like(array) for name, array in update.items()}, peers
        return mean, peers

    def _take_over(self, state: Any) -> None:
        """`state` is what our transport received. Raises Malformed: it is of other tensors than ours."""
        own = {name: (array.shape, array.dtype) for name, array in self._state().items()}
        if {name: (array.shape, array.dtype) for name, array in state.items()} != own:
            raise Malformed("a peer of this group trains another model: its tensors differ from ours")
        log.info("state taken over from a peer", extra={"step": self.step})
        self._taken_over = True
        self._load(state)

    def _max_state_bytes(self) -> int:
        return len(encode_state(self._state(), {})) + MAX_COUNTERS_BYTES


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


def encode_state(state: Mapping[str, Float32], counters: Mapping[str, int]) -> bytes:
    """Tensors and torchft's own counters as one safetensors file."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state.items()}
    return safetensors.numpy.save(arrays, {COUNTERS: json.dumps(dict(counters))})


def decode_state(data: bytes) -> tuple[Tensors, dict[str, int]]:
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


def start_lighthouse(host: str, port: int, *, min_peers: int = 1, join_s: float = 1.0, beat_s: float = 3.0) -> Any:
    """The group's meeting point, until its `shutdown()`. One process of the operator runs it.

    `join_s`: how long a quorum waits for those who beat and have not asked yet; `beat_s`: who is silent for so long is
    dead. It keeps nothing that matters: when it dies, start another at the same place.
    """
    return LighthouseServer(
        bind=f"{host}:{port}",
        min_replicas=min_peers,
        join_timeout_ms=round(join_s * 1_000),
        heartbeat_timeout_ms=round(beat_s * 1_000),
    )


def _pack(update: Mapping[str, Float32], weight: float) -> Float32:
    """[D + 1]: the weighted tensors in order of name, and the weight."""
    parts: Sequence[Float32] = [update[name].reshape(-1) * np.float32(weight) for name in sorted(update)]
    return np.concatenate([*parts, np.full(1, weight, np.float32)])


def _unpack(mean: Float32, like: Mapping[str, Float32]) -> Tensors | None:
    """None: the weights add up to nothing."""
    if not mean[-1] > 0:
        return None
    found: Tensors = {}
    offset = 0
    for name in sorted(like):
        size = like[name].size
        found[name] = (mean[offset : offset + size] / mean[-1]).reshape(like[name].shape)
        offset += size
    return found
