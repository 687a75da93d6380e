"""Bundles on disk: make a manifest for a directory, or check a directory against its manifest."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from assay_core.bundle.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    SHARD_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    digest_of_shards,
    parse_manifest,
)
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed, MalformedManifest
from assay_core.protocol.types import Root

OWN_LIMITS = BundleLimits(bundle_bytes=2**62)  # for manifests that we wrote or verified ourselves


def build_bundle(directory: Path, kind: BundleKind, fields: Mapping[str, Json]) -> Manifest:
    """Hash every file below `directory` and write its manifest.json, the last step in making a bundle.

    Raises MalformedManifest: a file that no bundle can hold (name, link, too many).
    """
    entries = (hash_file(directory / name, name) for name in sorted(_names(directory)))
    manifest = Manifest(kind, dict(fields), tuple(entries))
    data = manifest.to_bytes()
    parse_manifest(data, OWN_LIMITS)  # what others would refuse is refused here
    write_atomically(directory / MANIFEST_NAME, data)
    return manifest


def open_bundle(directory: Path, limits: BundleLimits, expected_root: Root | None = None) -> Manifest:
    """Check a directory from anywhere: its manifest, that it holds exactly those files, and each one's bytes.

    Raises Malformed: anything differs.
    """
    manifest = read_manifest(directory, limits, expected_root)
    listed = {entry.name for entry in manifest.files}
    present = set(_names(directory))
    if listed != present:
        raise Malformed(f"bundle and manifest differ in {sorted(listed ^ present)[0]!r}")
    for entry in manifest.files:
        path = directory / entry.name
        if path.stat().st_size != entry.size_bytes:
            raise Malformed(
                f"file {entry.name!r} has {path.stat().st_size} bytes, its manifest says {entry.size_bytes}"
            )
        if hash_file(path, entry.name) != entry:
            raise Malformed(f"file {entry.name!r} differs from its hash in the manifest")
    return manifest


def read_manifest(directory: Path, limits: BundleLimits = OWN_LIMITS, expected_root: Root | None = None) -> Manifest:
    """The manifest of a directory, whose files are not looked at. Raises MalformedManifest."""
    path = directory / MANIFEST_NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise MalformedManifest(f"{path} cannot be read: {error.strerror}") from error
    return parse_manifest(data, limits, expected_root)


def hash_file(path: Path, name: str) -> FileEntry:
    """The entry of a file, in one pass and with one shard in memory. Raises MalformedManifest for a link or folder."""
    if path.is_symlink() or not path.is_file():
        raise MalformedManifest(f"{name!r} is not a plain file")
    shards, size = list[bytes](), 0
    with path.open("rb") as stream:
        for piece in pieces(stream):
            shards.append(hashlib.sha256(piece).digest())
            size += len(piece)
    return FileEntry(name, size, digest_of_shards(shards), tuple(shards))


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """The shards of an open file."""
    while piece := stream.read(SHARD_BYTES):
        yield piece


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is either whole under its name, on disk, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames inside `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _names(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        if any((Path(folder) / name).is_symlink() for name in folders):
            raise MalformedManifest(f"{folder} holds a link to a folder: bundles hold plain files only")
        for file in files:
            name = (Path(folder) / file).relative_to(directory).as_posix()
            if name != MANIFEST_NAME:
                yield name
