"""The manifest of a bundle: a directory of submission, policy, task or evidence, content-addressed by one root.

`root` is the RFC 6962 Merkle root over the header (kind and fields) and then each file entry, in order of name. It is
what goes on chain, and enough to find the bundle on any relay.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from assay_core.protocol.encoding import Json, canonical_json, merkle_root, parse_canonical_json
from assay_core.protocol.errors import MalformedManifest, Rejected
from assay_core.protocol.types import Root

SHARD_BYTES = 4 * 2**20
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 4 * 2**20
# Lower case only (no two names that differ by case), no dot at the start of a part, so no escape from the folder.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*){0,3}(\.[a-z0-9]{1,12}){0,2}")
MAX_NAME_CHARS = 120
HEX32 = re.compile(r"[0-9a-f]{64}")


class BundleKind(StrEnum):
    """What a bundle holds."""

    TASK = "task"
    POLICY = "policy"
    SUBMISSION = "submission"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """What a reader takes at most, checked before a byte of a file is read."""

    bundle_bytes: int
    files: int = 4_096


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: `shards` are the SHA-256 of its consecutive pieces of SHARD_BYTES (the last may be shorter).

    `sha256` follows from them (`digest_of_shards`): the hash of a file of one shard is that shard's.
    """

    name: str
    size_bytes: int
    sha256: bytes
    shards: tuple[bytes, ...]

    def json(self) -> dict[str, Json]:
        return {
            "bytes": self.size_bytes,
            "name": self.name,
            "sha256": self.sha256.hex(),
            "shards": [shard.hex() for shard in self.shards],
        }

    def shard_bytes(self, position: int) -> int:
        """Size of the shard at `position`."""
        return min(SHARD_BYTES, self.size_bytes - position * SHARD_BYTES)


@dataclass(frozen=True)
class Manifest:
    """All that a bundle is. Equal manifests have equal roots and bytes."""

    kind: BundleKind
    fields: Mapping[str, Json]
    files: tuple[FileEntry, ...]

    @cached_property
    def root(self) -> Root:
        header = canonical_json({"fields": dict(self.fields), "kind": str(self.kind)})
        return merkle_root([header, *(canonical_json(entry.json()) for entry in self.files)])

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.files)

    def to_bytes(self) -> bytes:
        return canonical_json(
            {"fields": dict(self.fields), "files": [entry.json() for entry in self.files], "kind": str(self.kind)}
        )

    def entry(self, name: str) -> FileEntry:
        """Raises MalformedManifest: the bundle has no such file."""
        for entry in self.files:
            if entry.name == name:
                return entry
        raise MalformedManifest(f"bundle {self.root.hex()} has no file {name!r}")


def digest_of_shards(shards: Sequence[bytes]) -> bytes:
    """A file's `sha256`: that of its only shard, else SHA-256 over the digests of its shards.

    Not over its bytes: that would be a second claim about them, and cost anyone who receives a file a second pass.
    """
    return shards[0] if len(shards) == 1 else hashlib.sha256(b"".join(shards)).digest()


def parse_manifest(data: bytes, limits: BundleLimits, expected_root: Root | None = None) -> Manifest:
    """Read a stranger's manifest.

    Raises MalformedManifest: too large, not canonical, an impossible or repeated name, wrong counts, over the limits,
    or another root than expected.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise MalformedManifest(f"manifest of {len(data)} bytes exceeds {MAX_MANIFEST_BYTES}")
    try:
        value = parse_canonical_json(data)
        if not isinstance(value, Mapping) or set(value) != {"fields", "files", "kind"}:
            raise MalformedManifest("manifest must be an object with exactly fields, files and kind")
        fields, files = value["fields"], value["files"]
        if not isinstance(fields, Mapping) or not isinstance(files, list):
            raise MalformedManifest("manifest fields must be an object and files a list")
        if len(files) > limits.files:
            raise MalformedManifest(f"manifest lists {len(files)} files, at most {limits.files} are taken")
        kind = BundleKind(str(value["kind"]))
        manifest = Manifest(kind, fields, tuple(_parse_entry(item) for item in files))
    except MalformedManifest:
        raise
    except Rejected as error:
        raise MalformedManifest(str(error)) from error
    except ValueError as error:
        raise MalformedManifest(f"manifest is of unknown kind: {error}") from error
    _check_whole(manifest, limits)
    if expected_root is not None and manifest.root != expected_root:
        raise MalformedManifest(f"manifest has root {manifest.root.hex()}, expected {expected_root.hex()}")
    return manifest


def commits_to(root: Root, data: bytes) -> bool:
    """Whether these bytes are what `root` stands for, well-formed or not.

    Tells a sender that committed to an impossible manifest from a relay that sends something else.
    """
    try:
        value = parse_canonical_json(data)
        if not isinstance(value, Mapping) or set(value) != {"fields", "files", "kind"}:
            return False
        if not isinstance(value["files"], list):
            return False
        header = canonical_json({"fields": value["fields"], "kind": value["kind"]})
        return merkle_root([header, *(canonical_json(item) for item in value["files"])]) == root
    except Rejected:
        return False


def _check_whole(manifest: Manifest, limits: BundleLimits) -> None:
    names = [entry.name for entry in manifest.files]
    if names != sorted(set(names)):
        raise MalformedManifest("manifest names must be unique and in ascending order")
    if manifest.size_bytes > limits.bundle_bytes:
        raise MalformedManifest(f"bundle of {manifest.size_bytes} bytes exceeds the limit of {limits.bundle_bytes}")
    folders = {name.rsplit("/", depth)[0] for name in names for depth in range(1, name.count("/") + 1)}
    if clash := folders & set(names):
        raise MalformedManifest(f"manifest uses {sorted(clash)[0]!r} both as file and folder")


def _parse_entry(value: Json) -> FileEntry:
    if not isinstance(value, Mapping) or set(value) != {"bytes", "name", "sha256", "shards"}:
        raise MalformedManifest("a file entry must have exactly bytes, name, sha256 and shards")
    name, size, sha256, shards = value["name"], value["bytes"], value["sha256"], value["shards"]
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or not NAME.fullmatch(name) or name == MANIFEST_NAME:
        raise MalformedManifest(f"{str(name)[:80]!r} is not a permitted file name")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise MalformedManifest(f"file {name!r} has an impossible size")
    if not isinstance(shards, list) or len(shards) != -(-size // SHARD_BYTES):
        raise MalformedManifest(f"file {name!r} of {size} bytes must have {-(-size // SHARD_BYTES)} shards")
    entry = FileEntry(name, size, _hex32(sha256), tuple(_hex32(shard) for shard in shards))
    if entry.sha256 != digest_of_shards(entry.shards):
        raise MalformedManifest(f"file {name!r} has another hash than follows from its shards")
    return entry


def _hex32(value: Json) -> bytes:
    if not isinstance(value, str) or not HEX32.fullmatch(value):
        raise MalformedManifest("a hash must be 64 lower-case hex digits")
    return bytes.fromhex(value)
