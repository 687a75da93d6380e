"""What may happen to relays, networks, disks and clients, each with real processes: who heals it, who is told."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, SHARD_BYTES, Manifest
from tests.integration.shardcast_parties import KEY, LIMITS, Ground, Party, ground, wait_for
from tests.unit.relay.relays import upload_headers

pytestmark = pytest.mark.slow

OVERHEAD_BYTES = 2_048  # of the head of one answer


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Ground]:
    with ground(tmp_path) as found:
        yield found


def assert_arrived(client: Party, manifest: Manifest) -> None:
    """The client has ended with exactly this bundle, and nothing half-written is left."""
    final = client.directory / manifest.root.hex()
    assert client.lines()[-1] == str(final), client.logged()
    assert open_bundle(final, LIMITS, manifest.root) == manifest
    assert not (client.directory / ".partial" / manifest.root.hex()).exists()


def two_relays(stage: Ground, shards: float) -> tuple[Party, Party, Manifest]:
    first, second = stage.relay("first"), stage.relay("second")
    bundle, manifest = stage.policy("policy", shards=shards)
    stage.publish(bundle, first.url, second.url)
    return first, second, manifest


# ---------------------------------------------------------------------------------------------------------- relays


def test_corrupt_shards_of_one_relay_are_healed_by_another_and_it_is_reported(stage: Ground) -> None:
    first, second, manifest = two_relays(stage, 6)
    for digest in manifest.files[0].shards:
        with first.shard_file(digest).open("r+b") as stream:
            stream.write(b"poison")
    client = stage.client([first.url, second.url], manifest.root.hex())
    assert_arrived(client, manifest)
    assert f"relay dropped  relay={first.url}" in client.logged()
    assert f"relay={second.url}" not in client.logged()


def test_corrupt_shards_everywhere_are_never_visible(stage: Ground) -> None:
    relay = stage.relay("relay")
    bundle, manifest = stage.policy("policy", shards=2)
    stage.publish(bundle, relay.url)
    relay.shard_file(manifest.files[0].shards[1]).write_bytes(bytes(SHARD_BYTES))
    client = stage.client([relay.url], manifest.root.hex())
    (answer,) = client.lines()
    assert answer.startswith("Unavailable") and "corrupt shard" in answer
    assert not (client.directory / manifest.root.hex()).exists()


def test_relay_that_is_down_at_the_start_does_no_harm(stage: Ground) -> None:
    first, second, manifest = two_relays(stage, 3)
    first.kill()
    assert_arrived(stage.client([first.url, second.url], manifest.root.hex()), manifest)


def test_relay_killed_in_mid_transfer_is_replaced(stage: Ground) -> None:
    first, second, manifest = two_relays(stage, 8)
    slowed = [stage.proxy(relay, rate=20_000_000) for relay in (first, second)]
    client = stage.client([proxy.url for proxy in slowed], manifest.root.hex())
    wait_for(lambda: slowed[0].answer_bytes() > SHARD_BYTES // 2)
    first.kill()
    slowed[0].kill()
    assert_arrived(client, manifest)


def test_slow_relay_does_not_slow_the_others_down(stage: Ground) -> None:
    first, second, manifest = two_relays(stage, 24)
    slow = stage.proxy(first, rate=100_000)
    fast = stage.proxy(second)
    assert_arrived(stage.client([slow.url, fast.url], manifest.root.hex()), manifest)
    assert slow.answer_bytes() < SHARD_BYTES, "what it did not finish soon is asked of the other"
    assert fast.answer_bytes() >= 24 * SHARD_BYTES


def test_relay_that_stalls_for_ever_is_left_behind(stage: Ground) -> None:
    first, second, manifest = two_relays(stage, 6)
    stalled = stage.proxy(first, silent_after=SHARD_BYTES + 100_000)
    client = stage.client([stalled.url, second.url], manifest.root.hex(), read_timeout_s=3_000.0)
    assert_arrived(client, manifest)  # long before anybody's patience has ended
    assert stalled.process.poll() is None


def test_origin_may_die_once_the_first_copy_is_out(stage: Ground) -> None:
    origin = stage.relay("origin")
    mirror = stage.relay("mirror", upstreams=[origin.url], follow_s=0.1)
    bundle, manifest = stage.policy("policy", shards=4)
    stage.publish(bundle, origin.url)
    url = f"{mirror.url}/v1/manifests/{manifest.root.hex()}"
    wait_for(lambda: httpx.head(url, trust_env=False).status_code == 200)  # whole, though nobody has asked for it
    origin.kill()
    clients = [stage.client([origin.url, mirror.url], manifest.root.hex(), cache=f"cache{n}") for n in range(2)]
    for client in clients:
        assert_arrived(client, manifest)


def test_client_of_a_mirror_begins_before_the_mirror_has_everything(stage: Ground) -> None:
    origin = stage.relay("origin")
    bundle, manifest = stage.policy("policy", shards=6)
    stage.publish(bundle, origin.url)
    slow = stage.proxy(origin, rate=4_000_000)
    mirror = stage.relay("mirror", upstreams=[slow.url], follow_s=0)
    passing = stage.proxy(mirror)
    client = stage.client([passing.url], manifest.root.hex())
    wait_for(lambda: passing.answer_bytes() > SHARD_BYTES)
    assert slow.answer_bytes() < 6 * SHARD_BYTES, "the mirror has passed a shard on while others were still to come"
    assert_arrived(client, manifest)


def test_mirror_killed_in_mid_copy_goes_on_where_it_stood(stage: Ground) -> None:
    origin = stage.relay("origin")
    bundle, manifest = stage.policy("policy", shards=8)
    stage.publish(bundle, origin.url)
    slow = stage.proxy(origin, rate=4_000_000)
    mirror = stage.relay("mirror", upstreams=[slow.url], follow_s=0.1)
    wait_for(lambda: len(list((mirror.directory / "shards").glob("*/*"))) >= 4)
    mirror.kill()
    before = slow.answer_bytes()
    again = stage.relay("mirror", upstreams=[slow.url], follow_s=0)
    url = f"{again.url}/v1/manifests/{manifest.root.hex()}"
    wait_for(lambda: httpx.head(url, trust_env=False).status_code == 200)
    assert slow.answer_bytes() - before <= 4 * SHARD_BYTES + 4 * 2**20, (
        "what was missing, and was under way when killed"
    )
    origin.kill()
    assert_arrived(stage.client([again.url], manifest.root.hex()), manifest)


def test_mirror_of_a_liar_takes_nothing_from_it(stage: Ground) -> None:
    liar, honest, manifest = two_relays(stage, 4)
    for digest in manifest.files[0].shards:
        liar.shard_file(digest).write_bytes(bytes(SHARD_BYTES))
    mirror = stage.relay("mirror", upstreams=[liar.url, honest.url], follow_s=0)
    client = stage.client([mirror.url], manifest.root.hex())
    assert_arrived(client, manifest)
    assert f"relay dropped  relay={liar.url}" in mirror.logged()
    assert "dropped" not in client.logged(), "the mirror is not to blame"


# --------------------------------------------------------------------------------------------------------- clients


def test_killed_client_fetches_no_byte_twice_beyond_the_shards_in_flight(stage: Ground) -> None:
    relay, threads = stage.relay("relay"), 2
    bundle, manifest = stage.policy("policy", shards=10)
    stage.publish(bundle, relay.url)
    slow = stage.proxy(relay, rate=8_000_000)
    client = stage.client([slow.url], manifest.root.hex(), threads=threads)
    wait_for(lambda: slow.answer_bytes() > 5 * SHARD_BYTES)
    client.kill()
    assert not (client.directory / manifest.root.hex()).exists()
    assert_arrived(stage.client([slow.url], manifest.root.hex(), threads=threads), manifest)
    in_flight = threads * (SHARD_BYTES + 2**20)  # and what the dead one's socket had taken in
    assert slow.answer_bytes() <= 10 * SHARD_BYTES + in_flight + 30 * OVERHEAD_BYTES


def test_idle_and_slow_reading_connections_by_the_hundred_leave_room_for_others(stage: Ground) -> None:
    relay = stage.relay("relay", idle_s=3.0)
    bundle, manifest = stage.policy("policy", shards=4)
    stage.publish(bundle, relay.url)
    address = ("127.0.0.1", int(relay.url.rsplit(":", 1)[1]))
    request = f"GET /v1/shards/{manifest.files[0].shards[0].hex()} HTTP/1.1\r\nHost: relay\r\n\r\n".encode()
    with ExitStack() as stack:
        for number in range(300):
            stranger = stack.enter_context(socket.socket())
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that little fits on the way
            stranger.connect(address)
            if number % 3 == 0:
                stranger.sendall(request)  # and never reads the answer
            elif number % 3 == 1:
                stranger.sendall(request[:20])  # and never ends it
        assert_arrived(stage.client([relay.url], manifest.root.hex()), manifest)
        wait_for(lambda: open_sockets(relay) < 20)
    assert memory_mib(relay) < 200


def open_sockets(party: Party) -> int:
    found = 0
    for link in Path(f"/proc/{party.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed this moment
            found += os.readlink(link).startswith("socket:")
    return found


def memory_mib(party: Party) -> float:
    status = Path(f"/proc/{party.process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def test_memory_of_everybody_is_a_few_shards(stage: Ground) -> None:
    origin = stage.relay("origin")
    bundle, manifest = stage.policy("policy", shards=48)
    stage.publish(bundle, origin.url)
    mirror = stage.relay("mirror", upstreams=[origin.url], follow_s=0)
    idle = {party.url: memory_mib(party) for party in (origin, mirror)}
    client = stage.client([stage.proxy(mirror, rate=40_000_000).url], manifest.root.hex())
    most: dict[str, float] = {}
    while client.process.poll() is None:
        for party in (origin, mirror):
            most[party.url] = max(most.get(party.url, 0.0), memory_mib(party))
        time.sleep(0.02)
    assert_arrived(client, manifest)
    for url, mib in most.items():
        assert mib - idle[url] < 12 * SHARD_BYTES / 2**20, "it holds shards, not the bundle of 192 MiB"


def test_two_versions_are_published_and_fetched_at_once(stage: Ground) -> None:
    relay = stage.relay("relay")
    versions = [stage.policy(f"v{version}", shards=5, seed=version) for version in range(2)]
    publishers = [stage.publisher(bundle, relay.url) for bundle, _ in versions]
    for publisher in publishers:
        assert publisher.lines() == ["published"]
    roots = [manifest.root.hex() for _, manifest in versions]
    clients = [stage.client([relay.url], *order) for order in (roots, roots[::-1])]  # over one cache
    for client in clients:
        assert sorted(client.lines()) == sorted(str(client.directory / root) for root in roots)
    for _, manifest in versions:
        assert open_bundle(stage.folder / "cache" / manifest.root.hex(), LIMITS, manifest.root) == manifest


# ----------------------------------------------------------------------------------------------------------- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "assay-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def test_client_with_a_full_disk_says_so_and_goes_on_when_there_is_room(stage: Ground, small_disk: Path) -> None:
    relay = stage.relay("relay")
    bundle, manifest = stage.policy("policy", shards=5)
    stage.publish(bundle, relay.url)
    client = stage.client([relay.url], manifest.root.hex(), cache="disk/cache")
    (answer,) = client.lines()
    assert answer.startswith("Unavailable: the cache cannot be written") and "No space left" in answer
    assert not (client.directory / manifest.root.hex()).exists()
    grow(small_disk)
    assert_arrived(stage.client([relay.url], manifest.root.hex(), cache="disk/cache"), manifest)


def test_relay_with_a_full_disk_refuses_and_keeps_nothing_half_written(stage: Ground, small_disk: Path) -> None:
    relay = stage.relay("relay", directory=small_disk / "relay")
    bundle, manifest = stage.policy("policy", shards=5)
    (answer,) = stage.publisher(bundle, relay.url).lines()
    assert answer.startswith("Unavailable") and "507" in answer
    assert not list((relay.directory / "incoming").iterdir())
    for path in (relay.directory / "shards").glob("*/*"):
        assert path.stat().st_size == SHARD_BYTES
    assert httpx.get(f"{relay.url}/v1/health", trust_env=False).json()["status"] == "ok"
    grow(small_disk)
    stage.publish(bundle, relay.url)
    assert_arrived(stage.client([relay.url], manifest.root.hex()), manifest)


# --------------------------------------------------------------------------------------------------------- uploads


def test_bad_uploads_are_refused_and_leave_nothing(stage: Ground) -> None:
    from eth_account import Account

    relay = stage.relay("relay", quota_bytes=10_000_000)
    _, manifest = stage.policy("policy", shards=1)
    bundle, large = stage.policy("large", shards=3, seed=1)
    member, stranger = Account.from_key(KEY), Account.from_key(b"\x09" * 32)
    good = upload_headers(member, manifest.root)
    url = f"{relay.url}/v1/manifests/{manifest.root.hex()}"
    data = manifest.to_bytes()
    refused = {
        "unsigned": ({}, data, 401),
        "signed by nobody known": (upload_headers(stranger, manifest.root), data, 403),
        "signed for another bundle": (upload_headers(member, large.root), data, 403),
        "signed for another chain": (upload_headers(member, manifest.root, chain_id=1), data, 403),
        "expired": (upload_headers(member, manifest.root, expires_in_s=-5), data, 401),
        "another bundle's manifest": (good, large.to_bytes(), 400),
        "path escape": (good, data.replace(b"weights.safetensors", b"../escaped.txt"), 400),
        "huge": (good, b" " * (MAX_MANIFEST_BYTES + 1), 413),
    }
    with httpx.Client(trust_env=False) as http:
        for name, (headers, body, status) in refused.items():
            assert http.put(url, content=body, headers=headers).status_code == status, name
        assert not list((relay.directory / "manifests").iterdir())
        replayed = [http.put(url, content=data, headers=good).json() for _ in range(3)]
        assert replayed[0] == replayed[1] == replayed[2] and len(replayed[0]["missing"]) == 1
    (answer,) = stage.publisher(bundle, relay.url).lines()
    assert answer.startswith("Stop") and "quota" in answer
    assert not list(relay.directory.rglob("*escaped*"))


def test_relay_killed_while_it_takes_an_upload_keeps_whole_shards_only(stage: Ground) -> None:
    relay = stage.relay("relay")
    bundle, manifest = stage.policy("policy", shards=10)
    publisher = stage.publisher(bundle, relay.url)
    wait_for(lambda: any((relay.directory / "shards").glob("*/*")))
    relay.process.send_signal(signal.SIGKILL)
    relay.process.wait()
    assert publisher.lines()[0].startswith(("Unavailable", "published"))
    again = stage.relay("relay")
    assert not list((again.directory / "incoming").iterdir())
    stage.publish(bundle, again.url)
    assert_arrived(stage.client([again.url], manifest.root.hex()), manifest)
