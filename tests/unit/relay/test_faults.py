"""Relays that lie, break or stay silent, senders that commit to impossible bundles: who is blamed, who is harmed."""

import hashlib
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, BundleLimits, FileEntry, Manifest
from assay_core.protocol.encoding import Json, canonical_json, merkle_root
from assay_core.protocol.errors import Malformed, MalformedManifest, Unavailable
from assay_core.protocol.types import Root
from assay_core.transport.relay.remote import RemoteRelay
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartLiar, StartRelay
from tests.unit.relay.relays import LIMITS, RunningRelay, fetch

# -------------------------------------------------------------------------------------------------- bad relays


@pytest.mark.parametrize("damage", ["flipped", "short", "long"])
def test_bad_shard_of_one_relay_is_healed_by_another(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient, damage: str
) -> None:
    first, second, manifest = published
    for digest in (shard for entry in manifest.files for shard in entry.shards):
        path = first.shard_file(digest)
        data = bytearray(path.read_bytes())
        data[7] ^= 1
        path.write_bytes({"flipped": bytes(data), "short": bytes(data[:-9]), "long": bytes(data) + b"more"}[damage])

    client = make_client(first, second)

    assert open_bundle(fetch(client, manifest), LIMITS) == manifest
    assert first.count("GET /v1/shards") <= 4  # asked by each thread at most once, then dropped
    asked = len(first.observed.requests)
    assert client.has(manifest.root)
    assert len(first.observed.requests) == asked


def test_corrupt_bundle_is_never_visible(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient, tmp_path: Path
) -> None:
    first, _, manifest = published
    first.shard_file(manifest.entry("update/0000").shards[0]).write_bytes(bytes(SHARD_BYTES))
    client = make_client(first)
    with pytest.raises(Unavailable, match="corrupt shard"):
        fetch(client, manifest)
    assert not (tmp_path / "cache" / manifest.root.hex()).exists()
    with pytest.raises(Unavailable, match="lied"):
        fetch(client, manifest)


def test_relay_that_is_down_does_no_harm(
    published: tuple[RunningRelay, RunningRelay, Manifest],
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
) -> None:
    first, _, manifest = published
    client = make_client(f"http://127.0.0.1:{free_port()}", first)
    assert open_bundle(fetch(client, manifest), LIMITS) == manifest
    directory, another = make_bundle("another", seed=1, file=10)
    client.publish(directory, another, trainer)
    assert client.has(another.root)


def test_silent_relay_does_not_hang_the_client(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient
) -> None:
    first, _, manifest = published
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = make_client(f"http://127.0.0.1:{silent.getsockname()[1]}", first, read_timeout_s=0.3)
        assert open_bundle(fetch(client, manifest), LIMITS) == manifest


def test_nobody_answers(make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount) -> None:
    client = make_client(f"http://127.0.0.1:{free_port()}")
    directory, manifest = make_bundle(file=10)
    for attempt in (
        lambda: fetch(client, manifest),
        lambda: client.has(manifest.root),
        lambda: client.publish(directory, manifest, trainer),
    ):
        with pytest.raises(Unavailable, match="does not answer"):
            attempt()


def test_unknown_root_is_unavailable(start_relay: StartRelay, make_client: MakeClient) -> None:
    client = make_client(start_relay())
    with pytest.raises(Unavailable, match="404"):
        client.fetch(Root(bytes(32)), BundleKind.SUBMISSION, LIMITS)
    assert not client.has(Root(bytes(32)))


def test_another_manifest_than_asked_for_is_the_relays_fault(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient, start_liar: StartLiar
) -> None:
    first, _, manifest = published
    path = f"/v1/manifests/{manifest.root.hex()}"
    liar = start_liar({path: Manifest(BundleKind.SUBMISSION, {}, ()).to_bytes()})
    assert open_bundle(fetch(make_client(liar, first), manifest), LIMITS) == manifest
    with pytest.raises(Unavailable, match="another manifest"):
        fetch(make_client(liar, cache="other"), manifest)


def test_endless_manifest_is_the_relays_fault(make_client: MakeClient, start_liar: StartLiar) -> None:
    root = Root(bytes(32))
    liar = start_liar({f"/v1/manifests/{root.hex()}": b" " * (5 * 2**20)})
    with pytest.raises(Unavailable, match="more than"):
        make_client(liar).fetch(root, BundleKind.SUBMISSION, LIMITS)


