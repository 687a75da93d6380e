"""Relays that copy from relays, and clients that begin before everything is there."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, Manifest
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Root
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.messages import COMING_HEADER, HOPS_HEADER, WAIT_HEADER
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartLiar, StartRelay
from tests.unit.relay.relays import LIMITS, RunningRelay, fetch, upload_headers


def wait_until_whole(http: httpx.Client, relay: RunningRelay, root: Root) -> None:
    until = time.monotonic() + 20
    while http.head(f"{relay.url}/v1/manifests/{root.hex()}").status_code != 200:
        assert time.monotonic() < until, "it was never copied"
        time.sleep(0.02)


def publish(client: RelayClient, bundle: tuple[Path, Manifest], account: LocalAccount) -> Manifest:
    client.publish(*bundle, account)
    return bundle[1]


# ------------------------------------------------------------------------------------------------------ on their way


def test_shard_that_is_on_its_way_is_waited_for(
    start_relay: StartRelay, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle(file=1_000, other=2_000)
    headers = upload_headers(trainer, manifest.root)
    http.put(f"{relay.url}/v1/manifests/{manifest.root.hex()}", content=manifest.to_bytes(), headers=headers)
    url = f"{relay.url}/v1/shards/{manifest.entry('file').sha256.hex()}"

    early = http.get(url)
    assert early.status_code == 503 and COMING_HEADER in early.headers

    data = (directory / "file").read_bytes()
    upload = threading.Timer(0.2, lambda: httpx.put(url, content=data, headers=headers, trust_env=False))
    upload.start()
    waited = http.get(url, headers={WAIT_HEADER: "9"})
    upload.join()
    assert waited.status_code == 200 and waited.content == data
    assert http.get(f"{relay.url}/v1/manifests/{manifest.root.hex()}").status_code == 404, "the bundle is not whole"


@pytest.mark.parametrize("wait", ["", "-1", "nan", "inf", "soon", "0"])
def test_shard_that_nobody_sends_is_not_waited_for(start_relay: StartRelay, http: httpx.Client, wait: str) -> None:
    answer = http.get(f"{start_relay().url}/v1/shards/{'0' * 64}", headers={WAIT_HEADER: wait})
    assert answer.status_code == 404 and COMING_HEADER not in answer.headers


def test_client_takes_shards_while_they_are_uploaded(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle(file=4 * SHARD_BYTES)
    headers = upload_headers(trainer, manifest.root)
    http.put(f"{relay.url}/v1/manifests/{manifest.root.hex()}", content=manifest.to_bytes(), headers=headers)
    found: list[Path] = []
    fetching = threading.Thread(target=lambda: found.append(fetch(make_client(relay), manifest)))
    fetching.start()
    data = (directory / "file").read_bytes()
    for position, digest in enumerate(manifest.files[0].shards):
        piece = data[position * SHARD_BYTES : (position + 1) * SHARD_BYTES]
        http.put(f"{relay.url}/v1/shards/{digest.hex()}", content=piece, headers=headers).raise_for_status()
        if position == 2:
            assert fetching.is_alive()
    fetching.join(20)
    assert open_bundle(found[0], LIMITS) == manifest


def test_bundle_that_never_comes_in_is_given_up(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    relay = start_relay()
    _, manifest = make_bundle(file=1_000)
    headers = upload_headers(trainer, manifest.root)
    http.put(f"{relay.url}/v1/manifests/{manifest.root.hex()}", content=manifest.to_bytes(), headers=headers)
    with pytest.raises(Unavailable, match="nothing more of the bundle"):
        fetch(make_client(relay, read_timeout_s=0.4), manifest)


# ----------------------------------------------------------------------------------------------------------- mirrors


def test_mirror_copies_what_it_is_asked_for(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0)
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(), trainer)
    assert not make_client(mirror).has(manifest.root), "nobody has asked for it yet"

    assert open_bundle(fetch(make_client(mirror), manifest), LIMITS) == manifest

    wait_until_whole(http, mirror, manifest.root)
    origin.stop()
    assert open_bundle(fetch(make_client(mirror, cache="later"), manifest), LIMITS) == manifest
    assert origin.count("GET /v1/shards") == 3


def test_mirror_that_follows_copies_what_nobody_asks_for(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    origin = start_relay("origin")
    client = make_client(origin, cache="trainer")
    old = publish(client, make_bundle("old", file=100), trainer)
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0.05)
    wait_until_whole(http, mirror, old.root)
    new = publish(client, make_bundle("new", seed=1, file=200), trainer)
    wait_until_whole(http, mirror, new.root)


def test_bundle_passes_through_a_chain_of_mirrors_but_not_round_in_circles(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    origin = start_relay("origin")
    first = start_relay("first", port=ports[0], upstreams=[urls[1], origin.url], follow_s=0)
    second = start_relay("second", port=ports[1], upstreams=[urls[0]], follow_s=0)
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(file=500), trainer)

    assert open_bundle(fetch(make_client(second), manifest), LIMITS) == manifest
    assert http.get(f"{first.url}/v1/manifests/{'0' * 64}").status_code == 404
    assert len(first.observed.requests) + len(second.observed.requests) < 20


def test_request_from_too_far_is_not_passed_on(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0)
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(file=500), trainer)
    for hops in ("4", "99", "-1", "x"):
        url = f"{mirror.url}/v1/manifests/{manifest.root.hex()}?unfinished=true"
        assert http.get(url, headers={HOPS_HEADER: hops}).status_code == 404
    assert origin.count("GET /v1/manifests") == 0


def test_mirror_takes_no_more_than_its_quota(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0, mirror_bytes=10_000)
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(file=9_000), trainer)
    with pytest.raises(Unavailable, match="404"):
        fetch(make_client(mirror), manifest)


def test_mirror_without_room_takes_nothing(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0, min_free_bytes=2**60)
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(file=9_000), trainer)
    with pytest.raises(Unavailable, match="404"):
        fetch(make_client(mirror), manifest)


def test_upstream_that_lies_is_dropped_and_the_mirror_not_blamed(
    start_relay: StartRelay,
    start_liar: StartLiar,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
) -> None:
    origin = start_relay("origin")
    manifest = publish(make_client(origin, cache="trainer"), make_bundle(file=500), trainer)
    path = f"/v1/manifests/{manifest.root.hex()}"
    liar = start_liar({path: manifest.to_bytes(), f"/v1/shards/{manifest.files[0].sha256.hex()}": bytes(500)})
    forger = start_liar({path: Manifest(BundleKind.SUBMISSION, {}, ()).to_bytes(), "/v1/bundles": b"{}"})
    mirror = start_relay("mirror", upstreams=[forger.url, liar.url, origin.url], follow_s=0.05)
    client = make_client(mirror)
    until = time.monotonic() + 20
    while True:
        try:
            assert open_bundle(fetch(client, manifest), LIMITS) == manifest
            break
        except Unavailable:
            assert time.monotonic() < until
    assert liar.count("GET /v1/shards") == 1


def test_mirror_of_nobody_that_answers_serves_what_it_has(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    mirror = start_relay("mirror", upstreams=[f"http://127.0.0.1:{free_port()}"], follow_s=0.05)
    client = make_client(mirror)
    manifest = publish(client, make_bundle(file=500), trainer)
    assert open_bundle(fetch(client, manifest), LIMITS) == manifest
    with pytest.raises(Unavailable, match="404"):
        client.fetch(Root(bytes(32)), BundleKind.SUBMISSION, LIMITS)
