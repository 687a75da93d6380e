"""A swarm of real peers. Anyone who serves a torrent, only what the bundle's root commits to is ever used."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtorrent
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import MalformedManifest, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.assembly import places
from assay_core.transport.engine import Engine, PolicySignature
from assay_core.transport.swarm.engine import SwarmClient, SwarmPlace
from assay_core.transport.swarm.torrents import TorrentSession, make_torrent, settled_shard
from assay_core.transport.swarm.trackers import Trackers
from tests.unit.transport.conftest import LIMITS, MakeBundle
from tests.unit.transport.swarm_peer import CHAIN_ID
from tests.unit.transport.trackers_running import RunningTracker

pytestmark = pytest.mark.slow  # seconds each: peers find each other at their own pace
TASK, EPOCH = TaskId(7), Epoch(2)
lt: Any = libtorrent


class Peers:
    """Clients in this process, and peers as processes."""

    def __init__(self, folder: Path, tracker: RunningTracker) -> None:
        self._folder = folder
        self._tracker = tracker
        self._clients: list[SwarmClient] = []
        self._processes: list[PeerProcess] = []

    def client(self, name: str, key: int, **changes: Any) -> SwarmClient:
        state = self._folder / name
        account = Account.from_key(bytes([key]) * 32)
        options = {"timeout_s": 3, "announce_s": 0.3, **changes}
        place = SwarmPlace("127.0.0.1", 0, state)
        self._clients.append(
            SwarmClient([self._tracker.url], state / "cache", place, account, chain_id=CHAIN_ID, **options)
        )
        return self._clients[-1]

    def process(self, name: str, key: int, **settings: Any) -> "PeerProcess":
        self._processes.append(PeerProcess(self._folder / name, key, [self._tracker.url], settings))
        return self._processes[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in self._processes:
            process.kill()


class PeerProcess:
    def __init__(self, state: Path, key: int, trackers: list[str], settings: dict[str, Any]) -> None:
        given = json.dumps({"state": str(state), "key": key, "trackers": trackers, **settings})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.transport.swarm_peer", given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, command: str, argument: object = "-") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command} {argument}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        found = self._read()
        assert "error" not in found, found
        return found["answer"]

    def do(self, command: str, argument: object = "-") -> Any:
        self.ask(command, argument)
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the peer died"
        return json.loads(line)


@pytest.fixture
def peers(tmp_path: Path, tracker: RunningTracker) -> Iterator[Peers]:
    group = Peers(tmp_path, tracker)
    yield group
    group.close()


# ------------------------------------------------------------------------------------------------------ the swarm


def test_four_processes_serve_each_other_and_outlive_the_publisher(peers: Peers, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(mib=24)
    root = manifest.root.hex()
    publisher = peers.process("publisher", 1, upload_bytes_per_s=3 * 2**20)
    others = [peers.process(f"peer{key}", key) for key in (2, 3, 4)]
    publisher.do("publish", directory)
    for peer in others:
        peer.ask("fetch", root)
    for peer in others:
        peer.answer()
    given = [int(peer.do("uploaded")) for peer in others]
    assert sum(given) > 0.2 * manifest.size_bytes  # not all came from the publisher
    publisher.kill()
    peers.process("late", 5).do("fetch", root)


def test_bundle_comes_whole_and_verified_and_is_served_on(
    peers: Peers, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    first, second, third = peers.client("first", 1), peers.client("second", 2), peers.client("third", 3)
    engine: Engine = second
    directory, manifest = make_bundle()
    assert not engine.has(manifest.root)
    first.publish(directory, manifest, trainer)
    assert engine.has(manifest.root)
    found = engine.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    assert open_bundle(found, LIMITS, manifest.root) == manifest
    first.close()
    assert open_bundle(third.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS), LIMITS, manifest.root) == manifest


def test_peer_that_restarts_serves_what_it_had(peers: Peers, make_bundle: MakeBundle, trainer: LocalAccount) -> None:
    directory, manifest = make_bundle()
    first = peers.client("first", 1)
    first.publish(directory, manifest, trainer)
    first.close()
    again = peers.client("first", 1, announce_s=3_600)  # what it has it announces at once
    assert again.port != 0
    found = peers.client("second", 2, timeout_s=15).fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    assert open_bundle(found, LIMITS, manifest.root) == manifest


def test_every_holder_makes_the_same_torrent(make_bundle: MakeBundle, tmp_path: Path) -> None:
    directory, manifest = make_bundle()
    hashes: set[str] = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copy = tmp_path / name / manifest.root.hex()
        subprocess.run(["cp", "-r", directory, copy], check=True)
        hashes.add(make_torrent(copy, manifest)[1])
    assert len(hashes) == 1


def test_nobody_has_it(peers: Peers) -> None:
    client = peers.client("first", 1)
    assert not client.has(Root(bytes(32)))
    with pytest.raises(Unavailable, match="no peer of the swarm has bundle"):
        client.fetch(Root(bytes(32)), BundleKind.SUBMISSION, LIMITS)


def test_dead_peers_cost_a_time_limit(peers: Peers, tracker: RunningTracker) -> None:
    account = Account.from_key(b"\x02" * 32)
    notices = Trackers((tracker.url,), account, CHAIN_ID)
    notices.announce(Root(bytes(32)), "ab" * 32, 9, is_whole=True)
    with pytest.raises(Unavailable, match="nobody in the swarm sends its description"):
        peers.client("first", 1, timeout_s=1).fetch(Root(bytes(32)), BundleKind.SUBMISSION, LIMITS)
    notices.close()


# ---------------------------------------------------------------------------------------------------------- liars


class Liar:
    """Serves any folder as the torrent of any root, and says so on the tracker."""

    def __init__(self, folder: Path, tracker: RunningTracker, key: int = 2) -> None:
        self._folder = folder
        self._session = TorrentSession("127.0.0.1", 0)
        self._trackers = Trackers((tracker.url,), Account.from_key(bytes([key]) * 32), CHAIN_ID)

    def serve(self, root: Root, files: dict[str, bytes], folder: str | None = None) -> str:
        name = folder or root.hex()
        for path, data in files.items():
            (self._folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name / path).write_bytes(data)
        entries = [lt.create_file_entry(f"{name}/{path}", len(data)) for path, data in sorted(files.items())]
        torrent = lt.create_torrent(entries, 2**20, lt.create_torrent.v2_only)
        lt.set_piece_hashes(torrent, str(self._folder))
        data = bytes(lt.bencode(torrent.generate()))
        self._session.seed(self._folder, data)
        info_hash = str(lt.load_torrent_buffer(data).info_hashes.v2)
        self._trackers.announce(root, info_hash, self._session.port, is_whole=True)
        return info_hash

    def close(self) -> None:
        self._session.close()
        self._trackers.close()


@pytest.fixture
def liar(tmp_path: Path, tracker: RunningTracker) -> Iterator[Liar]:
    (tmp_path / "liar").mkdir()
    found = Liar(tmp_path / "liar", tracker)
    yield found
    found.close()


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("lie", ["bytes", "manifest", "surplus file", "size", "no manifest", "escape", "folder"])
def test_torrent_that_lies_is_dropped_and_the_honest_one_used(
    peers: Peers, liar: Liar, make_bundle: MakeBundle, trainer: LocalAccount, lie: str, tmp_path: Path
) -> None:
    directory, manifest = make_bundle(mib=1.5)
    files, folder = files_of(directory), None
    name = "update/0000.safetensors"
    match lie:
        case "bytes":
            files[name] = bytes(len(files[name]))
        case "manifest":
            files["manifest.json"] = make_bundle("other", seed=1)[1].to_bytes()
        case "surplus file":
            files["surplus.bin"] = b"x"
        case "size":
            files[name] = files[name][:-1]
        case "no manifest":
            del files["manifest.json"]
        case "escape":
            files["Escape/..hidden"] = b"x"
        case _:
            folder = "0" * 64
    client = peers.client("second", 3)
    liar.serve(manifest.root, files, folder)
    with pytest.raises(Unavailable, match=r"said to be bundle|corrupt|another one"):
        client.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    assert client.cache.find(manifest.root) is None
    assert not list((tmp_path / "second" / "staging").glob("*"))
    peers.client("first", 1).publish(directory, manifest, trainer)
    assert open_bundle(client.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS), LIMITS, manifest.root) == manifest


@pytest.mark.parametrize("before", [None, "unwritten"])
def test_shard_that_is_told_of_before_it_is_on_disk_is_waited_for(
    make_bundle: MakeBundle, tmp_path: Path, before: str | None
) -> None:
    """Else an honest torrent would count as a fake, and never be asked for again."""
    directory, manifest = make_bundle(mib=1.5)
    digest, entry, position = next(places(manifest))
    late = tmp_path / "staging" / entry.name
    late.parent.mkdir(parents=True)
    data = (directory / entry.name).read_bytes()
    if before is not None:
        late.write_bytes(bytes(len(data)))
    writer = threading.Timer(0.3, lambda: late.write_bytes(data))
    writer.start()
    found = settled_shard(tmp_path / "staging", entry, position, digest, time.monotonic() + 30)
    writer.join()
    assert hashlib.sha256(found).digest() == digest
    late.write_bytes(b"another")
    assert settled_shard(tmp_path / "staging", entry, position, digest, time.monotonic()) == b"another"


def test_impossible_bundle_is_its_senders_fault(
    peers: Peers, make_bundle: MakeBundle, liar: Liar, trainer: LocalAccount
) -> None:
    directory, manifest = make_bundle(mib=1.5)
    peers.client("first", 1).publish(directory, manifest, trainer)
    client = peers.client("second", 3)
    with pytest.raises(MalformedManifest, match="is a submission, not a policy"):
        client.fetch(manifest.root, BundleKind.POLICY, LIMITS)
    escaping = Manifest(BundleKind.SUBMISSION, {}, (replace(manifest.files[0], name="../escaped"),))
    liar.serve(escaping.root, {"manifest.json": escaping.to_bytes(), "escaped": b""})
    with pytest.raises(MalformedManifest, match="not a permitted file name"):
        client.fetch(escaping.root, BundleKind.SUBMISSION, LIMITS)


def test_bundle_over_the_limit_is_not_downloaded(
    peers: Peers, make_bundle: MakeBundle, trainer: LocalAccount, tmp_path: Path
) -> None:
    directory, manifest = make_bundle(mib=6)
    first = peers.client("first", 1)
    first.publish(directory, manifest, trainer)
    with pytest.raises(Unavailable, match="larger than that may be"):
        peers.client("second", 3).fetch(manifest.root, BundleKind.SUBMISSION, BundleLimits(1_000))
    assert first.uploaded_bytes == 0


def test_outsiders_write_nothing(peers: Peers, tracker: RunningTracker, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(mib=0.1)
    outsider = Account.from_key(b"\x09" * 32)
    client = peers.client("outsider", 9)
    with pytest.raises(Stop, match="may not upload"):
        client.publish(directory, manifest, outsider)
    with pytest.raises(Stop, match="not the signature of a verifier"):
        client.post_signature(TASK, EPOCH, PolicySignature(Address(outsider.address), Root(bytes(32)), bytes(65)))
    assert not peers.client("first", 1).has(manifest.root)
