"""Bundles in a bucket of a real S3 server, which strangers may write to."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.aggregation.policy_delta import PolicyRebuilder, Terms
from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import Malformed, MalformedManifest, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.bucket import MAX_SIGNATURE_BYTES, BucketClient
from assay_core.transport.engine import Engine, PolicySignature
from tests.unit.aggregation.steps import first_version, next_version
from tests.unit.transport.conftest import LIMITS, MakeBundle, ObjectServer

pytestmark = pytest.mark.slow

TASK, EPOCH = TaskId(7), Epoch(2)
SIGNED = PolicySignature(Address("0x" + "Ab" * 20), Root(b"\x05" * 32), b"\x06" * 65)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Its own corner of the bucket for each test."""
    return hashlib.sha256(request.node.name.encode()).hexdigest()[:12]


@pytest.fixture
def bucket(object_server: ObjectServer, tmp_path: Path, prefix: str) -> Iterator[BucketClient]:
    with connect(object_server, tmp_path / "cache", prefix) as client:
        yield client


def connect(server: ObjectServer, cache: Path, prefix: str, **changes: Any) -> BucketClient:
    return BucketClient("assay", cache, endpoint=server.url, prefix=prefix, retry_s=1.0, **changes)


def shard_key(prefix: str, manifest: Manifest, position: int = 0) -> str:
    return f"{prefix}/shards/{manifest.entry('update/0000.safetensors').shards[position].hex()}"


def manifest_key(prefix: str, manifest: Manifest) -> str:
    return f"{prefix}/manifests/{manifest.root.hex()}.json"


def test_bundle_comes_back_whole_and_verified(
    bucket: BucketClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    engine: Engine = bucket
    directory, manifest = make_bundle()
    assert not engine.has(manifest.root)
    engine.publish(directory, manifest, trainer)
    assert engine.has(manifest.root)
    found = engine.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    assert open_bundle(found, LIMITS, manifest.root) == manifest
    assert engine.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS) == found  # now from the cache


def test_policy_is_made_from_the_version_before(
    object_server: ObjectServer, trainer: LocalAccount, prefix: str, tmp_path: Path
) -> None:
    first = first_version(tmp_path / "0")
    second = next_version(tmp_path / "1", first, Terms(codec_named("int8"), 0.7, 0.6))
    with connect(object_server, tmp_path / "cache", prefix, rebuilder=PolicyRebuilder()) as client:
        for directory, manifest in (first, second):
            client.publish(directory, manifest, trainer)
        client.fetch(first[1].root, BundleKind.POLICY, LIMITS)
        for digest in second[1].entry(WEIGHTS_NAME).shards:  # nobody needs them
            object_server.delete(f"{prefix}/shards/{digest.hex()}")
        found = client.fetch(second[1].root, BundleKind.POLICY, LIMITS)
    assert open_bundle(found, LIMITS) == second[1]


def test_publishing_again_writes_only_what_is_missing_or_damaged(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    before = object_server.written_at(prefix)
    time.sleep(1.1)
    object_server.put(shard_key(prefix, manifest, 0), b"x" * 4 * 2**20)  # the right size, the wrong bytes
    object_server.delete(shard_key(prefix, manifest, 1))
    bucket.publish(directory, manifest, trainer)
    after = object_server.written_at(prefix)
    assert after.keys() == before.keys()
    assert {key for key in after if after[key] != before[key]} == {
        shard_key(prefix, manifest, place) for place in (0, 1)
    }
    assert bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)


