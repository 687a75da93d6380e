"""Versions of a policy that differ little: what is not sent again; and clients that fell behind."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, Manifest
from assay_core.protocol.errors import Unavailable
from assay_core.transport.cache import Cache
from tests.unit.relay.conftest import MakeClient, StartRelay
from tests.unit.relay.relays import LIMITS, fetch


def make_versions(folder: Path, count: int, changed: int) -> list[tuple[Path, Manifest]]:
    """Policies of 6 shards, each with `changed` shards other than the one before."""
    random, found = np.random.default_rng(0), list[tuple[Path, Manifest]]()
    weights = bytearray(random.bytes(6 * SHARD_BYTES - 100))
    for version in range(count):
        directory = folder / f"v{version}"
        directory.mkdir()
        (directory / "weights.safetensors").write_bytes(weights)
        found.append((directory, build_bundle(directory, BundleKind.POLICY, {"version": version})))
        for position in range(changed):
            weights[(version + position) % 6 * SHARD_BYTES + version] ^= 1
    return found


def test_only_shards_that_changed_are_sent_and_fetched(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    publisher, client = make_client(relay, cache="trainer"), make_client(relay)
    for version, (directory, manifest) in enumerate(make_versions(tmp_path, 3, changed=2)):
        publisher.publish(directory, manifest, trainer)
        assert open_bundle(fetch(client, manifest), LIMITS) == manifest
        assert relay.count("PUT /v1/shards") == 6 + 2 * version
        assert relay.count("GET /v1/shards") == 6 + 2 * version


def test_damaged_shards_of_another_version_are_fetched_again(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    client = make_client(relay)
    versions = make_versions(tmp_path, 2, changed=1)
    for directory, manifest in versions:
        client.publish(directory, manifest, trainer)
    damaged = fetch(client, versions[0][1]) / "weights.safetensors"
    damaged.chmod(0o644)
    with damaged.open("r+b") as stream:
        stream.seek(3 * SHARD_BYTES)
        stream.write(b"damage")
    before = relay.count("GET /v1/shards")
    assert open_bundle(fetch(client, versions[1][1]), LIMITS) == versions[1][1]
    assert relay.count("GET /v1/shards") == before + 2  # the one that changed, and the one that is damaged here


def test_client_that_fell_behind_jumps_to_the_newest(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay(newest_kept=2, policy_keep_s=0.0, collect_every_s=0.05)
    publisher, client = make_client(relay, cache="trainer"), make_client(relay)
    versions = make_versions(tmp_path, 5, changed=1)
    publisher.publish(*versions[0], trainer)
    fetch(client, versions[0][1])
    for directory, manifest in versions[1:]:
        publisher.publish(directory, manifest, trainer)
    while publisher.has(versions[2][1].root):
        pass
    with pytest.raises(Unavailable, match="404"):
        fetch(client, versions[1][1])  # collected: it has to ask the chain what is current
    before = relay.count("GET /v1/shards")
    assert open_bundle(fetch(client, versions[4][1]), LIMITS) == versions[4][1]
    assert relay.count("GET /v1/shards") == before + 4, "it never needed those in between, only what differs"


# --------------------------------------------------------------------------------------------- machines that go down


def test_bundle_verified_before_the_machine_went_down_is_verified_again(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    ((directory, manifest),) = make_versions(tmp_path, 1, changed=0)
    client = make_client(relay)
    client.publish(directory, manifest, trainer)
    whole = fetch(client, manifest)
    assert Cache(tmp_path / "cache").find(manifest.root) == whole
    later = Cache(tmp_path / "cache", boot=lambda: "another boot")
    assert later.find(manifest.root) is None
    file = whole / "weights.safetensors"
    file.chmod(0o644)
    with file.open("r+b") as stream:  # what was not on the disk yet
        stream.seek(2 * SHARD_BYTES)
        stream.write(bytes(SHARD_BYTES))
    with later.working_on(manifest.root):
        partial = later.partial(manifest)
        assert list(partial.missing()) == [manifest.files[0].shards[2]]
        partial.write(
            manifest.files[0].shards[2],
            (directory / "weights.safetensors").read_bytes()[2 * SHARD_BYTES :][:SHARD_BYTES],
        )
        later.finish(partial)
    assert later.find(manifest.root) == whole
    assert open_bundle(whole, LIMITS) == manifest


def test_cache_on_a_machine_that_does_not_tell_its_boot_syncs_instead(tmp_path: Path) -> None:
    ((directory, manifest),) = make_versions(tmp_path, 1, changed=0)
    for _ in range(2):
        cache = Cache(tmp_path / "cache", boot=lambda: None)
        with cache.working_on(manifest.root):
            if cache.find(manifest.root) is None:
                partial = cache.partial(manifest)
                data = (directory / "weights.safetensors").read_bytes()
                for position, digest in enumerate(manifest.files[0].shards):
                    partial.write(digest, data[position * SHARD_BYTES : (position + 1) * SHARD_BYTES])
                cache.finish(partial)
    assert open_bundle(tmp_path / "cache" / manifest.root.hex(), LIMITS) == manifest


def test_bundle_of_an_unknown_past_is_verified_before_use(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    ((directory, manifest),) = make_versions(tmp_path, 1, changed=0)
    client = make_client(relay)
    client.publish(directory, manifest, trainer)
    shutil.copytree(directory, tmp_path / "cache" / manifest.root.hex())
    os.truncate(tmp_path / "cache" / manifest.root.hex() / "weights.safetensors", 5 * SHARD_BYTES)
    assert open_bundle(fetch(client, manifest), LIMITS) == manifest
