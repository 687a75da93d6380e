"""What a relay tells of itself: a heartbeat, `/health` and `/metrics`. What is kept is counted now and then, not at
each request, so that strangers who ask cost little.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay_core.daemon.health import health_of
from assay_core.daemon.heartbeat import FILE_NAME, WRITTEN_EVERY_S, Beat, BeatFile
from assay_core.daemon.metrics import CONTENT_TYPE, Readings, text_of
from assay_core.transport.relay.mirror import Mirror
from assay_core.transport.relay.request_timeouts import PATHSEND
from assay_core.transport.relay.shard_store import ShardStore

log = logging.getLogger(__name__)

REASON = "assay.refused_because"
"""Where in a request's scope stands why it is refused, if its status does not tell."""
REASONS = {
    400: "malformed",
    401: "not_signed",
    403: "not_permitted",
    404: "not_found",
    408: "too_slow",
    409: "no_manifest",
    413: "too_large",
    422: "malformed",
    503: "unavailable",
    507: "disk_full",
}
KINDS = {"shards": "shard", "manifests": "manifest", "bundles": "list", "tasks": "signature"}
METHODS = frozenset({"GET", "HEAD", "PUT"})
SECONDS = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)  # bounds of the latencies' buckets


@dataclass(frozen=True, slots=True)
class Kept:
    """What a relay kept when it last looked. Bytes."""

    bundles: int = 0
    shard_bytes: int = 0
    free_bytes: int = 0


class Telemetry:
    """Of one relay."""

    def __init__(
        self,
        shards: ShardStore,
        mirror: Mirror | None,
        directory: Path,
        *,
        stale_after_s: float,
        min_free_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`stale_after_s`: for how long the store may not answer, or the mirror not look, before it is unhealthy."""
        self._shards, self._mirror, self._clock = shards, mirror, clock
        self._stale_after_s, self._min_free_bytes = stale_after_s, min_free_bytes
        self._file, self._kept, now = BeatFile(directory / FILE_NAME), Kept(), clock()
        self._beat = Beat("relay", None, looked_at=now, doing="starts", since=now)
        self.registry = CollectorRegistry()
        labels, to = ["method", "kind"], self.registry
        words = "Seconds that requests took"
        self._seconds = Histogram("assay_relay_request_seconds", words, labels, buckets=SECONDS, registry=to)
        words, labels = "Uploads, taken or why not", ["kind", "outcome"]
        self._uploads = Counter("assay_relay_uploads", words, labels, registry=to)
        self._served = Counter("assay_relay_shards_served", "Shards, or parts of them, that were sent", registry=to)
        self._sent = Counter("assay_relay_sent_bytes", "Bytes of answers, without heads", registry=to)
        self.registry.register(Readings(self._readings))

    async def beat_regularly(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await run_in_threadpool(self.look)
            except (OSError, sqlite3.Error) as error:
                log.warning("the store does not answer", extra={"why": str(error)})
            await asyncio.sleep(min(WRITTEN_EVERY_S, self._stale_after_s / 3))

    def look(self) -> None:
        """One heartbeat. Raises OSError, sqlite3.Error: the store does not answer."""
        kept = self._kept = Kept(*self._shards.totals(), self._shards.free_bytes())
        doing = f"keeps {kept.bundles} bundles, {kept.shard_bytes / 1e6:.1f} MB; {kept.free_bytes / 1e9:.1f} GB free"
        looked_at = self._clock()
        if self._mirror is not None:
            doing += f"; mirrors {len(self._mirror.states())} relays"
            looked_at -= self._mirror.follow_age_s
        self._beat = replace(self._beat, looked_at=looked_at, doing=doing)
        self._file.write(self._beat)

    def ends(self) -> None:
        """Write the last heartbeat."""
        self._beat = replace(self._beat, doing="stopped, as it was asked to")
        self._file.write(self._beat)

    def serve_on(self, app: FastAPI) -> None:
        """Add the two routes."""

        @app.get("/health", responses={503: {}})
        async def health() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
            """503 while the store does not answer or the mirror does not look, which no request might show."""
            found = health_of([self._beat], self._clock(), self._stale_after_s)
            takes_uploads = self._kept.free_bytes >= self._min_free_bytes
            return JSONResponse({**found.json(), "takes_uploads": takes_uploads}, found.code)

        @app.get("/metrics")
        def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
            """In Prometheus' text format."""
            return Response(text_of(self.registry), media_type=CONTENT_TYPE)

    def note(self, scope: Scope, status: int, seconds: float, sent_bytes: int) -> None:
        """A request that has been answered, or given up (0)."""
        method, parts = scope["method"], scope["path"].split("/")
        kind = KINDS.get(parts[2], "other") if len(parts) > 2 and parts[1] == "v1" else "other"
        self._seconds.labels(method if method in METHODS else "other", kind).observe(seconds)
        self._sent.inc(sent_bytes)
        if method == "PUT":
            outcome = "taken" if 200 <= status < 300 else scope.get(REASON) or REASONS.get(status, "failed")
            self._uploads.labels(kind, outcome).inc()
        elif kind == "shard" and method == "GET" and status in (200, 206):
            self._served.inc()

    def _readings(self) -> Iterator[Metric]:
        now, kept = self._clock(), self._kept
        for name, words, value in (
            ("bundles", "Whole bundles that are kept", kept.bundles),
            ("kept_bytes", "Bytes of shards that are kept", kept.shard_bytes),
            ("free_bytes", "Bytes free on the disk", kept.free_bytes),
            ("look_age_seconds", "Since the store answered and the mirror looked", now - self._beat.looked_at),
        ):
            yield GaugeMetricFamily(f"assay_relay_{name}", words, value)
        if self._mirror is not None:
            yield from _of_mirror(self._mirror)


def _of_mirror(mirror: Mirror) -> Iterator[Metric]:
    success = GaugeMetricFamily(
        "assay_relay_mirror_success_age_seconds", "Since an upstream answered", labels=["upstream"]
    )
    failure = GaugeMetricFamily("assay_relay_mirror_failure_age_seconds", "Since one failed", labels=["upstream"])
    dropped = GaugeMetricFamily("assay_relay_mirror_dropped", "1: one that lied, asked no more", labels=["upstream"])
    for state in mirror.states():
        name = [_place(state.url)]
        if state.success_age_s is not None:
            success.add_metric(name, state.success_age_s)
        if state.failure_age_s is not None:
            failure.add_metric(name, state.failure_age_s)
        dropped.add_metric(name, float(state.is_dropped))
    yield from (success, failure, dropped)
    copies = CounterMetricFamily("assay_relay_mirror_copies", "Attempts to copy a bundle", labels=["outcome"])
    for outcome, count in dict(mirror.copies).items():
        copies.add_metric([outcome], count)
    yield copies


def _place(url: str) -> str:
    """Scheme, host and port: what follows might hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Measured:
    """ASGI wrapper: notes how long each request took, what was answered, and how many bytes were sent."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, length, sent_bytes = time.perf_counter(), 0, 0, 0

        async def send_and_note(message: Message) -> None:
            nonlocal status, length, sent_bytes
            await send(message)
            if message["type"] == "http.response.start":
                status, length = message["status"], _length(message.get("headers", ()))
            else:
                sent_bytes += length if message["type"] == PATHSEND else len(message.get("body", b""))

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._telemetry.note(scope, status, time.perf_counter() - began, sent_bytes)


def _length(headers: Any) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)