def test_relay_that_answers_uploads_with_nonsense(
    make_client: MakeClient, make_bundle: MakeBundle, start_liar: StartLiar, trainer: LocalAccount
) -> None:
    directory, manifest = make_bundle(file=10)
    path = f"/v1/manifests/{manifest.root.hex()}"
    for answer in (b"[]", canonical_json({"missing": ["00" * 32]}), b'{"missing":["xyz"]}'):
        with pytest.raises(Unavailable):
            make_client(start_liar({path: answer})).publish(directory, manifest, trainer)


# ------------------------------------------------------------------------------------------------- bad senders


def committed(files: list[dict[str, Json]], kind: str = "submission") -> tuple[Root, bytes]:
    """A manifest that no honest program writes, and the root that a cheat commits to."""
    root = merkle_root([canonical_json({"fields": {}, "kind": kind}), *(canonical_json(file) for file in files)])
    return root, canonical_json({"fields": {}, "files": files, "kind": kind})


def entry(name: str, data: bytes = b"x") -> dict[str, Json]:
    digest = hashlib.sha256(data).hexdigest()
    return {"bytes": len(data), "name": name, "sha256": digest, "shards": [digest]}


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        pytest.param([entry("../escaped")], "submission", id="parent folder"),
        pytest.param([entry("/etc/passwd")], "submission", id="absolute"),
        pytest.param([entry("a/../../b")], "submission", id="parent folder inside"),
        pytest.param([entry("a\\b")], "submission", id="backslash"),
        pytest.param([entry("manifest.json")], "submission", id="the manifest itself"),
        pytest.param([entry("a"), entry("a", b"y")], "submission", id="name twice"),
        pytest.param([entry("b"), entry("a")], "submission", id="not in order"),
        pytest.param([entry("a"), entry("a/b")], "submission", id="file and folder"),
        pytest.param([{**entry("a"), "bytes": 2**50}], "submission", id="too large"),
        pytest.param([{**entry("a"), "shards": []}], "submission", id="no shards"),
        pytest.param([entry("a")], "poem", id="unknown kind"),
        pytest.param([entry("a")], "policy", id="another kind"),
    ],
)
def test_impossible_manifest_is_held_against_anyone_who_committed_to_it(
    files: list[dict[str, Json]], kind: str, make_client: MakeClient, start_liar: StartLiar, tmp_path: Path
) -> None:
    root, data = committed(files, kind)
    client = make_client(start_liar({f"/v1/manifests/{root.hex()}": data}))
    before = {path for path in tmp_path.rglob("*") if ".partial" not in path.parts}
    with pytest.raises(MalformedManifest):
        client.fetch(root, BundleKind.SUBMISSION, LIMITS)
    assert {path for path in tmp_path.rglob("*") if ".partial" not in path.parts} == before


def test_bundle_over_the_readers_limit_is_refused_unread(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient
) -> None:
    first, _, manifest = published
    with pytest.raises(Malformed, match="exceeds the limit"):
        make_client(first).fetch(manifest.root, BundleKind.SUBMISSION, BundleLimits(1_000))
    assert first.count("GET /v1/shards") == 0


def test_file_whose_hash_does_not_follow_from_its_shards_is_held_against_the_sender(
    make_client: MakeClient, start_liar: StartLiar, tmp_path: Path
) -> None:
    shards = tuple(hashlib.sha256(bytes([number]) * SHARD_BYTES).digest() for number in (1, 2))
    manifest = Manifest(BundleKind.SUBMISSION, {}, (FileEntry("file", 2 * SHARD_BYTES, bytes(32), shards),))
    liar = start_liar({f"/v1/manifests/{manifest.root.hex()}": manifest.to_bytes()})
    with pytest.raises(MalformedManifest, match="follows from its shards"):
        fetch(make_client(liar), manifest)
    assert liar.count("GET /v1/shards") == 0
    assert not (tmp_path / "cache" / manifest.root.hex()).exists()


def test_a_relay_that_dies_and_comes_back_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked of it meanwhile, and however often."""
    port = free_port()
    caplog.set_level(logging.INFO)
    with httpx.Client(trust_env=False) as http:
        relay = RemoteRelay(f"http://127.0.0.1:{port}", http)
        for _ in range(20):
            with pytest.raises(Unavailable):
                relay.has(Root(bytes(32)))
        with ThreadingHTTPServer(("127.0.0.1", port), Answering) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            for _ in range(3):
                assert relay.has(Root(bytes(32)))
            server.shutdown()
        relay.close()
    told = [record.getMessage() for record in caplog.records if record.name.endswith("relay.remote")]
    assert told == ["relay fails", "relay answers again"]


class Answering(BaseHTTPRequestHandler):
    """Has everything."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
