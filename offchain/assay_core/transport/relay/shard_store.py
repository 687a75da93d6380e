"""What a relay keeps: shards by hash and manifests by root as files, and an SQLite index of who put what there.

A file under its final name is whole and true to its hash: it is written under another name, hashed on the way, then
renamed, and from that moment served. It is synced afterwards, and only then counted towards its bundle. The index says
which of the files are in use, and which were synced: at start others are removed, or hashed again.
"""

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from assay_core.bundle.directory import OWN_LIMITS, sync_directory, write_atomically
from assay_core.bundle.manifest import BundleKind, Manifest, parse_manifest
from assay_core.daemon.lock import take_lock
from assay_core.protocol.errors import Malformed, MalformedManifest, Rejected, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature

SCHEMA = """
CREATE TABLE IF NOT EXISTS bundles (
    root BLOB PRIMARY KEY, kind TEXT NOT NULL, payer TEXT NOT NULL, bytes INTEGER NOT NULL,
    added_at REAL NOT NULL, complete INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finished (root BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bundles_by_payer ON bundles (payer, kind, added_at);
CREATE TABLE IF NOT EXISTS pieces (
    root BLOB NOT NULL REFERENCES bundles ON DELETE CASCADE, sha256 BLOB NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (root, sha256, bytes)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_hash ON pieces (sha256);
CREATE TABLE IF NOT EXISTS shards (sha256 BLOB PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (sha256 BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signatures (
    task_id TEXT NOT NULL, epoch TEXT NOT NULL, operator TEXT NOT NULL, policy_root BLOB NOT NULL,
    signature BLOB NOT NULL, PRIMARY KEY (task_id, epoch, operator, policy_root)
) WITHOUT ROWID;
"""
MIRROR = Address("0x0000000000000000000000000000000000000000")
"""Pays for what is copied from other relays."""
MAX_ROOTS_PER_OPERATOR = 4  # an operator that found its own mistake may sign again, not without end
BUNDLE_OVERHEAD_BYTES = 4_096  # so that empty bundles are not free
MOST_LISTED = 256
LOCK_NAME = "relay.lock"


class QuotaExceeded(Rejected):
    """The payer's bundles would exceed its quota, even without those that may be collected."""


class DiskFull(Unavailable):
    """There is no room for it now."""


@dataclass(frozen=True, slots=True)
class Keep:
    """When a bundle may be collected: older than `seconds` and not among the `newest` of its payer and kind."""

    seconds: float
    newest: int


