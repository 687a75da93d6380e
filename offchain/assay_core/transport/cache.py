"""A client's verified bundles on disk, and those that are on their way.

`<cache>/<root>/` is a whole, verified, read-only bundle. `<cache>/.partial/<root>/` is one on its way: it holds
verified shards at their places and zeros elsewhere; after a kill, hashing it tells which. One process or thread at a
time works on a root.

Nothing waits for the disk. A bundle is as good as its bytes in memory until the machine goes down, so
`<cache>/.verified/<root>` names the boot under which it was verified; under another one it is hashed again before use.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from assay_core.bundle.directory import OWN_LIMITS, open_bundle, pieces, read_manifest, sync_directory, write_atomically
from assay_core.bundle.disk import disk_fault
from assay_core.bundle.manifest import HEX32, MANIFEST_NAME, SHARD_BYTES, FileEntry, Manifest
from assay_core.bundle.rebuild import Rebuilder
from assay_core.protocol.errors import Malformed, MalformedManifest, Rejected, Stop, Unavailable
from assay_core.protocol.types import Root

log = logging.getLogger(__name__)

DOOMED = ".doomed-"  # what is called so may be removed at any time that nobody works on it
WORTH_SHARING_BYTES = 2**20
BUNDLES_SEARCHED = 32  # for shards that are here already, the newest first
SMALL_MANIFEST_BYTES = 4_096
SMALL_BUNDLE_BYTES = 2**18
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Cache:
    """Bundles by root below one directory, which several processes may share."""

    def __init__(
        self,
        directory: Path,
        clock: Callable[[], float] = time.time,
        boot: Callable[[], str | None] | None = None,
        rebuilder: Rebuilder | None = None,
    ) -> None:
        self._directory = directory
        self._rebuilder = rebuilder
        self.made_bytes = 0
        """Of shards that were made here from others, so that nobody needed to send them."""
        self._clock = clock
        self._boot = (boot or read_boot_id)()
        for name in (".partial", ".verified"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    def find(self, root: Root) -> Path | None:
        """The directory of a whole bundle; being asked for keeps it from being pruned by age."""
        directory = self._directory / root.hex()
        if not directory.is_dir() or not self._is_verified(root) or _is_damaged(directory, root):
            return None
        now = self._clock()
        os.utime(directory, (now, now))
        return directory

    @contextmanager
    def working_on(self, root: Root) -> Generator[None]:
        """Wait until nobody else, thread or process, assembles this bundle; then keep others waiting."""
        # One lock for many roots: a lock per root would have to stay for ever, as removing it is a race.
        with (self._directory / ".partial" / f"{root[:1].hex()}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def partial(self, manifest: Manifest) -> "PartialBundle":
        """Begin or resume a bundle. Only inside of `working_on`."""
        whole, directory = self._directory / manifest.root.hex(), self._directory / ".partial" / manifest.root.hex()
        if whole.is_dir():  # verified under another boot: what is still right of it need not be fetched
            shutil.rmtree(directory, ignore_errors=True)
            os.replace(whole, directory)
        return PartialBundle(directory, manifest, self._bundles, self._rebuild_of(manifest))

    def finish(self, partial: "PartialBundle") -> Path:
        """Make a whole bundle visible under its final name, read only."""
        root = partial.manifest.root
        partial.seal(is_durable=self._boot is None)
        final = self._directory / root.hex()
        (self._directory / ".verified" / root.hex()).write_text(self._boot or "", encoding="utf-8")
        os.replace(partial.directory, final)
        self.made_bytes += partial.made_bytes
        if self._boot is None:
            sync_directory(self._directory)
        return final

    def prune(self, *, max_age_s: float, newest: int, keep: Iterable[Root] = ()) -> int:
        """Remove bundles, whole or partial, not asked for in `max_age_s`, except the `newest` and those to `keep`.

        Returns how many were removed. Open files of a removed bundle stay readable.
        """
        kept, before = {root.hex() for root in keep}, self._clock() - max_age_s
        whole = [path for path in self._directory.iterdir() if HEX32.fullmatch(path.name) and path.name not in kept]
        whole.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        stale = [path for path in whole[newest:] if path.stat().st_mtime < before]
        partials = [path for path in (self._directory / ".partial").iterdir() if HEX32.fullmatch(path.name)]
        stale += [path for path in partials if path.stat().st_mtime < before]
        for leftover in self._directory.rglob(f"{DOOMED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for path in stale:
            with self.working_on(Root(bytes.fromhex(path.name))):
                doomed = path.with_name(f"{DOOMED}{path.name}-{os.getpid()}-{threading.get_ident()}")
                os.replace(path, doomed)  # first invisible, then gone
                shutil.rmtree(doomed)
                if path.parent == self._directory:
                    (self._directory / ".verified" / path.name).unlink(missing_ok=True)
        return len(stale)

    def _is_verified(self, root: Root) -> bool:
        try:
            return (self._directory / ".verified" / root.hex()).read_text(encoding="utf-8") == (self._boot or "")
        except (OSError, UnicodeDecodeError):
            return False

    def _rebuild_of(self, manifest: Manifest) -> "_Rebuild | None":
        try:
            plan = self._rebuilder.plan(manifest) if self._rebuilder is not None else None
        except Rejected as error:
            log.warning("fetched whole", extra={"bundle": manifest.root.hex(), "why": str(error)})
            return None
        base = self.find(plan.base) if plan is not None else None
        if self._rebuilder is None or plan is None or base is None:
            return None
        return _Rebuild(plan.made, partial(self._rebuilder.make, manifest, base=base))

    def _bundles(self) -> Iterator[tuple[Path, Manifest]]:
        """The whole bundles that are here, those asked for last first. What they hold may be damaged."""
        found = list[tuple[float, Path]]()
        for directory in self._directory.iterdir():
            with suppress(FileNotFoundError):  # pruned this moment
                if HEX32.fullmatch(directory.name):
                    found.append((directory.stat().st_mtime, directory))
        for _, directory in sorted(found, reverse=True)[:BUNDLES_SEARCHED]:
            with suppress(MalformedManifest):
                yield directory, read_manifest(directory)


@dataclass(frozen=True, slots=True)
class _Rebuild:
    made: frozenset[str]
    make: Callable[..., None]


class PartialBundle:
    """A bundle on its way: which shards are missing, and a place for each that has been verified."""

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        bundles: Callable[[], Iterable[tuple[Path, Manifest]]],
        rebuild: _Rebuild | None = None,
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self._rebuild_of = rebuild
        self.made_bytes = 0
        self._empty: dict[bytes, list[tuple[FileEntry, int]]] = {}
        self.reused_bytes = 0
        """Of shards that other bundles here had, so that nobody needs to send them."""
        directory.mkdir(parents=True, exist_ok=True)
        absent = [entry for entry in manifest.files if not (directory / entry.name).exists()]
        known = _Known(bundles() if any(entry.size_bytes >= WORTH_SHARING_BYTES for entry in absent) else ())
        for entry in manifest.files:
            self._prepare(entry, known)
        self._reuse(known)

    def missing(self) -> dict[bytes, int]:
        """Size in bytes of each shard that is still to be fetched, by hash, in the manifest's order."""
        return {digest: entry.shard_bytes(position) for digest, ((entry, position), *_) in self._empty.items()}

    def rounds(self) -> Iterator[dict[bytes, int]]:
        """What is to be fetched (see `missing`): first what the rest may be made from, then what could not be made.

        Anyone who asks for the next round has written the one before.
        """
        if self._rebuild_of is not None:
            made = self._rebuild_of.made
            yield {
                digest: size
                for digest, size in self.missing().items()
                if not all(entry.name in made for entry, _ in self._empty[digest])
            }
            if self._empty:
                self._run_rebuild(self._rebuild_of)
        yield self.missing()

    def write(self, digest: bytes, data: bytes | bytearray | memoryview) -> None:
        """Put a shard, verified by the caller, everywhere it belongs. Safe to call from several threads."""
        for entry, position in self._empty[digest]:
            if entry.shard_bytes(position) != len(data):
                raise MalformedManifest(f"file {entry.name!r} lists a shard of another size")
            handle = os.open(self.directory / entry.name, os.O_WRONLY)
            try:
                _write_all(handle, memoryview(data), position * SHARD_BYTES)
            finally:
                os.close(handle)
        del self._empty[digest]

    def seal(self, is_durable: bool = True) -> None:
        """Make the files read only, and write the manifest, which nothing but a whole bundle has."""
        for entry in self.manifest.files:
            path = self.directory / entry.name
            if is_durable:
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            path.chmod(0o444)
        path, data = self.directory / MANIFEST_NAME, self.manifest.to_bytes()
        if is_durable:
            write_atomically(path, data)
        else:
            path.unlink(missing_ok=True)
            path.write_bytes(data)  # invisible as yet: the bundle has not got its name

    def _prepare(self, entry: FileEntry, known: "_Known") -> None:
        path = self.directory / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and (shared := known.file(entry)) is not None:
            with suppress(OSError):  # no hard links here: its shards are copied
                os.link(shared, path)  # as frozen weights are in each version of a policy
        if path.exists() and path.stat().st_size == entry.size_bytes:
            empty = _wrong_shards(path, entry)
            if not empty:
                return
            if path.stat().st_nlink == 1:
                path.chmod(0o644)  # it may have been sealed before
                self._await(entry, empty)
                return
            path.unlink()  # damaged, and another bundle's too: leave that one alone
        path.unlink(missing_ok=True)
        with path.open("wb") as stream:
            stream.truncate(entry.size_bytes)
        self._await(entry, range(len(entry.shards)))

    def _await(self, entry: FileEntry, positions: Iterable[int]) -> None:
        for position in positions:
            self._empty.setdefault(entry.shards[position], []).append((entry, position))

    def _run_rebuild(self, rebuild: _Rebuild) -> None:
        folder = self.directory.with_name(f"{DOOMED}made-{self.directory.name}")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            rebuild.make(self.directory, target=folder)
            for entry in self.manifest.files:
                if entry.name in rebuild.made and (folder / entry.name).is_file():
                    self._take_made(folder / entry.name)
        except (Rejected, FileNotFoundError) as error:  # the latter: somebody tidied up meanwhile
            log.warning("not made, so fetched", extra={"bundle": self.manifest.root.hex(), "why": str(error)})
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _take_made(self, path: Path) -> None:
        with path.open("rb") as stream:
            for piece in pieces(stream):
                digest = hashlib.sha256(piece).digest()
                if digest in self._empty:
                    self.write(digest, piece)
                    self.made_bytes += len(piece)

    def _reuse(self, known: "_Known") -> None:
        """Copy the shards that other bundles hold, hashing them on the way: those bundles may be damaged."""
        for digest, size in self.missing().items():
            data = known.shard(digest)
            if data is not None and len(data) == size and hashlib.sha256(data).digest() == digest:
                self.write(digest, data)
                self.reused_bytes += size


