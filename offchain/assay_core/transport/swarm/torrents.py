"""Bundles as torrents of version 2, through libtorrent. The info hash says nothing to us: files are checked by root.

A torrent is named after its bundle's root and holds the bundle's files and manifest.json, in order of name, so every
holder makes the same one. What a stranger's torrent may be is checked before any of its bytes is asked for.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import libtorrent

from assay_core.bundle.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MAX_NAME_CHARS,
    NAME,
    BundleLimits,
    FileEntry,
    Manifest,
    commits_to,
)
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Root
from assay_core.transport.assembly import Corrupt, places, read_shard

log = logging.getLogger(__name__)
lt: Any = libtorrent  # has no complete types

MAX_METADATA_BYTES = 2 * 2**20
LARGE_BYTES = 2**30
POLL_S = 0.05
REDIAL_S = 3.0
SETTLE_S = 10.0
QUIET = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "max_metadata_size": MAX_METADATA_BYTES,
    "connections_limit": 200,
    "alert_mask": 0,
}
Peer = tuple[str, int]


class FakeTorrent(Corrupt):
    """A torrent that is not the bundle it was said to be. Anyone who sent it is a liar, the bundle is not touched."""


class TorrentSession:
    """One listening port. Safe to use from several threads."""

    def __init__(self, host: str, port: int, upload_bytes_per_s: int = 0) -> None:
        """`port` 0: any. Raises Stop: it is taken."""
        settings = {"listen_interfaces": f"{host}:{port}", "upload_rate_limit": upload_bytes_per_s, **QUIET}
        self._session = lt.session(settings)
        nearby = self._session.get_peer_class(lt.session.local_peer_class_id)  # exempt from limits by default
        self._session.set_peer_class(lt.session.local_peer_class_id, {**nearby, "upload_limit": upload_bytes_per_s})
        until = time.monotonic() + 5
        while not (found := int(self._session.listen_port())):
            if time.monotonic() > until:
                raise Stop(f"cannot listen on {host}:{port}: choose another port")
            time.sleep(POLL_S)
        if port and found != port:
            raise Stop(f"cannot listen on {host}:{port}: it is taken, choose another port")
        self.port = found
        self._uploaded_before = 0

    def close(self) -> None:
        self._session.pause()
        del self._session

    def seed(self, parent: Path, torrent: bytes) -> None:
        """Serve `parent/<root>/`, which has been verified."""
        parameters = lt.load_torrent_buffer(torrent)
        parameters.save_path = str(parent)
        parameters.flags = lt.torrent_flags.seed_mode
        self._session.add_torrent(parameters)

    def stop_seeding(self, info_hash: str) -> None:
        handle = self._session.find_torrent(lt.sha1_hash(bytes.fromhex(info_hash)[:20]))
        self._remove(handle)

    @contextmanager
    def downloading(self, info_hash: str, staging: Path, timeout_s: float) -> Generator["Download"]:
        """A torrent that is being fetched into `staging/<root>/`; what came stays there for the next attempt."""
        parameters = lt.parse_magnet_uri(f"magnet:?xt=urn:btmh:1220{info_hash}")
        staging.mkdir(parents=True, exist_ok=True)
        parameters.save_path = str(staging)
        parameters.flags = lt.torrent_flags.default_dont_download
        handle = self._session.add_torrent(parameters)
        try:
            yield Download(handle, staging, timeout_s)
        finally:
            self._remove(handle)

    def uploaded_bytes(self) -> int:
        """What this session has given to others."""
        return self._uploaded_before + sum(map(_uploaded, self._session.get_torrents()))

    def _remove(self, handle: Any) -> None:
        if handle.is_valid():  # another thread that wanted the same may have been done with it before
            self._uploaded_before += _uploaded(handle)
            self._session.remove_torrent(handle)


class Download:
    """A torrent whose peers, names, sizes and bytes are all unproven. Raises Unavailable when nothing more comes."""

    def __init__(self, handle: Any, staging: Path, timeout_s: float) -> None:
        self._handle = handle
        self._staging = staging
        self._timeout_s = timeout_s
        self._find_peers: Callable[[], Sequence[Peer]] = tuple
        self._dialled_at = -REDIAL_S

    def manifest(self, root: Root, limits: BundleLimits, find_peers: Callable[[], Sequence[Peer]]) -> bytes:
        """The manifest's bytes, which commit to `root`. Peers are asked for now and then. Raises FakeTorrent."""
        self._find_peers = find_peers
        self._wait(lambda: bool(self._handle.status().has_metadata), "its description")
        files = self._files(root, limits)
        number = files[MANIFEST_NAME][0]
        self._want([number])
        self._wait(lambda: self._has(number), "its manifest")
        path = self._staging / root.hex() / MANIFEST_NAME
        data = _settled(lambda: _head(path), lambda data: commits_to(root, data), time.monotonic() + SETTLE_S)
        if not commits_to(root, data):
            raise FakeTorrent(f"a torrent is said to be bundle {root.hex()} and has another manifest")
        return data

    def shards(self, manifest: Manifest, missing: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
        """See `assembly.Source`. Raises FakeTorrent: its files are not those of the manifest."""
        files = self._files(manifest.root, BundleLimits(manifest.size_bytes, len(manifest.files)))
        expected = {entry.name: entry.size_bytes for entry in manifest.files}
        if {name: size for name, (_, size) in files.items() if name != MANIFEST_NAME} != expected:
            raise FakeTorrent(f"a torrent is said to be bundle {manifest.root.hex()} and has other files")
        self._want(number for number, _ in files.values())
        self._wait(lambda: bool(self._handle.status().is_seeding), "all of it")
        directory, until = self._staging / manifest.root.hex(), time.monotonic() + SETTLE_S
        for digest, entry, position in places(manifest):
            if digest in missing:
                yield digest, settled_shard(directory, entry, position, digest, until)

    def _files(self, root: Root, limits: BundleLimits) -> dict[str, tuple[int, int]]:
        """Number and size of each file by name. Raises FakeTorrent: no bundle looks like that."""
        info = self._handle.torrent_file()
        layout = info.layout()
        found: dict[str, tuple[int, int]] = {}
        for number in range(int(info.num_files())):
            flags = int(layout.file_flags(number))
            if flags & int(layout.flag_pad_file):
                continue
            folder, _, name = str(layout.file_path(number)).replace("\\", "/").partition("/")
            is_named = name == MANIFEST_NAME or (len(name) <= MAX_NAME_CHARS and NAME.fullmatch(name) is not None)
            if folder != root.hex() or not is_named or name in found or flags & int(layout.flag_symlink):
                raise FakeTorrent(f"a torrent is said to be bundle {root.hex()} and has impossible file names")
            found[name] = (number, int(layout.file_size(number)))
        total = sum(size for _, size in found.values())
        if MANIFEST_NAME not in found or found[MANIFEST_NAME][1] > MAX_MANIFEST_BYTES:
            raise FakeTorrent(f"a torrent is said to be bundle {root.hex()} and has no manifest")
        if len(found) > limits.files + 1 or total > limits.bundle_bytes + MAX_MANIFEST_BYTES:
            raise FakeTorrent(f"a torrent is said to be bundle {root.hex()} and is larger than that may be")
        return found

    def _want(self, numbers: Iterable[int]) -> None:
        wanted = set(numbers)
        count = int(self._handle.torrent_file().num_files())
        self._handle.prioritize_files([4 if number in wanted else 0 for number in range(count)])

    def _has(self, number: int) -> bool:
        return self._handle.file_progress()[number] == self._handle.torrent_file().layout().file_size(number)

    def _wait(self, is_done: Any, what: str) -> None:
        """As long as bytes come in."""
        moved_at, before = time.monotonic(), -1
        while not is_done():
            status = self._handle.status()
            if status.errc.value():
                raise Stop(f"a torrent cannot be written: {status.errc.message()}")
            if status.total_payload_download != before:
                moved_at, before = time.monotonic(), status.total_payload_download
            if time.monotonic() - moved_at > self._timeout_s:
                raise Unavailable(f"nobody in the swarm sends {what}: {status.num_peers} peers connected")
            self._dial()
            time.sleep(POLL_S)

    def _dial(self) -> None:
        if time.monotonic() - self._dialled_at > REDIAL_S:
            self._dialled_at = time.monotonic()
            for peer in self._find_peers():
                self._handle.connect_peer(peer)


def _uploaded(handle: Any) -> int:
    return int(handle.status().total_payload_upload)


def make_torrent(directory: Path, manifest: Manifest) -> tuple[bytes, str]:
    """The torrent of a verified bundle at `…/<root>/`, and its info hash in hex."""
    root = manifest.root.hex()
    sizes = {entry.name: entry.size_bytes for entry in manifest.files}
    sizes[MANIFEST_NAME] = (directory / MANIFEST_NAME).stat().st_size
    files = [lt.create_file_entry(f"{root}/{name}", size) for name, size in sorted(sizes.items())]
    piece_bytes = 4 * 2**20 if manifest.size_bytes > LARGE_BYTES else 2**20
    torrent = lt.create_torrent(files, piece_bytes, lt.create_torrent.v2_only)
    lt.set_piece_hashes(torrent, str(directory.parent))
    torrent.set_creation_date(0)
    data = bytes(lt.bencode(torrent.generate()))
    return data, str(lt.load_torrent_buffer(data).info_hashes.v2)


def settled_shard(directory: Path, entry: FileEntry, position: int, digest: bytes, until: float) -> bytes:
    """A shard once it is on disk; what is there at `until` (monotonic) may be another one."""
    read = partial(read_shard, directory, entry, position)
    return _settled(read, lambda data: hashlib.sha256(data).digest() == digest, until)


def _settled(read: Callable[[], bytes], is_right: Callable[[bytes], bool], until: float) -> bytes:
    """What is on disk once it is right, or at `until`: libtorrent may tell of a piece before it has written it."""
    data = b""
    while True:
        with suppress(FileNotFoundError):
            data = read()
        if is_right(data) or time.monotonic() > until:
            return data
        time.sleep(POLL_S)


def _head(path: Path) -> bytes:
    """Of a manifest: a byte more than it may have, at most."""
    with path.open("rb") as stream:
        return stream.read(MAX_MANIFEST_BYTES + 1)
