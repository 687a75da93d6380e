"""The meeting point of a swarm: which peers hold which bundle, and the policy signatures. It keeps no bundle.

PUT/GET /v1/swarm/{root}, PUT/GET /v1/tasks/{task}/epochs/{epoch}/signatures[/{operator}]. Everything is soft: holders
announce themselves again and again, so a tracker that starts again is complete within one round, and several trackers
need not know each other. A tracker can hide peers, and name peers that do not exist; it cannot make anybody use wrong
bytes.
"""

import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import uvicorn
from eth_utils.address import to_checksum_address
from fastapi import FastAPI, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.admission import Gate
from assay_core.transport.relay.authority import Authoriser, SignatureChecker
from assay_core.transport.relay.messages import Board, SignatureIn, SignatureOut
from assay_core.transport.relay.request_timeouts import PunctualProtocol, RequestTimeouts

log = logging.getLogger(__name__)

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
RootHex = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]
Task = Annotated[str, InPath(pattern="^(0|[1-9][0-9]{0,76})$")]
EpochNumber = Annotated[int, InPath(ge=0, lt=2**63)]
Operator = Annotated[str, InPath(pattern="^0x[0-9a-fA-F]{40}$")]

NOTICE_S = 120.0
"""How long a peer counts as a holder without saying so again."""
MAX_NOTICES = 100_000
MAX_NOTICES_PER_PAYER = 4_096
MAX_PEERS_TOLD = 50
MAX_BODY_BYTES = 1_024
MAX_SIGNATURES = 10_000
MAX_SIGNATURE_S = 86_400.0
MAX_CONNECTIONS = 512


class NoticeIn(BaseModel):
    """`info_hash` is that of a version 2 torrent; `port` is where the sender's address serves it."""

    info_hash: Hex32
    port: Annotated[int, Field(gt=0, le=65_535)]
    is_whole: bool = True
    """False: it is still fetching, and serves what it has so far."""


class NoticeOut(BaseModel):
    info_hash: Hex32
    host: Annotated[str, Field(max_length=64)]
    port: Annotated[int, Field(gt=0, le=65_535)]
    is_whole: bool


class Notices(BaseModel):
    """Of one bundle, at most MAX_PEERS_TOLD, the newest first."""

    notices: Annotated[list[NoticeOut], Field(max_length=MAX_PEERS_TOLD)]


@dataclass(frozen=True, slots=True)
class Holder:
    """One peer's word that it has a bundle."""

    payer: Address
    notice: NoticeOut
    until: float


