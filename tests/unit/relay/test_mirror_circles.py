"""Relays that mirror each other in a circle, and uploads that their senders never finish."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import SHARD_BYTES, Manifest
from assay_core.protocol.types import Root
from assay_core.transport.relay.messages import COMING_HEADER, HOPS_HEADER, TRAIL_HEADER, WAIT_HEADER
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import LIMITS, RunningRelay, fetch, upload_headers


def start_ring(start_relay: StartRelay, relays: int, follow_s: float) -> list[RunningRelay]:
    """Each mirrors its two neighbours."""
    ports = [free_port() for _ in range(relays)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    return [
        start_relay(
            f"relay-{place}", port=port, follow_s=follow_s, upstreams=[urls[place - 1], urls[(place + 1) % relays]]
        )
        for place, port in enumerate(ports)
    ]


def begin_upload(http: httpx.Client, relay: RunningRelay, manifest: Manifest, sender: LocalAccount) -> dict[str, str]:
    headers = upload_headers(sender, manifest.root)
    url = f"{relay.url}/v1/manifests/{manifest.root.hex()}"
    http.put(url, content=manifest.to_bytes(), headers=headers).raise_for_status()
    return headers


def upload_shard(http: httpx.Client, relay: RunningRelay, digest: bytes, data: bytes, headers: dict[str, str]) -> None:
    http.put(f"{relay.url}/v1/shards/{digest.hex()}", content=data, headers=headers).raise_for_status()


def wait_until_whole(http: httpx.Client, relay: RunningRelay, root: Root) -> None:
    until = time.monotonic() + 20
    while http.head(f"{relay.url}/v1/manifests/{root.hex()}").status_code != 200:
        assert time.monotonic() < until, "it was never copied"
        time.sleep(0.02)


def test_what_nobody_has_is_not_looked_for_in_circles(start_relay: StartRelay, http: httpx.Client) -> None:
    ring = start_ring(start_relay, 3, follow_s=0)
    assert http.get(f"{ring[0].url}/v1/manifests/{'0' * 64}?unfinished=true").status_code == 404
    asked = [relay.count("GET /v1/manifests") for relay in ring]
    assert all(1 <= count <= 5 for count in asked), asked


@pytest.mark.parametrize("trail", [b"0123456789abcdef" * 9, b"\xe9", b"a,b"])
def test_trail_that_no_mirror_leaves_is_not_followed(start_relay: StartRelay, http: httpx.Client, trail: bytes) -> None:
    last = start_relay("last")
    mirror = start_relay("mirror", upstreams=[last.url], follow_s=0)
    url = f"{mirror.url}/v1/manifests/{'0' * 64}?unfinished=true"
    assert http.get(url, headers=[(TRAIL_HEADER.encode(), trail)]).status_code == 404
    assert last.count("GET /v1/manifests") == 0
    assert http.get(url, headers={TRAIL_HEADER: "0123456789abcdef"}).status_code == 404
    assert last.count("GET /v1/manifests") == 1


def test_upload_to_one_relay_of_a_ring_reaches_all_while_it_comes_in(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    ring = start_ring(start_relay, 3, follow_s=0.05)
    directory, manifest = make_bundle(file=4 * SHARD_BYTES)
    data, shards = (directory / "file").read_bytes(), manifest.files[0].shards
    headers = begin_upload(http, ring[0], manifest, trainer)
    found: list[Path] = []
    fetching = threading.Thread(target=lambda: found.append(fetch(make_client(ring[1]), manifest)))
    fetching.start()
    for position, digest in enumerate(shards):
        time.sleep(0.1)
        upload_shard(http, ring[0], digest, data[position * SHARD_BYTES : (position + 1) * SHARD_BYTES], headers)
    for relay in ring:
        wait_until_whole(http, relay, manifest.root)
    fetching.join(20)
    assert open_bundle(found[0], LIMITS) == manifest
    assert open_bundle(fetch(make_client(ring[2], cache="other"), manifest), LIMITS) == manifest


def test_mirror_is_not_kept_waiting_for_what_another_mirror_copies(
    start_relay: StartRelay, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0)
    directory, manifest = make_bundle(file=1_000)
    headers = begin_upload(http, origin, manifest, trainer)
    digest = manifest.files[0].sha256
    http.get(f"{mirror.url}/v1/manifests/{manifest.root.hex()}?unfinished=true").raise_for_status()

    from_a_mirror = {HOPS_HEADER: "1", WAIT_HEADER: "9"}
    answers: dict[str, httpx.Response] = {}

    def ask(relay: RunningRelay) -> None:
        answers[relay.url] = httpx.get(f"{relay.url}/v1/shards/{digest.hex()}", headers=from_a_mirror, trust_env=False)

    waiting = threading.Thread(target=ask, args=(origin,))
    waiting.start()
    ask(mirror)
    assert answers[mirror.url].status_code == 503 and COMING_HEADER in answers[mirror.url].headers
    assert waiting.is_alive(), "the relay to which it is being uploaded lets it wait"
    upload_shard(http, origin, digest, (directory / "file").read_bytes(), headers)
    waiting.join(10)
    assert answers[origin.url].status_code == 200


@pytest.mark.slow
def test_uploads_that_are_never_finished_do_not_hold_others_up(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0.05)
    for number in range(4):  # more than are copied at once
        _, unfinished = make_bundle(f"unfinished-{number}", seed=number, file=1_000 + number)
        begin_upload(http, origin, unfinished, trainer)
    until = time.monotonic() + 10
    while origin.count("GET /v1/shards") < 3:
        assert time.monotonic() < until, "the mirror has not begun"
        time.sleep(0.02)
    directory, manifest = make_bundle("whole", seed=9, file=5_000)
    make_client(origin, cache="trainer").publish(directory, manifest, trainer)
    wait_until_whole(http, mirror, manifest.root)