def test_bundle_is_not_there_before_its_last_shard(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    object_server.delete(manifest_key(prefix, manifest))  # as if killed before the last step
    assert not bucket.has(manifest.root)
    with pytest.raises(Unavailable, match="has no"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)


def test_corrupt_shard_is_never_used_and_the_rest_is_kept(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    good = object_server.get(shard_key(prefix, manifest, 2))
    object_server.put(shard_key(prefix, manifest, 2), bytes(len(good)))
    with pytest.raises(Unavailable, match="corrupt"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    assert bucket.cache.find(manifest.root) is None
    object_server.put(shard_key(prefix, manifest, 2), good)
    object_server.delete(shard_key(prefix, manifest, 0))  # not needed any more: it had come before
    assert bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)


def test_object_larger_than_it_may_be_is_not_read(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    object_server.put(shard_key(prefix, manifest), bytes(4 * 2**20 + 1))
    with pytest.raises(Unavailable, match="exceeds 4194304 bytes"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)
    object_server.put(manifest_key(prefix, manifest), bytes(MAX_MANIFEST_BYTES + 1))
    with pytest.raises(Unavailable, match="exceeds"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)


def test_another_manifest_is_not_held_against_the_sender(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    _, other = make_bundle("other", seed=1)
    object_server.put(manifest_key(prefix, manifest), other.to_bytes())
    with pytest.raises(Unavailable, match="another one"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS)


def test_impossible_bundle_is_its_senders_fault(
    bucket: BucketClient, object_server: ObjectServer, make_bundle: MakeBundle, trainer: LocalAccount, prefix: str
) -> None:
    directory, manifest = make_bundle()
    bucket.publish(directory, manifest, trainer)
    with pytest.raises(MalformedManifest, match="exceeds the limit"):
        bucket.fetch(manifest.root, BundleKind.SUBMISSION, BundleLimits(bundle_bytes=1_000))
    with pytest.raises(MalformedManifest, match="is a submission, not a policy"):
        bucket.fetch(manifest.root, BundleKind.POLICY, LIMITS)
    escaping = Manifest(BundleKind.SUBMISSION, {}, (replace(manifest.files[0], name="../escaped"),))
    object_server.put(manifest_key(prefix, escaping), escaping.to_bytes())
    with pytest.raises(Malformed, match="not a permitted file name"):
        bucket.fetch(escaping.root, BundleKind.SUBMISSION, LIMITS)


def test_signatures_are_kept_and_those_that_are_none_are_passed_over(
    bucket: BucketClient, object_server: ObjectServer, prefix: str
) -> None:
    assert bucket.signatures(TASK, EPOCH) == []
    bucket.post_signature(TASK, EPOCH, SIGNED)
    bucket.post_signature(TASK, EPOCH, SIGNED)  # once more changes nothing
    bucket.post_signature(TASK, Epoch(3), replace(SIGNED, signature=b"\x07" * 65))
    tracker = f"{prefix}/signatures/{TASK}/{EPOCH}"
    object_server.put(f"{tracker}/0xnonsense", b"{}")
    object_server.put(f"{tracker}/0xhuge", bytes(MAX_SIGNATURE_BYTES + 1))
    (found,) = bucket.signatures(TASK, EPOCH)
    assert int(found.operator, 16) == int(SIGNED.operator, 16)
    assert (found.policy_root, found.signature) == (SIGNED.policy_root, SIGNED.signature)


def test_server_that_is_down_is_retried_later(tmp_path: Path, make_bundle: MakeBundle, trainer: LocalAccount) -> None:
    with connect(ObjectServer("http://127.0.0.1:9"), tmp_path / "cache", "none") as client:
        directory, manifest = make_bundle()
        for act in (
            lambda: client.publish(directory, manifest, trainer),
            lambda: client.fetch(manifest.root, BundleKind.SUBMISSION, LIMITS),
            lambda: client.has(manifest.root),
            lambda: client.signatures(TASK, EPOCH),
            lambda: client.post_signature(TASK, EPOCH, SIGNED),
        ):
            with pytest.raises(Unavailable, match="does not answer"):
                act()


def test_no_bucket_is_a_setting_to_correct() -> None:
    with pytest.raises(Stop, match="no bucket"):
        BucketClient("", Path("unused"))
