"""From a source that nobody trusts to a verified bundle in the cache: the same for every engine but relays."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from pathlib import Path
from typing import Protocol

from assay_core.bundle.manifest import (
    SHARD_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    commits_to,
    parse_manifest,
)
from assay_core.protocol.errors import MalformedManifest, Unavailable
from assay_core.protocol.types import Root
from assay_core.transport.cache import Cache, PartialBundle, cache_trouble


class Corrupt(Unavailable):
    """What is kept under a bundle's name is something else: the fault of who keeps it, not of who made the bundle."""


class Source(Protocol):
    """Hands out bytes by name, which may be wrong. Raises Unavailable: not there, or longer than asked for."""

    def manifest(self, root: Root) -> bytes:
        """At most MAX_MANIFEST_BYTES."""
        ...

    def shards(self, manifest: Manifest, missing: dict[bytes, int]) -> Iterable[tuple[bytes, bytes]]:
        """Digest and bytes of each missing shard (sizes are given), in any order."""
        ...


def assemble(cache: Cache, source: Source, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
    """See `Engine.fetch`. Shards that came before a failure stay, and are not asked for again."""
    if (found := cache.find(root)) is not None:
        return found
    try:
        with cache.working_on(root):
            if (found := cache.find(root)) is not None:  # somebody else has just finished it
                return found
            manifest = _read_manifest(source, root, kind, limits)
            partial = cache.partial(manifest)
            for missing in partial.rounds():
                _fill(partial, source, missing)
            return cache.finish(partial)
    except OSError as error:
        raise cache_trouble(error) from error


def _fill(partial: PartialBundle, source: Source, missing: Mapping[bytes, int]) -> None:
    bundle, left = f"bundle {partial.manifest.root.hex()}", set(missing)
    for digest, data in source.shards(partial.manifest, dict(missing)):
        if len(data) != missing[digest] or hashlib.sha256(data).digest() != digest:
            raise Corrupt(f"shard {digest.hex()} of {bundle} is corrupt where it is kept")
        partial.write(digest, data)
        left.discard(digest)
    if left:
        raise Unavailable(f"{bundle} is not complete where it is kept")


def places(manifest: Manifest) -> Iterator[tuple[bytes, FileEntry, int]]:
    """Digest, file and position of every different shard, in the manifest's order."""
    seen: set[bytes] = set()
    for entry in manifest.files:
        for position, digest in enumerate(entry.shards):
            if digest not in seen:
                seen.add(digest)
                yield digest, entry, position


def read_shard(directory: Path, entry: FileEntry, position: int) -> bytes:
    """Bytes of one shard of a file; `position` counts from 0."""
    with (directory / entry.name).open("rb") as stream:
        stream.seek(position * SHARD_BYTES)
        return stream.read(SHARD_BYTES)


def run_all(pool: Executor, act: "Action", items: Iterable[tuple[bytes, FileEntry, int]]) -> None:
    """Do it for every item; the first failure is raised once nothing is under way any more."""
    futures = [pool.submit(act, *item) for item in items]
    done, open_ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in open_:
        future.cancel()
    wait(open_)
    for future in done:
        future.result()


class Action(Protocol):
    def __call__(self, digest: bytes, entry: FileEntry, position: int, /) -> None: ...


def _read_manifest(source: Source, root: Root, kind: BundleKind, limits: BundleLimits) -> Manifest:
    data = source.manifest(root)
    if not commits_to(root, data):
        raise Corrupt(f"what is kept as the manifest of bundle {root.hex()} is another one")
    manifest = parse_manifest(data, limits, root)
    if manifest.kind is not kind:
        raise MalformedManifest(f"bundle {root.hex()} is a {manifest.kind}, not a {kind}")
    return manifest
