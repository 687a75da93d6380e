"""A relay that copies from other relays: what it is asked for and lacks, and, if it follows them, all that is new.

Shards are served as soon as they have landed here, long before the last one has: a chain of relays adds the time of
one shard to a transfer, not that of a bundle.
"""

import logging
import re
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from assay_core.bundle.manifest import BundleLimits, parse_manifest
from assay_core.protocol.errors import ProtocolError, Rejected, Unavailable
from assay_core.protocol.types import Root
from assay_core.transport.relay.authority import Remembered
from assay_core.transport.relay.download import download
from assay_core.transport.relay.remote import CorruptResponse, RemoteRelay
from assay_core.transport.relay.shard_store import MIRROR, ShardStore
from assay_core.transport.web import open_http

log = logging.getLogger(__name__)

MAX_HOPS = 4
TRAIL = re.compile("[0-9a-f ]{0,128}")
ABSENT_S = 0.5  # how long nobody is asked again for a bundle that nobody had
RETRY_S = 1.0  # after a copy that failed; twice as long after each one that brought nothing
MOST_RETRY_S = 8.0
STALL_S = 3.0  # a copy of which nothing comes in makes room for others: an upload may have been left unfinished
MUTUAL_S = 1.0  # two mirrors may ask each other at the same moment


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """`follow_s`: how often to ask for news; 0: copy only what somebody asks for."""

    upstreams: Sequence[str]
    limits: BundleLimits
    quota_bytes: int
    follow_s: float
    min_free_bytes: int
    threads: int = 4
    copies_at_once: int = 3
    connect_s: float = 3.0
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """How long ago a relay that is copied from has answered, and failed; None: never yet. Dropped: it has lied."""

    url: str
    success_age_s: float | None
    failure_age_s: float | None
    is_dropped: bool


