"""What a relay tells of itself, over HTTP and in its folder."""

import sqlite3
import time
from collections.abc import Callable

import httpx
from eth_account.signers.local import LocalAccount

from assay_core.daemon.heartbeat import FILE_NAME, read_beat
from assay_core.daemon.lock import is_held
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import RunningRelay, fetch, upload_headers


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def metrics(http: httpx.Client, relay: RunningRelay) -> dict[str, float]:
    lines = http.get(f"{relay.url}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_what_is_kept_taken_and_sent_is_counted(
    start_relay: StartRelay,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
    http: httpx.Client,
) -> None:
    relay = start_relay(stale_after_s=0.6)
    directory, manifest = make_bundle()
    make_client(relay, cache="trainer").publish(directory, manifest, trainer)
    fetch(make_client(relay, cache="verifier"), manifest)
    until(lambda: metrics(http, relay)["assay_relay_bundles"] == 1)
    seen = metrics(http, relay)
    assert seen['assay_relay_uploads_total{kind="shard",outcome="taken"}'] == 3
    assert seen["assay_relay_kept_bytes"] == manifest.size_bytes <= seen["assay_relay_sent_bytes_total"]
    assert seen["assay_relay_shards_served_total"] == 3 and seen["assay_relay_free_bytes"] > 0
    assert seen['assay_relay_request_seconds_count{kind="shard",method="GET"}'] == 3
    assert str(relay.directory) not in http.get(f"{relay.url}/metrics").text


def test_refusals_are_counted_by_reason(
    start_relay: StartRelay, make_bundle: MakeBundle, trainer: LocalAccount, outsider: LocalAccount, http: httpx.Client
) -> None:
    relay = start_relay(quota_bytes=100_000)
    _, manifest = make_bundle()
    place = f"{relay.url}/v1/manifests/{manifest.root.hex()}"
    for headers in ({}, upload_headers(outsider, manifest.root), upload_headers(trainer, manifest.root)):
        http.put(place, content=manifest.to_bytes(), headers=headers)
    http.put(place, content=b"{}", headers=upload_headers(trainer, manifest.root))
    seen = metrics(http, relay)
    for reason in ("not_signed", "not_permitted", "quota", "malformed"):
        assert seen[f'assay_relay_uploads_total{{kind="manifest",outcome="{reason}"}}'] == 1, seen


def test_health_is_503_while_the_store_does_not_answer(start_relay: StartRelay, http: httpx.Client) -> None:
    relay = start_relay(stale_after_s=0.6)
    until(lambda: http.get(f"{relay.url}/health").json()["daemons"][0]["doing"].startswith("keeps 0 bundles"))
    answer = http.get(f"{relay.url}/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["takes_uploads"]) == (200, "ok", True)
    with sqlite3.connect(relay.directory / "index.sqlite") as index:
        index.execute("ALTER TABLE bundles RENAME TO elsewhere")
    until(lambda: http.get(f"{relay.url}/health").status_code == 503)
    assert http.get(f"{relay.url}/health").json()["status"] == "stale"


def test_health_follows_the_clock_it_is_given(start_relay: StartRelay, http: httpx.Client) -> None:
    now = [1_000.0]
    relay = start_relay(clock=lambda: now[0])
    until(lambda: http.get(f"{relay.url}/health").json()["daemons"][0]["doing"] != "starts")
    now[0] += 301
    assert http.get(f"{relay.url}/health").status_code == 503


def test_a_full_disk_is_told_and_is_no_death(start_relay: StartRelay, http: httpx.Client) -> None:
    relay = start_relay(min_free_bytes=2**60, stale_after_s=0.6)
    until(lambda: not http.get(f"{relay.url}/health").json()["takes_uploads"])
    assert http.get(f"{relay.url}/health").status_code == 200


def test_a_mirror_tells_when_its_upstreams_answered_and_failed(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    upstream = start_relay("upstream")
    mirror = start_relay("mirror", upstreams=(f"{upstream.url}/",), follow_s=0.1)
    directory, manifest = make_bundle()
    make_client(upstream).publish(directory, manifest, trainer)
    label = f'{{upstream="{upstream.url}"}}'
    until(lambda: metrics(http, mirror).get('assay_relay_mirror_copies_total{outcome="done"}'))
    seen = metrics(http, mirror)
    assert seen[f"assay_relay_mirror_success_age_seconds{label}"] < 10
    assert f"assay_relay_mirror_failure_age_seconds{label}" not in seen
    upstream.stop()
    until(lambda: f"assay_relay_mirror_failure_age_seconds{label}" in metrics(http, mirror))


def test_the_folder_tells_what_the_relay_does_and_that_it_was_stopped(start_relay: StartRelay) -> None:
    relay = start_relay()
    until(lambda: (beat := read_beat(relay.directory / FILE_NAME)) and beat.doing.startswith("keeps 0 bundles"))
    assert is_held(relay.directory / "relay.lock") is True
    relay.stop()
    beat = read_beat(relay.directory / FILE_NAME)
    assert beat is not None and beat.doing == "stopped, as it was asked to"
    assert is_held(relay.directory / "relay.lock") is False
