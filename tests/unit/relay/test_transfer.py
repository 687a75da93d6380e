"""Bundles through real relays, and what may go wrong on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, Manifest
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.transport.relay.client import RelayClient
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import CHAIN_ID, LIMITS, Members, RunningRelay, fetch, upload_headers


def test_bundle_arrives_as_it_was_sent(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient
) -> None:
    first, _, manifest = published
    client = make_client(first)
    assert open_bundle(fetch(client, manifest), LIMITS, manifest.root) == manifest
    assert client.has(manifest.root)


def test_second_fetch_asks_nobody(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient
) -> None:
    first, second, manifest = published
    fetched = fetch(make_client(first), manifest)
    for relay in (first, second):
        relay.stop()
    assert fetch(make_client(first), manifest) == fetched


def test_many_threads_share_one_download(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient
) -> None:
    first, _, manifest = published
    client, found = make_client(first), list[Path]()
    threads = [threading.Thread(target=lambda: found.append(fetch(client, manifest))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 4
    assert first.count("GET /v1/shards") == 3


def test_unchanged_shards_are_not_sent_again(
    published: tuple[RunningRelay, RunningRelay, Manifest],
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
) -> None:
    first, _, _ = published
    sent = first.count("PUT /v1/shards")
    directory, changed = make_bundle("next", small=1_000, update__0000=SHARD_BYTES + 5_000, extra=2_000)
    client = make_client(first)
    client.publish(directory, changed, trainer)
    assert first.count("PUT /v1/shards") == sent + 1
    assert open_bundle(fetch(client, changed), LIMITS) == changed


def test_file_of_a_bundle_that_is_here_is_not_fetched_again(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    relay = start_relay()
    client = make_client(relay)
    versions = [make_bundle(f"v{v}", kind=BundleKind.POLICY, frozen=5 * 2**20, weights=10 + v) for v in range(2)]
    for directory, manifest in versions:
        client.publish(directory, manifest, trainer)
    fetched = [fetch(client, manifest) for _, manifest in versions]
    assert relay.count("GET /v1/shards") == 2 + 1 + 1  # frozen once, weights twice
    assert (fetched[0] / "frozen").stat().st_ino == (fetched[1] / "frozen").stat().st_ino
    assert open_bundle(fetched[1], LIMITS) == versions[1][1]


def test_damage_to_a_bundle_that_is_here_does_not_spread(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    client = make_client(start_relay())
    versions = [make_bundle(f"v{v}", kind=BundleKind.POLICY, frozen=2**20, weights=10 + v) for v in range(2)]
    for directory, manifest in versions:
        client.publish(directory, manifest, trainer)
    damaged = fetch(client, versions[0][1]) / "frozen"
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(2**20))
    assert open_bundle(fetch(client, versions[1][1]), LIMITS) == versions[1][1]
    assert damaged.read_bytes() == bytes(2**20)


def test_equal_shards_are_fetched_once_and_put_everywhere(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, tmp_path: Path
) -> None:
    directory, _ = make_bundle(zeros=0)
    (directory / "zeros").write_bytes(bytes(2 * SHARD_BYTES))
    (directory / "ones").write_bytes(b"1" * SHARD_BYTES * 2)
    (directory / "more_ones").write_bytes(b"1" * SHARD_BYTES)
    manifest = build_bundle(directory, BundleKind.SUBMISSION, {})
    relay = start_relay()
    client = make_client(relay)
    client.publish(directory, manifest, trainer)
    assert open_bundle(fetch(client, manifest), LIMITS) == manifest
    assert relay.count("PUT /v1/shards") == 2
    assert relay.count("GET /v1/shards") == 2


# ------------------------------------------------------------------------------------------------ interruptions

FETCH_PROGRAM = f"""
import sys
from pathlib import Path
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.transport.relay.client import RelayClient
client = RelayClient([sys.argv[1]], Path(sys.argv[2]), chain_id={CHAIN_ID}, threads=1)
client.fetch(bytes.fromhex(sys.argv[3]), BundleKind.SUBMISSION, BundleLimits(2**30))
"""


def test_killed_client_goes_on_where_it_stood(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle(a=99_000, b=99_000, c=99_000, d=99_000, e=99_000, f=99_000, g=99_000, h=99_000)
    make_client(relay, cache="trainer").publish(directory, manifest, trainer)
    relay.observed.delay_s = 0.15
    arguments = [relay.url, str(tmp_path / "cache"), manifest.root.hex()]
    process = subprocess.Popen([sys.executable, "-c", FETCH_PROGRAM, *arguments])
    until = time.monotonic() + 30
    while relay.count("GET /v1/shards") < 4 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cache" / manifest.root.hex()).exists()
    asked, relay.observed.delay_s = relay.count("GET /v1/shards"), 0.0
    assert 4 <= asked < 8

    assert open_bundle(fetch(make_client(relay), manifest), LIMITS) == manifest

    assert relay.count("GET /v1/shards") - asked <= 8 - (asked - 1)


def test_damage_to_an_unfinished_download_is_noticed(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient, tmp_path: Path
) -> None:
    first, second, manifest = published
    lost = manifest.entry("update/0000").shards[1]
    first.shard_file(lost).unlink()
    with pytest.raises(Unavailable):
        fetch(make_client(first), manifest)
    file = tmp_path / "cache" / ".partial" / manifest.root.hex() / "update/0000"
    with file.open("r+b") as stream:
        stream.write(b"damaged")
    assert open_bundle(fetch(make_client(second), manifest), LIMITS) == manifest
    assert second.count("GET /v1/shards") == 2


def test_interrupted_upload_sends_only_the_rest(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, members: Members
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle()
    data = (directory / "update/0000").read_bytes()
    (directory / "update/0000").write_bytes(data[:SHARD_BYTES] + b"not yet written" + data[SHARD_BYTES + 15 :])
    client = make_client(relay, threads=1)
    with pytest.raises(Stop, match="hash"):
        client.publish(directory, manifest, trainer)
    assert not client.has(manifest.root)
    (directory / "update/0000").write_bytes(data)
    before = relay.count("PUT /v1/shards")

    client.publish(directory, manifest, trainer)

    assert client.has(manifest.root)
    assert relay.count("PUT /v1/shards") - before < 3


# ------------------------------------------------------------------------------------------------- permissions


def test_outsider_is_told_to_bond(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, outsider: LocalAccount
) -> None:
    directory, manifest = make_bundle(file=10)
    with pytest.raises(Stop, match="may not upload: bond it"):
        make_client(start_relay()).publish(directory, manifest, outsider)


def test_relay_that_cannot_ask_the_chain_is_asked_again_later(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, members: Members
) -> None:
    directory, manifest = make_bundle(file=10)
    client = make_client(start_relay())
    members.is_down = True
    with pytest.raises(Unavailable, match="node does not answer"):
        client.publish(directory, manifest, trainer)
    members.is_down = False
    client.publish(directory, manifest, trainer)


def test_client_without_relays_says_so(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no relay"):
        RelayClient([], tmp_path, chain_id=CHAIN_ID)


def test_cache_that_cannot_be_written_stops_the_operator(
    published: tuple[RunningRelay, RunningRelay, Manifest], make_client: MakeClient, tmp_path: Path
) -> None:
    first, _, manifest = published
    client = make_client(first)
    (tmp_path / "cache" / ".partial").rmdir()
    (tmp_path / "cache" / ".partial").write_bytes(b"")
    with pytest.raises(Stop, match="cache"):
        fetch(client, manifest)


def test_relays_tell_for_how_long_they_have_had_all_of_a_bundle(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    now = [1_000.0]
    first = start_relay("first", clock=lambda: now[0])
    second = start_relay("second", clock=lambda: now[0])
    directory, manifest = make_bundle()
    assert make_client(first, second).held_s(manifest.root) is None
    make_client(first, clock=lambda: now[0]).publish(directory, manifest, trainer)
    now[0] += 30
    make_client(second, clock=lambda: now[0]).publish(directory, manifest, trainer)
    now[0] += 5
    assert make_client(second).held_s(manifest.root) == 5
    assert make_client(second, first).held_s(manifest.root) == 35  # the longest counts
    first.stop()
    assert make_client(start_relay("first", clock=lambda: now[0])).held_s(manifest.root) == 35


def test_a_relay_has_a_bundle_from_its_last_shard_on(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, http: httpx.Client
) -> None:
    now = [1_000.0]
    relay = start_relay(clock=lambda: now[0])
    directory, manifest = make_bundle()
    headers = upload_headers(trainer, manifest.root, now=now[0])
    url = f"{relay.url}/v1/manifests/{manifest.root.hex()}"
    http.put(url, content=manifest.to_bytes(), headers=headers).raise_for_status()
    now[0] += 30
    assert make_client(relay).held_s(manifest.root) is None
    make_client(relay, clock=lambda: now[0]).publish(directory, manifest, trainer)
    assert make_client(relay).held_s(manifest.root) == 0