class Mirror:
    """Copies bundles onto a shelf, in threads of its own. Close it before the shelf."""

    def __init__(self, settings: MirrorSettings, shards: ShardStore) -> None:
        self._settings = settings
        self._shards = shards
        self._name = secrets.token_hex(8)
        self._http = open_http(httpx.Timeout(settings.timeout_s, connect=settings.connect_s))
        self._by_hops = [[self._remote(url, hops) for url in settings.upstreams] for hops in range(1, MAX_HOPS + 1)]
        self._absent = Remembered[Root, str](lambda why: ABSENT_S if why else 0.0, time.monotonic)
        self._asking = dict[Root, threading.Event]()
        self._copying = set[Root]()
        """Being copied, or to be copied again."""
        self.copies = Counter[str]()
        """Attempts to copy a bundle: done, or failed."""
        self._followed_at = time.monotonic()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._copies = ThreadPoolExecutor(settings.copies_at_once, thread_name_prefix="mirror")
        for root in shards.unfinished_of(MIRROR):
            self._copy_soon(root)
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)
        if settings.follow_s > 0:
            self._follower.start()

    def close(self) -> None:
        with self._lock:
            self._closing.set()
        if self._follower.is_alive():
            self._follower.join()
        self._copies.shutdown(cancel_futures=True)
        self._http.close()
        for relay in self._by_hops[0]:
            relay.close()

    @property
    def follow_age_s(self) -> float:
        """Since all upstreams were asked for what is new; 0 where they are not followed."""
        return time.monotonic() - self._followed_at if self._settings.follow_s > 0 else 0.0

    def states(self) -> list[UpstreamState]:
        """How each upstream has behaved, be it asked for a client of ours or on behalf of another mirror."""
        now = time.monotonic()

        def age(times: Iterable[float | None]) -> float | None:
            newest = max((at for at in times if at is not None), default=None)
            return None if newest is None else now - newest

        return [
            UpstreamState(
                str(relays[0]),
                age(relay.answered_at for relay in relays),
                age(relay.failed_at for relay in relays),
                any(relay.is_dropped for relay in relays),
            )
            for relays in zip(*self._by_hops, strict=True)
        ]

    def upstreams(self, hops: int) -> list[RemoteRelay]:
        """Those that have not lied, the likely fastest first, for a request that came through `hops` mirrors."""
        return self._able(hops)

    def find(self, root: Root, hops: int, trail: str = "", first: RemoteRelay | None = None) -> None:
        """Put the manifest of a bundle on the shelf and begin to copy the rest, if an upstream has it.

        `hops`, `trail`: how many and which mirrors this request has come through; `first`: who is known to have it.
        Raises Unavailable: nobody has it, or they do not answer; Rejected: we do not take it.
        """
        if hops >= MAX_HOPS or not TRAIL.fullmatch(trail) or self._closing.is_set():
            raise Unavailable("too many mirrors between here and where the bundle may be")
        if self._name in trail.split():
            raise Unavailable("asked in a circle: this relay is waiting for the answer itself")
        with self._lock:
            asked, done = self._asking.get(root), threading.Event()
            if asked is None:
                self._asking[root] = done
        if asked is not None:  # for somebody else
            asked.wait(MUTUAL_S if hops else self._settings.timeout_s)
            return
        try:
            trail = f"{trail} {self._name}".strip()
            if first is not None:  # there is news: what was found out before counts no more
                why = self._find(root, hops, trail, first)
            else:
                why = self._absent.get(root, lambda: self._find(root, hops, trail, None))
            if why:
                raise Unavailable(why)
        finally:
            with self._lock:
                del self._asking[root]
            done.set()

    def _find(self, root: Root, hops: int, trail: str, first: RemoteRelay | None) -> str:
        """Empty if the manifest is here now; else why not."""
        faults = list[str]()
        for relay in sorted(self._able(hops), key=lambda relay: relay is not first):
            try:
                data = relay.get_manifest(root, trail)
                manifest = parse_manifest(data, self._settings.limits, root)
                self._shards.require_space(manifest.size_bytes, self._settings.min_free_bytes)
                self._shards.add_manifest(manifest, data, MIRROR, self._settings.quota_bytes)
                self._copy_soon(root)
                return ""
            except CorruptResponse as corrupt:
                relay.drop(str(corrupt))
                faults.append(str(corrupt))
            except (Unavailable, Rejected) as error:
                faults.append(str(error))
        return "; ".join(faults) or "no upstream answers"

    def _copy_soon(self, root: Root) -> None:
        with self._lock:
            if root not in self._copying and not self._closing.is_set():
                self._copying.add(root)
                self._copies.submit(self._copy, root, 0)

    def _copy(self, root: Root, fruitless: int) -> None:
        """Copy what is missing; if that is not all, try again later, until it is here or has been collected.

        `fruitless`: the attempts since something came in.
        """
        missing = dict[bytes, int]()
        try:
            if missing := self._shards.missing(root):
                self._copy_once(root, missing)
                self.copies["done"] += 1
                log.info("bundle mirrored", extra={"root": root.hex(), "shards": len(missing)})
        except (ProtocolError, OSError, sqlite3.OperationalError) as error:  # such as a full disk
            self.copies["failed"] += 1
            log.warning("bundle not mirrored yet", extra={"root": root.hex(), "why": str(error)})
        except Exception:  # a thread's outermost loop
            log.exception("mirroring failed")
        self._copy_again(root, missing, fruitless)

    def _copy_again(self, root: Root, missing: Mapping[bytes, int], fruitless: int) -> None:
        """Later, if anything is missing still: elsewhere, so that no thread is held by what does not come."""
        try:
            left = self._shards.missing(root)
        except (ProtocolError, OSError, sqlite3.Error):
            left = missing
        with self._lock:
            if not left or self._closing.is_set():
                self._copying.discard(root)
                return
            fruitless = 0 if len(left) < len(missing) else fruitless + 1
            wait_s = min(RETRY_S * 2 ** min(fruitless, 10), MOST_RETRY_S)
            again = threading.Timer(wait_s, self._submit_again, (root, fruitless))
            again.daemon = True
            again.start()

    def _submit_again(self, root: Root, fruitless: int) -> None:
        with self._lock:
            if not self._closing.is_set():
                self._copies.submit(self._copy, root, fruitless)

    def _copy_once(self, root: Root, missing: dict[bytes, int]) -> None:
        def take(digest: bytes, data: memoryview) -> None:
            if self._closing.is_set():
                raise Unavailable("this relay is closing")
            with self._shards.receive(digest, len(data)) as shard:
                shard.write_verified(data)
                shard.pass_on()

        self._shards.require_space(sum(missing.values()), self._settings.min_free_bytes)
        try:
            download(
                missing,
                lambda: self._able(0),
                take,
                threads=self._settings.threads,
                stall_s=STALL_S,
            )
        finally:
            # after the last one has been passed on: the disk must not slow that down
            self._shards.settle(root, missing)

    def _follow(self) -> None:
        """Copy what is new with the upstreams, from the beginning of their memory."""
        cursors = {str(relay): 0.0 for relay in self._by_hops[0]}
        while not self._closing.wait(self._settings.follow_s):
            for relay in self._able(0):
                if relay.is_shunned:
                    continue
                try:
                    for bundle in relay.list_since(cursors[str(relay)]).bundles:
                        self._want(Root(bytes.fromhex(bundle.root)), relay)
                        cursors[str(relay)] = bundle.added_at
                except CorruptResponse as corrupt:
                    relay.drop(str(corrupt))
                except Unavailable as error:
                    log.debug("upstream cannot be followed", extra={"relay": str(relay), "why": str(error)})
                except Exception:  # a thread's outermost loop
                    log.exception("following failed")
            self._followed_at = time.monotonic()

    def _want(self, root: Root, at: RemoteRelay) -> None:
        if self._shards.manifest_path(root, unfinished=True) is not None:
            return
        try:
            self.find(root, 0, first=at)
        except (Unavailable, Rejected) as error:
            log.info("bundle not taken", extra={"root": root.hex(), "why": str(error)})

    def _able(self, hops: int) -> list[RemoteRelay]:
        relays = [relay for relay in self._by_hops[hops] if not relay.is_dropped]
        return sorted(relays, key=lambda relay: relay.rank())

    def _remote(self, url: str, hops: int) -> RemoteRelay:
        settings = self._settings
        return RemoteRelay(
            url.rstrip("/"), self._http, connect_s=settings.connect_s, timeout_s=settings.timeout_s, hops=hops
        )
