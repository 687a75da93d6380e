"""A client's verified bundles on disk, and those that are on their way.

`<cache>/<root>/` is a whole, verified, read-only bundle. `<cache>/.partial/<root>/` is one on its way: it holds
verified shards at their places and zeros elsewhere; after a kill, hashing it tells which. One process or thread at a
time works on a root.
"""

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from offchain.protocol.errors import MalformedManifest
from offchain.protocol.manifest import HEX32, MANIFEST_NAME, SHARD_BYTES, FileEntry, Manifest
from offchain.protocol.types import Root
from offchain.shardcast.store import pieces, read_manifest, sync_directory, write_atomically

WORTH_SHARING_BYTES = 2**20


class Cache:
    """Bundles by root below one directory, which several processes may share."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        (directory / ".partial").mkdir(parents=True, exist_ok=True)

    def find(self, root: Root) -> Path | None:
        """The directory of a whole bundle; being asked for keeps it from being pruned by age."""
        directory = self._directory / root.hex()
        if not directory.is_dir():
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
        return PartialBundle(self._directory / ".partial" / manifest.root.hex(), manifest, self._shared_file)

    def finish(self, partial: "PartialBundle") -> Path:
        """Make a whole bundle visible under its final name. Raises MalformedManifest: see `PartialBundle.seal`."""
        partial.seal()
        final = self._directory / partial.manifest.root.hex()
        os.replace(partial.directory, final)
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
        for leftover in self._directory.rglob(".doomed-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for path in stale:
            with self.working_on(Root(bytes.fromhex(path.name))):
                doomed = path.with_name(f".doomed-{path.name}-{os.getpid()}-{threading.get_ident()}")
                os.replace(path, doomed)  # first invisible, then gone
                shutil.rmtree(doomed)
        return len(stale)

    def _shared_file(self, entry: FileEntry) -> Path | None:
        """The same file in a bundle that is already here, as frozen weights are in each version of a policy."""
        if entry.size_bytes < WORTH_SHARING_BYTES:
            return None
        for directory in self._directory.iterdir():
            path = directory / entry.name
            if not HEX32.fullmatch(directory.name) or not path.is_file() or path.stat().st_size != entry.size_bytes:
                continue
            try:
                if read_manifest(directory).entry(entry.name) == entry:
                    return path
            except MalformedManifest:
                continue
        return None


class PartialBundle:
    """A bundle on its way: which shards are missing, and a place for each that has been verified."""

    def __init__(self, directory: Path, manifest: Manifest, shared_file: Callable[[FileEntry], Path | None]) -> None:
        self.directory = directory
        self.manifest = manifest
        self._empty: dict[bytes, list[tuple[FileEntry, int]]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for entry in manifest.files:
            self._prepare(entry, shared_file)

    def missing(self) -> dict[bytes, int]:
        """Size in bytes of each shard that is still to be fetched, by hash."""
        return {digest: entry.shard_bytes(position) for digest, ((entry, position), *_) in self._empty.items()}

    def write(self, digest: bytes, data: bytes) -> None:
        """Put a shard, verified by the caller, everywhere it belongs. Safe to call from several threads."""
        for entry, position in self._empty[digest]:
            if entry.shard_bytes(position) != len(data):
                raise MalformedManifest(f"file {entry.name!r} lists a shard of another size")
            handle = os.open(self.directory / entry.name, os.O_WRONLY)
            try:
                os.pwrite(handle, data, position * SHARD_BYTES)
            finally:
                os.close(handle)
        del self._empty[digest]

    def seal(self) -> None:
        """Check each whole file, make it durable and read only.

        Raises MalformedManifest: a file's own hash is not that of its shards, each of which is right. The bundle is
        then removed: no relay has a better one.
        """
        for entry in self.manifest.files:
            path = self.directory / entry.name
            with path.open("rb") as stream:
                if len(entry.shards) > 1 and hashlib.file_digest(stream, "sha256").digest() != entry.sha256:
                    shutil.rmtree(self.directory)
                    raise MalformedManifest(f"file {entry.name!r} is not what its shards add up to")
                os.fsync(stream.fileno())
            path.chmod(0o444)
        write_atomically(self.directory / MANIFEST_NAME, self.manifest.to_bytes())

    def _prepare(self, entry: FileEntry, shared_file: Callable[[FileEntry], Path | None]) -> None:
        path = self.directory / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and (shared := shared_file(entry)) is not None:
            os.link(shared, path)
        if path.exists() and path.stat().st_size == entry.size_bytes:
            empty = _wrong_shards(path, entry)
            if not empty:
                return
            if path.stat().st_nlink == 1:
                path.chmod(0o644)  # it may have been killed while sealing
                self._await(entry, empty)
                return
            path.unlink()  # damaged, and another bundle's too: leave that one alone
        with path.open("wb") as stream:
            stream.truncate(entry.size_bytes)
        self._await(entry, range(len(entry.shards)))

    def _await(self, entry: FileEntry, positions: Iterable[int]) -> None:
        for position in positions:
            self._empty.setdefault(entry.shards[position], []).append((entry, position))


def _wrong_shards(path: Path, entry: FileEntry) -> list[int]:
    with path.open("rb") as stream:
        digests = [hashlib.sha256(piece).digest() for piece in pieces(stream)]
    return [position for position, shard in enumerate(entry.shards) if digests[position] != shard]