class Notes:
    """What is on a tracker, in memory and bounded: the oldest leave first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._holders: OrderedDict[tuple[Root, str, int], Holder] = OrderedDict()
        self._signatures: OrderedDict[tuple[TaskId, Epoch, Address], PolicySignature] = OrderedDict()

    def note(self, root: Root, payer: Address, notice: NoticeOut) -> bool:
        """False: this payer has too many notices already."""
        with self._lock:
            key = (root, notice.host, notice.port)
            self._expire()
            if key not in self._holders and self._count(payer) >= MAX_NOTICES_PER_PAYER:
                return False
            self._holders[key] = Holder(payer, notice, self._clock() + NOTICE_S)
            self._holders.move_to_end(key)
            while len(self._holders) > MAX_NOTICES:
                self._holders.popitem(last=False)
            return True

    def holders(self, root: Root) -> list[NoticeOut]:
        """One payer's notices are told after those of others, so that nobody can drown out the rest."""
        with self._lock:
            self._expire()
            found = [holder for key, holder in reversed(self._holders.items()) if key[0] == root]
        turn: dict[Address, int] = {}
        ranked: list[tuple[int, int, NoticeOut]] = []
        for place, holder in enumerate(found):
            turn[holder.payer] = turn.get(holder.payer, 0) + 1
            ranked.append((turn[holder.payer], place, holder.notice))
        return [notice for _, _, notice in sorted(ranked, key=lambda each: each[:2])][:MAX_PEERS_TOLD]

    def sign(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        with self._lock:
            self._signatures[task_id, epoch, signed.operator] = signed
            self._signatures.move_to_end((task_id, epoch, signed.operator))
            while len(self._signatures) > MAX_SIGNATURES:
                self._signatures.popitem(last=False)

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        with self._lock:
            return [signed for key, signed in self._signatures.items() if key[:2] == (task_id, epoch)]

    def _count(self, payer: Address) -> int:
        return sum(holder.payer == payer for holder in self._holders.values())

    def _expire(self) -> None:
        while self._holders:
            key, holder = next(iter(self._holders.items()))  # in order of their last word, so of their end
            if holder.until > self._clock():
                return
            del self._holders[key]


def create_tracker(
    authoriser: Authoriser,
    checker: SignatureChecker,
    *,
    chain_id: int,
    idle_s: float = 20.0,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The tracker as an application."""
    app = FastAPI(title="Assay swarm tracker", version="1", redirect_slashes=False)
    app.add_middleware(RequestTimeouts, idle_s=idle_s, min_bytes_per_s=1_024)
    app.add_exception_handler(Unavailable, lambda _, error: JSONResponse({"detail": str(error)[:500]}, 503))
    gate = Gate(authoriser, chain_id=chain_id, max_signature_s=MAX_SIGNATURE_S, clock=clock)
    notes = Notes(clock)

    @app.middleware("http")
    async def limit_body(request: Request, call_next):  # pyright: ignore  # starlette's own types
        announced = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
            return JSONResponse({"detail": f"body must announce at most {MAX_BODY_BYTES} bytes"}, 413)
        return await call_next(request)

    @app.put("/v1/swarm/{root}", status_code=204)
    async def put_notice(root: RootHex, notice: NoticeIn, request: Request) -> None:  # pyright: ignore[reportUnusedFunction]
        """Say that the sender's address serves a bundle."""
        bundle = Root(bytes.fromhex(root))
        payer = await run_in_threadpool(gate.payer, request, bundle)
        host = request.client.host if request.client is not None else ""
        told = NoticeOut(info_hash=notice.info_hash, host=host, port=notice.port, is_whole=notice.is_whole)
        if not notes.note(bundle, payer, told):
            raise HTTPException(413, f"{payer} has {MAX_NOTICES_PER_PAYER} notices here already")

    @app.get("/v1/swarm/{root}")
    def get_notices(root: RootHex) -> Notices:  # pyright: ignore[reportUnusedFunction]
        return Notices(notices=notes.holders(Root(bytes.fromhex(root))))

    @app.put("/v1/tasks/{task}/epochs/{epoch}/signatures/{operator}", status_code=204)
    def put_signature(  # pyright: ignore[reportUnusedFunction]
        task: Task, epoch: EpochNumber, operator: Operator, body: SignatureIn
    ) -> None:
        """Post an enlisted verifier's signature of the policy root it derived."""
        signed = PolicySignature(
            Address(to_checksum_address(operator)),
            Root(bytes.fromhex(body.policy_root)),
            bytes.fromhex(body.signature),
        )
        task_id, number = TaskId(int(task)), Epoch(epoch)
        if not checker.is_signed_by(task_id, number, signed.operator, signed.policy_root, signed.signature):
            raise HTTPException(403, f"not the signature of a verifier {operator} of epoch {epoch} of task {task}")
        notes.sign(task_id, number, signed)

    @app.get("/v1/tasks/{task}/epochs/{epoch}/signatures")
    def get_signatures(task: Task, epoch: EpochNumber) -> Board:  # pyright: ignore[reportUnusedFunction]
        return Board(
            signatures=[
                SignatureOut(
                    operator=signed.operator,
                    policy_root=signed.policy_root.hex(),
                    signature=signed.signature.hex(),
                )
                for signed in notes.signatures(TaskId(int(task)), Epoch(epoch))
            ]
        )

    return app


def serve_tracker(app: FastAPI, host: str, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises Stop: the port is taken."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Stop(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    with listener:
        config = uvicorn.Config(
            app,
            http=PunctualProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=3,
        )
        log.info("tracker listens", extra={"host": host, "port": listener.getsockname()[1]})
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has shut down
            uvicorn.Server(config).run(sockets=[listener])
