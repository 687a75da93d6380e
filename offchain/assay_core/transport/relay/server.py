"""The relay: an HTTP service that keeps shards and manifests and is trusted for availability only.

PUT/GET/HEAD /v1/manifests/{root}, PUT/GET/HEAD /v1/shards/{sha256} (ranges), GET /v1/bundles[/{root}],
PUT/GET /v1/tasks/{task}/epochs/{epoch}/signatures[/{operator}], GET /v1/health, /health, /metrics.
"""

import asyncio
import errno
import logging
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import uvicorn
from eth_utils.address import to_checksum_address
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, SHARD_BYTES, BundleKind, BundleLimits, parse_manifest
from assay_core.daemon.health import STALE_AFTER_S
from assay_core.protocol.errors import Malformed, Rejected, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.admission import Gate
from assay_core.transport.relay.arrivals import Arrivals
from assay_core.transport.relay.authority import Authoriser, SignatureChecker
from assay_core.transport.relay.messages import (
    COMING_HEADER,
    HOPS_HEADER,
    TRAIL_HEADER,
    Board,
    Health,
    Held,
    Listed,
    ListedBundle,
    Missing,
    SignatureIn,
    SignatureOut,
)
from assay_core.transport.relay.mirror import MAX_HOPS, Mirror, MirrorSettings
from assay_core.transport.relay.mirrored_board import MirroredBoard
from assay_core.transport.relay.request_timeouts import PunctualProtocol, RequestTimeouts
from assay_core.transport.relay.serving import FOREVER, RangedResponse, WholeShards
from assay_core.transport.relay.shard_store import DiskFull, Keep, QuotaExceeded, ShardStore
from assay_core.transport.relay.telemetry import REASON, Measured, Telemetry
from assay_core.transport.relay.upload import ROOT_HEADER

log = logging.getLogger(__name__)

Hex32 = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]
Task = Annotated[str, InPath(pattern="^(0|[1-9][0-9]{0,76})$")]
EpochNumber = Annotated[int, InPath(ge=0, lt=2**63)]
Operator = Annotated[str, InPath(pattern="^0x[0-9a-fA-F]{40}$")]

MAX_SIGNATURE_BODY_BYTES = 1_024
DAY_S = 86_400.0
DISK_FAULTS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE))
SWITCH_S = 5e-4  # threads that copy from upstreams must not hold up the one that serves for 5 ms at a time


class RelaySettings(BaseSettings):
    """`ASSAY_RELAY_*` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_RELAY_", frozen=True)

    directory: Path
    chain_id: int
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8_700
    quota_bytes: Annotated[int, Field(gt=0)] = 64 * 2**30
    """Per operator or initiator: declared sizes of what it has uploaded and was not collected."""
    bundle_bytes: Annotated[int, Field(gt=0)] = 8 * 2**30
    bundle_files: Annotated[int, Field(gt=0)] = 4_096
    min_free_bytes: Annotated[int, Field(ge=0)] = 2**30
    """Uploads are refused when they would leave less of the disk free."""
    task_keep_s: float = 365 * DAY_S
    policy_keep_s: float = 7 * DAY_S
    submission_keep_s: float = 7 * DAY_S
    evidence_keep_s: float = 30 * DAY_S
    newest_kept: Annotated[int, Field(ge=1)] = 16
    """That many bundles of each kind and payer outlive their window."""
    incomplete_s: float = 3_600.0
    collect_every_s: float = 600.0
    upstreams: tuple[Annotated[str, Field(pattern="^https?://[^/]")], ...] = ()
    """Relays to copy from whatever somebody asks for here and is not here."""
    follow_s: Annotated[float, Field(ge=0)] = 1.0
    """How often upstreams are asked for what is new, to copy it all; 0: only what somebody asks for is copied."""
    mirror_bytes: Annotated[int, Field(gt=0)] = 64 * 2**30
    """Quota of all that is copied from upstreams."""
    max_signature_s: float = DAY_S
    """How far ahead an upload's signature may expire."""
    idle_s: float = 20.0
    min_bytes_per_s: Annotated[int, Field(gt=0)] = 16_384
    max_connections: Annotated[int, Field(gt=0)] = 512
    stale_after_s: Annotated[float, Field(gt=0)] = STALE_AFTER_S
    """For how long the store may not answer, or upstreams not be asked, before /health says 503."""

    def keep(self) -> dict[BundleKind, Keep]:
        seconds = {
            BundleKind.TASK: self.task_keep_s,
            BundleKind.POLICY: self.policy_keep_s,
            BundleKind.SUBMISSION: self.submission_keep_s,
            BundleKind.EVIDENCE: self.evidence_keep_s,
        }
        return {kind: Keep(seconds[kind], self.newest_kept) for kind in BundleKind}

    def limits(self) -> BundleLimits:
        return BundleLimits(self.bundle_bytes, self.bundle_files)

    def mirror(self) -> MirrorSettings:
        return MirrorSettings(self.upstreams, self.limits(), self.mirror_bytes, self.follow_s, self.min_free_bytes)