class _Known:
    """Where the files and shards of the bundles that are here lie."""

    def __init__(self, bundles: Iterable[tuple[Path, Manifest]]) -> None:
        self._files: dict[tuple[str, bytes], Path] = {}
        self._shards: dict[bytes, tuple[Path, int]] = {}
        for directory, manifest in bundles:
            for entry in manifest.files:
                if entry.size_bytes < WORTH_SHARING_BYTES:
                    continue
                path = directory / entry.name
                self._files.setdefault((entry.name, entry.sha256), path)
                for position, digest in enumerate(entry.shards):
                    self._shards.setdefault(digest, (path, position))

    def file(self, entry: FileEntry) -> Path | None:
        path = self._files.get((entry.name, entry.sha256))
        return path if path is not None and path.is_file() and path.stat().st_size == entry.size_bytes else None

    def shard(self, digest: bytes) -> bytes | None:
        path, position = self._shards.get(digest, (None, 0))
        if path is None:
            return None
        try:
            with path.open("rb") as stream:
                stream.seek(position * SHARD_BYTES)
                return stream.read(SHARD_BYTES)
        except OSError:
            return None


def _is_damaged(directory: Path, root: Root) -> bool:
    """Whether a small bundle, such as a task's spec, is not what it was: to hash it at each look costs next to nothing.

    A large one is trusted until the machine starts again.
    """
    try:
        if (directory / MANIFEST_NAME).stat().st_size > SMALL_MANIFEST_BYTES:
            return False
        if read_manifest(directory).size_bytes <= SMALL_BUNDLE_BYTES:
            open_bundle(directory, OWN_LIMITS, root)
    except (Malformed, OSError):
        return True
    return False


def cache_trouble(error: OSError) -> Stop | Unavailable:
    """What it means that the cache cannot be written: a full disk may pass, all else needs a person."""
    if (fault := disk_fault(error)) is not None:
        return Unavailable(f"the cache cannot be written ({fault}): make room")
    return Stop(f"the cache cannot be written: {error}")


def read_boot_id() -> str | None:
    """What changes whenever this machine starts; None: it does not tell, and files must be synced instead."""
    try:
        return BOOT_ID.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _write_all(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


def _wrong_shards(path: Path, entry: FileEntry) -> list[int]:
    with path.open("rb") as stream:
        digests = [hashlib.sha256(piece).digest() for piece in pieces(stream)]
    return [position for position, shard in enumerate(entry.shards) if digests[position] != shard]
