"""What the trainer notes of itself while it works: signs of life, latencies, failures; for `status` and `/metrics`."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram

from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.events import Position
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.signers import Signer
from assay_core.daemon.heartbeat import WRITTEN_EVERY_S, Beat, BeatFile, Sources
from assay_core.protocol.errors import Rejected, Stop, Unavailable
from assay_core.protocol.types import Address, Root
from assay_trainer.account import account_of, submissions_by_state

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 10_800)  # bounds of the latencies' buckets


class Pulse:
    """Of one task. The worker's thread notes, any thread reads `beat`, `submissions` and `registry`."""

    def __init__(
        self,
        task_id: int = 0,
        file: Path | None = None,
        sources: Sources | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`file`: where the heartbeat is written; None: nowhere."""
        self._file = None if file is None else BeatFile(file)
        self._sources, self._clock, self._written_at = sources or Sources(), clock, 0.0
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "assay_stage_seconds",
            "What a stage of a submission took",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._failures = Counter("assay_failures", "Failures", ["of", "kind"], registry=self.registry)
        now = clock()
        self.beat = Beat("trainer", task_id, looked_at=now, doing="starts", since=now)
        self.submissions: Mapping[str, int] = {}
        self._position: Position | None = None

    def looked(self, ledger: TaskLedger, trainer: Address) -> None:
        """After a look at the chain that succeeded."""
        now, before, sources = self._clock(), self.beat, self._sources
        is_news = ledger.position != self._position
        if is_news:
            self._position, self.submissions = ledger.position, submissions_by_state(ledger, trainer)
        block, balances = sources.newest_block(), sources.look(is_news=is_news)
        account = account_of(ledger, trainer, sources.money) if is_news or before.account is None else before.account
        self.beat = replace(
            before,
            looked_at=now,
            block=block,
            block_at=before.block_at if block == before.block else now,
            lag_s=sources.lag_s(now),
            account=replace(account, balances=balances),
        )
        self._write(is_due=now - self._written_at >= WRITTEN_EVERY_S)

    def does(self, what: str, deadline: int | None = None) -> None:
        """In words, without paths, URLs and secrets: `/health` tells it. Not a sign of life."""
        if (what, deadline) != (self.beat.doing, self.beat.deadline):
            since = self.beat.since if what == self.beat.doing else self._clock()
            self.beat = replace(self.beat, doing=what, since=since, deadline=deadline)
            self._write()

    def worked(self) -> None:
        """A step of long work is done."""
        self.beat = replace(self.beat, worked_at=self._clock())
        self._write(is_due=self.beat.worked_at - self._written_at >= WRITTEN_EVERY_S)

    def failed(self, of: str, kind: str) -> None:
        """`of`: relay or disk; the node's own failures are counted by its provider."""
        self._failures.labels(of, kind).inc()

    def ends(self, why: str, *, is_over: bool = False) -> None:
        """The daemon ends; `is_over`: with its task."""
        self.does(why)
        self.beat = replace(self.beat, has_ended=is_over)
        self._write()

    @contextmanager
    def timed(self, stage: str, what: str) -> Generator[None]:
        """How long a stage takes that succeeds; `what` it does meanwhile."""
        self.does(what)
        began = time.monotonic()
        yield
        self._seconds.labels(stage).observe(time.monotonic() - began)
        self.worked()

    def _write(self, *, is_due: bool = True) -> None:
        if self._file is not None and is_due:
            self._written_at = self._clock()
            self._file.write(self.beat)


class Carrier(Protocol):
    """The part of a transport engine that a trainer needs."""

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path: ...
    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None: ...


class Counted:
    """A transport whose failures are counted by kind, and whose uploads are timed."""

    def __init__(self, carrier: Carrier, pulse: Pulse) -> None:
        self._carrier, self._pulse = carrier, pulse

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        """See `Engine.fetch`."""
        with self._counting("fetch"):
            return self._carrier.fetch(root, kind, limits)

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        """See `Engine.publish`."""
        with self._counting("upload"), self._pulse.timed("upload", "uploads a submission"):
            self._carrier.publish(directory, manifest, account)

    @contextmanager
    def _counting(self, action: str) -> Generator[None]:
        try:
            yield
        except (Unavailable, Rejected, Stop) as error:
            kinds: Mapping[type[Exception], str] = {Unavailable: "unavailable", Rejected: "corrupt", Stop: "refused"}
            kind = next(word for each, word in kinds.items() if isinstance(error, each))
            self._pulse.failed("relay", f"{action} {kind}")
            raise