def create_relay(
    settings: RelaySettings,
    authoriser: Authoriser,
    checker: SignatureChecker,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The relay as an application. It opens its directory here and closes it when the server stops."""
    shards = ShardStore(settings.directory, settings.keep(), settings.incomplete_s, clock)

    mirror = Mirror(settings.mirror(), shards) if settings.upstreams else None
    telemetry = Telemetry(
        shards,
        mirror,
        settings.directory,
        stale_after_s=settings.stale_after_s,
        min_free_bytes=settings.min_free_bytes,
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        arrivals.listen(asyncio.get_running_loop())
        chores = _collect_regularly(shards, settings.collect_every_s), telemetry.beat_regularly()
        tasks = [asyncio.create_task(chore) for chore in chores]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        telemetry.ends()
        if mirror is not None:
            await run_in_threadpool(mirror.close)
        shards.close()

    app = FastAPI(title="Assay relay", version="1", lifespan=lifespan, redirect_slashes=False)
    app.add_middleware(RequestTimeouts, idle_s=settings.idle_s, min_bytes_per_s=settings.min_bytes_per_s)
    arrivals = Arrivals(shards)
    app.add_middleware(WholeShards, shards=shards, arrivals=arrivals, most_wait_s=settings.idle_s / 2)
    app.add_middleware(Measured, telemetry=telemetry)
    telemetry.serve_on(app)
    _answer_errors(app)
    gate = Gate(authoriser, chain_id=settings.chain_id, max_signature_s=settings.max_signature_s, clock=clock)
    _serve_manifests(app, shards, gate, settings, mirror)
    _serve_shards(app, shards, gate, settings)
    _serve_board(app, shards, checker, mirror and MirroredBoard(mirror.upstreams, shards, checker, MAX_HOPS))

    @app.get("/v1/health")
    def health() -> Health:  # pyright: ignore[reportUnusedFunction]
        bundles, size = shards.totals()
        return Health(status="ok", bundles=bundles, shard_bytes=size, free_bytes=shards.free_bytes())

    return app


def serve(settings: RelaySettings, authoriser: Authoriser, checker: SignatureChecker) -> None:
    """Run a relay until Ctrl-C or SIGTERM; requests that are under way are given a few seconds to end.

    Raises Stop: the port is taken, or another relay uses the directory.
    """
    sys.setswitchinterval(SWITCH_S)
    with _listen(settings.host, settings.port) as listener:
        server = uvicorn.Server(server_config(settings, create_relay(settings, authoriser, checker)))
        log.info("relay listens", extra={"host": settings.host, "port": listener.getsockname()[1]})
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has shut down
            server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        raise Stop(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error


def server_config(settings: RelaySettings, app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves a relay: no WebSockets, no log of accesses, bounded requests."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=PunctualProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=max(1, int(settings.idle_s)),
        timeout_graceful_shutdown=3,
    )


# ---------------------------------------------------------------------------------------------------- manifests


def _serve_manifests(
    app: FastAPI, shards: ShardStore, gate: Gate, settings: RelaySettings, mirror: Mirror | None
) -> None:
    limits = settings.limits()

    @app.put("/v1/manifests/{root}")
    async def put_manifest(root: Hex32, request: Request) -> Missing:  # pyright: ignore[reportUnusedFunction]
        """Begin an upload, or ask what is missing of it."""
        payer = await run_in_threadpool(gate.payer, request, _root(root))
        data = await _read_body(request, MAX_MANIFEST_BYTES)

        def accept() -> Missing:
            manifest = parse_manifest(data, limits, _root(root))
            shards.require_space(manifest.size_bytes, settings.min_free_bytes)
            missing = shards.add_manifest(manifest, data, payer, settings.quota_bytes)
            return Missing(missing=[digest.hex() for digest in missing])

        return await run_in_threadpool(accept)

    @app.api_route("/v1/manifests/{root}", methods=["GET", "HEAD"])
    def get_manifest(  # pyright: ignore[reportUnusedFunction]
        root: Hex32, request: Request, unfinished: bool = False
    ) -> Response:
        """The manifest of a bundle that is here in full, or, if `unfinished` will do, that is coming in; else 404.

        A mirror that lacks it asks its upstreams first.
        """
        path = shards.manifest_path(_root(root), unfinished=unfinished)
        if path is None and mirror is not None and request.method == "GET":
            with suppress(Unavailable, Rejected):  # the answer to our client is the same: not here
                mirror.find(_root(root), _hops(request), request.headers.get(TRAIL_HEADER, ""))
            path = shards.manifest_path(_root(root), unfinished=unfinished)
        return _file_response(path, root, "application/json", request)

    @app.get("/v1/bundles")
    def get_bundles(after: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0) -> Listed:  # pyright: ignore[reportUnusedFunction]
        """Bundles that began to come in after a moment of this relay's clock, oldest first, 256 at most."""
        found = shards.bundles_since(after)
        return Listed(bundles=[ListedBundle(root=root.hex(), added_at=added_at) for root, added_at in found])

    @app.get("/v1/bundles/{root}")
    def get_bundle(root: Hex32) -> Held:  # pyright: ignore[reportUnusedFunction]
        """For how long all of a bundle has been here; else 404. No mirror asks others for it."""
        if (held_s := shards.held_s(_root(root))) is None:
            raise HTTPException(404, "not here, or not in full")
        return Held(held_s=held_s)


# ------------------------------------------------------------------------------------------------------- shards


def _serve_shards(app: FastAPI, shards: ShardStore, gate: Gate, settings: RelaySettings) -> None:
    @app.put("/v1/shards/{sha256}", status_code=201)
    async def put_shard(sha256: Hex32, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Upload one shard of the bundle named in X-Assay-Root, whose manifest must list it."""
        root, digest = _root(request.headers.get(ROOT_HEADER, "")), bytes.fromhex(sha256)
        await run_in_threadpool(gate.payer, request, root)
        size = await run_in_threadpool(shards.expected_bytes, root, digest)
        if size is None:
            raise HTTPException(409, "no manifest uploaded here lists this shard under that root: upload it first")
        _check_length(request, size)
        shards.require_space(size, settings.min_free_bytes)
        with shards.receive(digest, size) as shard:
            async for piece in request.stream():
                shard.write(piece)
            await run_in_threadpool(shard.land, root)
        return Response(status_code=201)

    @app.api_route("/v1/shards/{sha256}", methods=["GET", "HEAD"])
    def get_shard(sha256: Hex32, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Parts of a shard; whole ones are served, and waited for, by WholeShards. 503: it is on its way here."""
        digest = bytes.fromhex(sha256)
        path = shards.shard_file(digest)
        if not path.exists() and shards.is_on_its_way(digest):
            raise HTTPException(503, "on its way here: ask again", {COMING_HEADER: "yes"})
        return _file_response(path, sha256, "application/octet-stream", request)


# -------------------------------------------------------------------------------------------------------- board


def _serve_board(app: FastAPI, shards: ShardStore, checker: SignatureChecker, mirrored: MirroredBoard | None) -> None:
    @app.put("/v1/tasks/{task}/epochs/{epoch}/signatures/{operator}", status_code=204)
    async def put_signature(  # pyright: ignore[reportUnusedFunction]
        task: Task, epoch: EpochNumber, operator: Operator, request: Request
    ) -> None:
        """Post an enlisted verifier's signature of the policy root it derived."""
        data = await _read_body(request, MAX_SIGNATURE_BODY_BYTES)
        try:
            body = SignatureIn.model_validate_json(data)
        except ValidationError as error:
            raise Malformed(f"body must hold policy_root and signature in hex: {error.errors()[0]['msg']}") from error
        signed = PolicySignature(_address(operator), _root(body.policy_root), bytes.fromhex(body.signature))

        def accept() -> None:
            task_id, number = TaskId(int(task)), Epoch(epoch)
            if not checker.is_signed_by(task_id, number, signed.operator, signed.policy_root, signed.signature):
                raise HTTPException(403, f"not the signature of a verifier {operator} of epoch {epoch} of task {task}")
            shards.add_signature(task_id, number, signed)

        await run_in_threadpool(accept)

    @app.get("/v1/tasks/{task}/epochs/{epoch}/signatures")
    def get_signatures(  # pyright: ignore[reportUnusedFunction]
        task: Task, epoch: EpochNumber, request: Request
    ) -> Board:
        """What is posted here, and, on a mirror, what its upstreams have."""
        if mirrored is not None:
            mirrored.catch_up(TaskId(int(task)), Epoch(epoch), _hops(request))
        return Board(signatures=[_signature_out(s) for s in shards.signatures(TaskId(int(task)), Epoch(epoch))])

    @app.get("/v1/tasks/{task}/epochs/{epoch}/signatures/{operator}")
    def get_signature(  # pyright: ignore[reportUnusedFunction]
        task: Task, epoch: EpochNumber, operator: Operator, request: Request
    ) -> Board:
        board = get_signatures(task, epoch, request)
        return Board(signatures=[s for s in board.signatures if s.operator == _address(operator)])


def _signature_out(signed: PolicySignature) -> SignatureOut:
    return SignatureOut(
        operator=signed.operator, policy_root=signed.policy_root.hex(), signature=signed.signature.hex()
    )


# ------------------------------------------------------------------------------------------- bodies, addresses


async def _read_body(request: Request, limit: int) -> bytes:
    """The whole body, of which no more than `limit` bytes are ever held."""
    announced = request.headers.get("content-length", "0")
    if not _is_number(announced) or int(announced) > limit:
        raise HTTPException(413, f"body exceeds {limit} bytes")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise HTTPException(413, f"body exceeds {limit} bytes")
    return bytes(data)


def _is_number(text: str) -> bool:
    """Digits as HTTP knows them: not those of other scripts, nor so many that Python refuses to read them."""
    return text.isascii() and text.isdigit() and len(text) <= 20


def _check_length(request: Request, size: int) -> None:
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(size):
        raise HTTPException(
            413 if _is_number(announced) and int(announced) > SHARD_BYTES else 400,
            f"shard must have the {size} bytes of its manifest, not {announced[:20]}",
        )


def _hops(request: Request) -> int:
    text = request.headers.get(HOPS_HEADER, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 99


def _root(text: str) -> Root:
    if len(text) != 64:
        raise HTTPException(400, f"{ROOT_HEADER} must name the bundle's root in 64 hex digits")
    try:
        return Root(bytes.fromhex(text))
    except ValueError as error:
        raise HTTPException(400, f"{text!r} is not a root in hex") from error


def _address(text: str) -> Address:
    return Address(to_checksum_address(text))


def _file_response(path: Path | None, name: str, media_type: str, request: Request) -> Response:
    etag = f'"{name}"'
    try:
        stat = path.stat() if path is not None else None
    except FileNotFoundError:  # collected this moment
        stat = None
    if path is None or stat is None:
        raise HTTPException(404, "not here, or not in full")
    headers = {"ETag": etag, **FOREVER}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return RangedResponse(path, media_type=media_type, headers=headers, stat_result=stat)


def _answer_errors(app: FastAPI) -> None:
    """Protocol errors become responses that say whose fault it is."""

    def answer(status: int, reason: str | None = None) -> Callable[[Request, Exception], JSONResponse]:
        def refuse(request: Request, error: Exception) -> JSONResponse:
            request.scope[REASON] = reason
            return JSONResponse({"detail": str(error)[:500]}, status)

        return refuse

    def answer_disk(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, OSError) and error.errno not in DISK_FAULTS:
            raise error  # such as TimeoutError, which is RequestTimeouts's to answer
        log.error("the disk does not take more", extra={"why": str(error)})
        return JSONResponse({"detail": "this relay cannot store anything now: use another"}, 507)

    app.add_exception_handler(Rejected, answer(400))
    app.add_exception_handler(QuotaExceeded, answer(413, "quota"))
    app.add_exception_handler(Unavailable, answer(503))
    app.add_exception_handler(DiskFull, answer(507))
    for error in (OSError, sqlite3.OperationalError):  # the disk: full, or worse
        app.add_exception_handler(error, answer_disk)
    app.add_exception_handler(
        ClientDisconnect, answer(400, "client_left")
    )  # nobody reads it; the log stays free of tracebacks


async def _collect_regularly(shards: ShardStore, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            removed = await run_in_threadpool(shards.collect)
        except Exception:
            log.exception("collection failed")
            continue
        if removed:
            log.info("bundles collected", extra={"bundles": removed})