class ShardStore:
    """The relay's storage. Safe to call from several threads. Raises Stop: another relay uses the directory."""

    def __init__(
        self,
        directory: Path,
        keep: Mapping[BundleKind, Keep],
        incomplete_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_landed: Callable[[bytes], None] = lambda _: None
        """Called, in any thread, when a shard can be served; must neither block nor raise."""
        self._directory = directory
        self._keep = keep
        self._incomplete_s = incomplete_s
        self._clock = clock
        self._lock = threading.RLock()
        self._claim = _claim(directory)
        for part in ("manifests", "shards", "incoming"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        self._index = sqlite3.connect(directory / "index.sqlite", check_same_thread=False, isolation_level=None)
        self._index.execute("PRAGMA journal_mode=WAL")
        self._index.execute("PRAGMA foreign_keys=ON")
        self._index.executescript(SCHEMA)
        self._reconcile()

    def close(self) -> None:
        with self._lock:
            self._index.close()
            self._claim.close()

    # ------------------------------------------------------------------------------------------------ bundles

    def manifest_path(self, root: Root, *, unfinished: bool = False) -> Path | None:
        """The manifest of a whole bundle, or of one that parts are still missing of, if that will do; else None."""
        with self._lock:
            row = self._index.execute("SELECT complete FROM bundles WHERE root = ?", (root,)).fetchone()
        return self._manifest_file(root) if row is not None and (row[0] or unfinished) else None

    def bundles_since(self, added_at: float) -> list[tuple[Root, float]]:
        """Bundles, whole or not, begun after a moment, with the moment of each; the oldest first, not all at once."""
        query = "SELECT root, added_at FROM bundles WHERE added_at > ? ORDER BY added_at LIMIT ?"
        with self._lock:
            rows = self._index.execute(query, (added_at, MOST_LISTED)).fetchall()
        return [(Root(root), at) for root, at in rows]

    def held_s(self, root: Root) -> float | None:
        """For how many seconds all of a bundle has been here; None: it is not."""
        query = "SELECT at FROM finished JOIN bundles USING (root) WHERE root = ? AND complete"
        with self._lock:
            row = self._index.execute(query, (root,)).fetchone()
        return None if row is None else max(self._clock() - row[0], 0.0)

    def unfinished_of(self, payer: Address) -> list[Root]:
        """Bundles begun for a payer that shards are missing of."""
        with self._lock:
            rows = self._index.execute("SELECT root FROM bundles WHERE payer = ? AND NOT complete", (payer,)).fetchall()
        return [Root(root) for (root,) in rows]

    def missing(self, root: Root) -> dict[bytes, int]:
        """Size of each shard of a bundle that is not here, by hash. Empty, too, if the bundle is not known.

        In the manifest's order, in which clients ask: anyone who copies in another one has what nobody waits for yet.
        """
        with self._lock:
            sizes = self._missing(root)
            if not sizes:
                return {}
            manifest = parse_manifest(self._manifest_file(root).read_bytes(), OWN_LIMITS, root)
        return {digest: sizes[digest] for digest, _ in _pieces(manifest) if digest in sizes}

    def add_manifest(self, manifest: Manifest, data: bytes, payer: Address, quota_bytes: int) -> Sequence[bytes]:
        """Begin (or go on with) a bundle; returns the hashes of the shards that are missing.

        Raises QuotaExceeded.
        """
        root = manifest.root
        with self._lock:
            if not self._knows(root):
                self._make_room(payer, _charge(manifest, data), quota_bytes)
                write_atomically(self._manifest_file(root), data)
                with self._transaction():
                    self._index.execute(
                        "INSERT INTO bundles VALUES (?, ?, ?, ?, ?, 0)",
                        (root, str(manifest.kind), payer, _charge(manifest, data), self._clock()),
                    )
                    rows = {(root, digest, size) for digest, size in _pieces(manifest)}
                    self._index.executemany("INSERT INTO pieces VALUES (?, ?, ?)", sorted(rows))
            self._finish(root)
            return list(self._missing(root))

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._directory).free

    def require_space(self, size: int, min_free_bytes: int) -> None:
        """Raises DiskFull: `size` more bytes would leave less than that free."""
        if self.free_bytes() - size < min_free_bytes:
            raise DiskFull("this relay's disk is full: use another")

    def expected_bytes(self, root: Root, digest: bytes) -> int | None:
        """Size of a shard that an accepted bundle asks for; None: it does not."""
        with self._lock:
            row = self._index.execute(
                "SELECT MIN(bytes) FROM pieces WHERE root = ? AND sha256 = ?", (root, digest)
            ).fetchone()
        return row[0]

    # ------------------------------------------------------------------------------------------------- shards

    def shard_path(self, digest: bytes) -> Path | None:
        with self._lock:
            row = self._index.execute("SELECT 1 FROM shards WHERE sha256 = ?", (digest,)).fetchone()
        return self._shard_file(digest) if row is not None else None

    def shard_file(self, digest: bytes) -> Path:
        """Where a shard lies if it is here, without asking the index."""
        return self._shard_file(digest)

    def is_on_its_way(self, digest: bytes, *, from_an_uploader: bool = False) -> bool:
        """Whether an unfinished bundle waits for this shard; only one that is being uploaded here, if so asked."""
        query = """SELECT 1 FROM pieces JOIN bundles USING (root)
            WHERE sha256 = ? AND NOT complete AND payer != ? LIMIT 1"""
        with self._lock:
            return self._index.execute(query, (digest, MIRROR if from_an_uploader else "")).fetchone() is not None

    def receive(self, digest: bytes, size: int) -> "IncomingShard":
        """A place for a shard on its way in."""
        return IncomingShard(self, digest, size, self._directory / "incoming")

    def is_on_its_way_unless_busy(self, digest: bytes, *, from_an_uploader: bool) -> bool | None:
        """As `is_on_its_way`, but None at once if that would have to wait for another thread."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self.is_on_its_way(digest, from_an_uploader=from_an_uploader)
        finally:
            self._lock.release()

    def pass_on(self, digest: bytes, temporary: Path) -> None:
        """Give a verified file its final name, from when on it is served. `settle` it next."""
        target = self._shard_file(digest)
        target.parent.mkdir(exist_ok=True)
        os.replace(temporary, target)
        self.on_landed(digest)

    def settle(self, root: Root, shards: Mapping[bytes, int]) -> None:
        """Put shards that were passed on (size by digest) on the disk for good; count them towards their bundles.

        Raises MalformedManifest: the bundle has been collected meanwhile, and they with it.
        """
        there = dict[bytes, int]()
        for digest, size in shards.items():
            target = self._shard_file(digest)
            with suppress(FileNotFoundError):
                with target.open("rb") as stream:
                    os.fsync(stream.fileno())
                sync_directory(target.parent)
                there[digest] = size
        with self._lock, self._hurriedly():
            if not self._knows(root):
                self._discard(there)
                raise MalformedManifest(f"bundle {root.hex()} is not known here: upload its manifest first")
            with self._transaction():
                self._index.executemany("INSERT OR REPLACE INTO shards VALUES (?, ?)", there.items())
                self._index.executemany("INSERT OR IGNORE INTO settled VALUES (?)", [(digest,) for digest in there])
            for waiting in self._waiting_for(there):
                self._finish(waiting)

    def _waiting_for(self, digests: Iterable[bytes]) -> set[Root]:
        query = "SELECT root FROM pieces JOIN bundles USING (root) WHERE sha256 = ? AND NOT complete"
        return {Root(root) for digest in digests for (root,) in self._index.execute(query, (digest,))}

    def _discard(self, digests: Iterable[bytes]) -> None:
        """Remove files of shards that no bundle lists."""
        for digest in digests:
            if not self._index.execute("SELECT 1 FROM pieces WHERE sha256 = ? LIMIT 1", (digest,)).fetchone():
                self._shard_file(digest).unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------------------- board

    def add_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """Keep a checked signature. Raises Rejected: the operator has signed too many roots for this epoch."""
        key = (str(task_id), str(epoch), signed.operator)
        with self._lock, self._transaction():
            self._index.execute(
                "INSERT OR IGNORE INTO signatures VALUES (?, ?, ?, ?, ?)", (*key, signed.policy_root, signed.signature)
            )
            (roots,) = self._index.execute(
                "SELECT COUNT(*) FROM signatures WHERE task_id = ? AND epoch = ? AND operator = ?", key
            ).fetchone()
            if roots > MAX_ROOTS_PER_OPERATOR:
                raise Rejected(f"{signed.operator} has signed {MAX_ROOTS_PER_OPERATOR} other roots for this epoch")

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        with self._lock:
            rows = self._index.execute(
                "SELECT operator, policy_root, signature FROM signatures WHERE task_id = ? AND epoch = ?",
                (str(task_id), str(epoch)),
            ).fetchall()
        return [PolicySignature(Address(operator), Root(root), signature) for operator, root, signature in rows]

    # --------------------------------------------------------------------------------------- counting, clearing

    def totals(self) -> tuple[int, int]:
        """Whole bundles, bytes of shards."""
        with self._lock:
            (bundles,) = self._index.execute("SELECT COUNT(*) FROM bundles WHERE complete").fetchone()
            (size,) = self._index.execute("SELECT COALESCE(SUM(bytes), 0) FROM shards").fetchone()
        return bundles, size

    def collect(self) -> int:
        """Remove bundles past their window, and the shards that no other bundle lists; returns how many bundles."""
        with self._lock:
            old = [root for kind, keep in self._keep.items() for root in self._outdated(kind, keep)]
            old += [
                Root(root)
                for (root,) in self._index.execute(
                    "SELECT root FROM bundles WHERE NOT complete AND added_at < ?",
                    (self._clock() - self._incomplete_s,),
                )
            ]
            for root in dict.fromkeys(old):
                self._remove(root)
            return len(set(old))

    def _outdated(self, kind: BundleKind, keep: Keep) -> list[Root]:
        rows = self._index.execute(
            """SELECT root FROM (
                SELECT root, added_at, ROW_NUMBER() OVER (PARTITION BY payer ORDER BY added_at DESC) AS age
                FROM bundles WHERE kind = ? AND complete
            ) WHERE age > ? AND added_at < ?""",
            (str(kind), keep.newest, self._clock() - keep.seconds),
        )
        return [Root(root) for (root,) in rows]

    def _remove(self, root: Root) -> None:
        with self._transaction():
            shards = self._index.execute(
                """SELECT DISTINCT sha256 FROM pieces AS mine WHERE root = ?
                AND NOT EXISTS (SELECT 1 FROM pieces WHERE sha256 = mine.sha256 AND root != mine.root)""",
                (root,),
            ).fetchall()
            self._index.executemany("DELETE FROM shards WHERE sha256 = ?", shards)
            self._index.executemany("DELETE FROM settled WHERE sha256 = ?", shards)
            for table in ("bundles", "finished"):
                self._index.execute(f"DELETE FROM {table} WHERE root = ?", (root,))
        self._manifest_file(root).unlink(missing_ok=True)
        for (digest,) in shards:
            self._shard_file(digest).unlink(missing_ok=True)

    def _make_room(self, payer: Address, needed: int, quota_bytes: int) -> None:
        if self._used(payer) + needed > quota_bytes:
            self.collect()
        if (used := self._used(payer)) + needed > quota_bytes:
            raise QuotaExceeded(f"bundle of {needed} bytes exceeds the quota of {payer}: {used} of {quota_bytes} used")

    def _used(self, payer: Address) -> int:
        query = "SELECT COALESCE(SUM(bytes), 0) FROM bundles WHERE payer = ?"
        return self._index.execute(query, (payer,)).fetchone()[0]

    def _finish(self, root: Root) -> None:
        """Mark the bundle complete if all of it is on the disk."""
        self._index.execute(
            """UPDATE bundles SET complete = 1 WHERE root = ? AND NOT EXISTS (
                SELECT 1 FROM pieces LEFT JOIN shards USING (sha256) LEFT JOIN settled USING (sha256)
                WHERE pieces.root = bundles.root
                AND (settled.sha256 IS NULL OR shards.bytes IS NULL OR shards.bytes != pieces.bytes)
            )""",
            (root,),
        )
        self._index.execute(  # the first time counts, also after a restart
            "INSERT OR IGNORE INTO finished SELECT root, ? FROM bundles WHERE root = ? AND complete",
            (self._clock(), root),
        )

    def _missing(self, root: Root) -> dict[bytes, int]:
        rows = self._index.execute(
            """SELECT pieces.sha256, pieces.bytes FROM pieces LEFT JOIN shards USING (sha256)
            WHERE root = ? AND (shards.bytes IS NULL OR shards.bytes != pieces.bytes)""",
            (root,),
        ).fetchall()
        return dict(rows)

    def _reconcile(self) -> None:
        """Make index and disk agree after a crash: what one of them does not know, or is damaged, is not there."""
        for leftover in (self._directory / "incoming").iterdir():
            leftover.unlink()
        roots = {root.hex() for (root,) in self._index.execute("SELECT root FROM bundles")}
        on_disk = {path.stem for path in (self._directory / "manifests").glob("*.json")}
        for name in on_disk - roots:
            (self._directory / "manifests" / f"{name}.json").unlink()
        wanted = {
            (digest.hex(), size): digest for digest, size in self._index.execute("SELECT sha256, bytes FROM pieces")
        }
        settled = {digest for (digest,) in self._index.execute("SELECT sha256 FROM settled")}
        present: dict[bytes, int] = {}
        for path in (self._directory / "shards").glob("*/*"):
            size = path.stat().st_size
            digest = wanted.get((path.name, size))
            if digest is not None and (digest in settled or _settles(path, digest)):
                present[digest] = size
            else:
                path.unlink()
        with self._transaction():
            for table in ("shards", "settled"):
                self._index.execute(f"DELETE FROM {table}")
            self._index.executemany("INSERT INTO shards VALUES (?, ?)", present.items())
            self._index.executemany("INSERT INTO settled VALUES (?)", [(digest,) for digest in present])
            for name in roots - on_disk:
                self._index.execute("DELETE FROM bundles WHERE root = ?", (bytes.fromhex(name),))
            self._index.execute("UPDATE bundles SET complete = 0")
            for name in roots & on_disk:
                self._finish(Root(bytes.fromhex(name)))
            self._index.execute("DELETE FROM finished WHERE root NOT IN (SELECT root FROM bundles WHERE complete)")

    def _knows(self, root: Root) -> bool:
        return self._index.execute("SELECT 1 FROM bundles WHERE root = ?", (root,)).fetchone() is not None

    @contextmanager
    def _hurriedly(self) -> Generator[None]:
        """What is written inside may be lost with the power: only what `_reconcile` finds out again."""
        self._index.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self._index.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._index.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._index.execute("ROLLBACK")
            raise
        self._index.execute("COMMIT")

    def _manifest_file(self, root: Root) -> Path:
        return self._directory / "manifests" / f"{root.hex()}.json"

    def _shard_file(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._directory.joinpath("shards", name[:2], name)  # at once: it is done for every shard that is served


class IncomingShard:
    """A shard on its way in, hashed as it lands; used as a context, which leaves nothing behind but a landed shard."""

    def __init__(self, shards: ShardStore, digest: bytes, size: int, directory: Path) -> None:
        self._shards = shards
        self._digest = digest
        self._size = size
        self._directory = directory
        self._hash = hashlib.sha256()
        self._received = 0
        self._is_verified = False
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "IncomingShard":
        self._file = NamedTemporaryFile(dir=self._directory, delete=False, buffering=0)  # closed by __exit__
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def write(self, piece: bytes | memoryview) -> None:
        """Raises Malformed: more bytes than the manifest says."""
        assert self._file is not None, "used outside of its context"
        self._received += len(piece)
        if self._received > self._size:
            raise Malformed(f"shard exceeds the {self._size} bytes of its manifest")
        self._hash.update(piece)
        _write_all(self._file, piece)

    def write_verified(self, data: memoryview) -> None:
        """All of a shard whose hash the caller has checked."""
        assert self._file is not None, "used outside of its context"
        _write_all(self._file, data)
        self._received, self._is_verified = len(data), True

    def land(self, root: Root) -> None:
        """Pass it on and settle it. Raises Malformed: fewer bytes, or another hash, than the manifest says."""
        self.pass_on()
        self._shards.settle(root, {self._digest: self._size})

    def pass_on(self) -> None:
        """See `ShardStore.pass_on`. Raises Malformed: fewer bytes, or another hash, than the manifest says."""
        assert self._file is not None, "used outside of its context"
        if self._received != self._size:
            raise Malformed(f"shard has {self._received} bytes, its manifest says {self._size}")
        if not self._is_verified and self._hash.digest() != self._digest:
            raise Malformed(f"shard has hash {self._hash.hexdigest()}, not {self._digest.hex()}")
        self._shards.pass_on(self._digest, Path(self._file.name))


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _settles(path: Path, digest: bytes) -> bool:
    """Whether a file that may not have reached the disk before a crash is right; then it is on the disk."""
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").digest() != digest:
            return False
        os.fsync(stream.fileno())
    return True


def _claim(directory: Path) -> IO[bytes]:
    directory.mkdir(parents=True, exist_ok=True)
    claim = (directory / LOCK_NAME).open("wb")
    try:
        take_lock(claim.fileno())
    except OSError as error:
        claim.close()
        raise Stop(f"another relay uses {directory}: give each its own") from error
    return claim


def _pieces(manifest: Manifest) -> Iterator[tuple[bytes, int]]:
    for entry in manifest.files:
        for position, digest in enumerate(entry.shards):
            yield digest, entry.shard_bytes(position)


def _charge(manifest: Manifest, data: bytes) -> int:
    return manifest.size_bytes + len(data) + BUNDLE_OVERHEAD_BYTES
