"""Bundles in a BitTorrent swarm: every peer that has a bundle serves it, and no relay keeps anything.

Who serves what is told by trackers, which keep no bundles. A peer that publishes must stay reachable until others
have a copy. What libtorrent brings is staged, checked against the bundle's root shard by shard, and only then enters
the cache; a torrent that turns out to be another is not asked for again.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay_core.bundle.directory import read_manifest, write_atomically
from assay_core.bundle.manifest import HEX32, BundleKind, BundleLimits, Manifest
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Malformed, ProtocolError, Unavailable
from assay_core.protocol.types import Epoch, Root, TaskId
from assay_core.transport.assembly import Corrupt, assemble, places, read_shard
from assay_core.transport.cache import Cache
from assay_core.transport.engine import PolicySignature
from assay_core.transport.swarm.torrents import Download, Peer, TorrentSession, make_torrent
from assay_core.transport.swarm.trackers import Trackers

log = logging.getLogger(__name__)

ANNOUNCE_S = 30.0
MAX_FAKES = 10_000
MAX_REPOSTED = 64


@dataclass(frozen=True, slots=True)
class SwarmPlace:
    """Where this peer is reached: `host` to listen on, `port` 0 for any; `state` keeps torrents and what is staged."""

    host: str
    port: int
    state: Path
    upload_bytes_per_s: int = 0


class SwarmClient:
    """Shardcast's `Engine` over a swarm. Safe to use from several threads; use it as a context or `close` it."""

    def __init__(
        self,
        trackers: Sequence[str],
        cache: Path,
        place: SwarmPlace,
        account: Signer,
        *,
        chain_id: int,
        timeout_s: float = 30.0,
        announce_s: float = ANNOUNCE_S,
    ) -> None:
        self._trackers = Trackers(tuple(trackers), account, chain_id)
        self._cache_folder = cache.absolute()
        self._cache = Cache(self._cache_folder)
        self._torrents = place.state.absolute() / "torrents"
        self._staging = place.state.absolute() / "staging"
        self._torrents.mkdir(parents=True, exist_ok=True)
        self._session = TorrentSession(place.host, place.port, place.upload_bytes_per_s)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._seeded: dict[Root, str] = {}
        self._published: set[Root] = set()
        self._fakes: dict[str, None] = {}
        self._posted: list[tuple[TaskId, Epoch, PolicySignature]] = []
        self._closing = threading.Event()
        self._seed_what_is_here()
        self._announcer = threading.Thread(target=self._announce_for_ever, args=(announce_s,), daemon=True)
        self._announcer.start()

    def __enter__(self) -> "SwarmClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        self._announcer.join()
        self._session.close()
        self._trackers.close()

    @property
    def cache(self) -> Cache:
        return self._cache

    @property
    def port(self) -> int:
        return self._session.port

    @property
    def uploaded_bytes(self) -> int:
        """What other peers have had from us."""
        return self._session.uploaded_bytes()

    # ------------------------------------------------------------------------------------------------- bundles

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        """See `Engine.publish`. Returns once a tracker knows that we have it: nobody else may have a copy yet."""
        limits = BundleLimits(manifest.size_bytes, max(1, len(manifest.files)))
        assemble(self._cache, _Folder(directory, manifest), manifest.root, manifest.kind, limits)
        self._published.add(manifest.root)
        self._seed(manifest.root)
        self._announce(manifest.root)

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        """See `Engine.fetch`."""
        if (found := self._cache.find(root)) is not None:
            return found
        faults: list[str] = []
        for info_hash in dict.fromkeys(holder.info_hash for holder in self._trackers.holders(root)):
            if info_hash in self._fakes:
                continue
            try:
                return self._fetch_torrent(root, kind, limits, info_hash)
            except Corrupt as error:
                self._remember_fake(info_hash, str(error))
                faults.append(str(error))
            except Unavailable as error:
                faults.append(str(error))
        raise Unavailable(f"no peer of the swarm has bundle {root.hex()}{': ' if faults else ''}{'; '.join(faults)}")

    def has(self, root: Root) -> bool:
        """Whether some peer is known to have the whole bundle."""
        return self._cache.find(root) is not None or any(each.is_whole for each in self._trackers.holders(root))

    def held_s(self, root: Root) -> float | None:
        """None: nobody here is trusted to say it."""
        return None

    # --------------------------------------------------------------------------------------------------- tracker

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """See `Engine.post_signature`. Posted again from time to time, as trackers forget when they restart."""
        self._trackers.post(task_id, epoch, signed)
        with self._lock:
            self._posted = [*self._posted, (task_id, epoch, signed)][-MAX_REPOSTED:]

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        """See `Engine.signatures`."""
        return self._trackers.signatures(task_id, epoch)

    # ------------------------------------------------------------------------------------------------ fetching

    def _fetch_torrent(self, root: Root, kind: BundleKind, limits: BundleLimits, info_hash: str) -> Path:
        def find_peers() -> list[Peer]:
            try:
                holders = self._trackers.holders(root)
            except Unavailable:
                return []
            return [(holder.host, holder.port) for holder in holders if holder.info_hash == info_hash]

        staging = self._staging / info_hash
        is_over = False
        try:
            with self._session.downloading(info_hash, staging, self._timeout_s) as download:
                source = _Peers(download, limits, find_peers, lambda: self._offer_parts(root, info_hash))
                found = assemble(self._cache, source, root, kind, limits)
            is_over = True
        except (Corrupt, Malformed):
            is_over = True
            raise
        finally:
            if is_over:
                shutil.rmtree(staging, ignore_errors=True)
        self._seed(root)
        self._try_to_announce(root)
        return found

    def _offer_parts(self, root: Root, info_hash: str) -> None:
        """Peers that are still fetching serve each other what they have."""
        try:
            self._trackers.announce(root, info_hash, self.port, is_whole=False)
        except ProtocolError as error:
            log.info("not announced", extra={"root": root.hex(), "why": str(error)})

    def _remember_fake(self, info_hash: str, why: str) -> None:
        log.warning("torrent dropped", extra={"info_hash": info_hash, "why": why})
        with self._lock:
            self._fakes[info_hash] = None
            while len(self._fakes) > MAX_FAKES:
                self._fakes.pop(next(iter(self._fakes)))

    # ------------------------------------------------------------------------------------------------- seeding

    def _seed_what_is_here(self) -> None:
        """What was here before, and what commands beside us have put here since."""
        for path in self._torrents.glob("*.torrent"):
            if not HEX32.fullmatch(path.stem):
                continue
            root = Root(bytes.fromhex(path.stem))
            if root in self._seeded:
                continue
            if self._cache.find(root) is not None:
                self._seed(root)
            else:
                path.unlink(missing_ok=True)

    def _seed(self, root: Root) -> None:
        with self._lock:
            if root in self._seeded:
                return
            directory = self._cache_folder / root.hex()
            torrent, info_hash = make_torrent(directory, read_manifest(directory))
            write_atomically(self._torrents / f"{root.hex()}.torrent", torrent)
            self._session.seed(self._cache_folder, torrent)
            self._seeded[root] = info_hash

    def _announce(self, root: Root) -> None:
        self._trackers.announce(root, self._seeded[root], self.port, is_whole=True)

    def _try_to_announce(self, root: Root) -> None:
        try:
            self._announce(root)
        except ProtocolError as error:
            log.info("not announced", extra={"root": root.hex(), "why": str(error)})

    def _announce_for_ever(self, every_s: float) -> None:
        """At once, too: anyone who starts again serves at another port than trackers still name."""
        while not self._closing.is_set():
            try:
                self._announce_all()
            except Exception:
                log.exception("announcing failed")
            self._closing.wait(every_s)

    def _announce_all(self) -> None:
        self._seed_what_is_here()
        for root, info_hash in list(self._seeded.items()):
            if root in self._published:
                self._cache.find(root)  # being asked for keeps it from being pruned
            if not (self._cache_folder / root.hex()).is_dir():
                self._session.stop_seeding(info_hash)
                with self._lock:
                    del self._seeded[root]
                (self._torrents / f"{root.hex()}.torrent").unlink(missing_ok=True)
            elif not self._closing.is_set():
                self._try_to_announce(root)
        for task_id, epoch, signed in list(self._posted):
            if not self._closing.is_set():
                try:
                    self._trackers.post(task_id, epoch, signed)
                except ProtocolError:
                    return


@dataclass(frozen=True, slots=True)
class _Peers:
    """`assembly.Source` over one torrent."""

    download: Download
    limits: BundleLimits
    find_peers: Callable[[], Sequence[Peer]]
    on_manifest: Callable[[], None]

    def manifest(self, root: Root) -> bytes:
        data = self.download.manifest(root, self.limits, self.find_peers)
        self.on_manifest()
        return data

    def shards(self, manifest: Manifest, missing: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
        return self.download.shards(manifest, missing)


@dataclass(frozen=True, slots=True)
class _Folder:
    """`assembly.Source` over a bundle that we made."""

    directory: Path
    made: Manifest

    def manifest(self, root: Root) -> bytes:
        return self.made.to_bytes()

    def shards(self, manifest: Manifest, missing: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
        for digest, entry, position in places(manifest):
            if digest in missing:
                yield digest, read_shard(self.directory, entry, position)
