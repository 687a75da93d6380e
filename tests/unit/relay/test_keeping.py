"""What is kept and for how long: bundles on disk, the relay's collection, the client's cache, remembered answers."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import build_bundle, open_bundle, read_manifest
from assay_core.bundle.manifest import MANIFEST_NAME, SHARD_BYTES, BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import Malformed, MalformedManifest, Rejected
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId
from assay_core.transport.cache import Cache
from assay_core.transport.cache_eviction import Tidier
from assay_core.transport.relay.authority import ChainAuthoriser, ChainSignatureChecker
from assay_core.transport.relay.shard_store import Keep, QuotaExceeded, ShardStore
from assay_core.transport.relay.upload import recover_uploader, sign_upload
from tests.unit.relay.conftest import MakeBundle

LIMITS = BundleLimits(2**20)
PAYER, OTHER = Address("0x" + "1" * 40), Address("0x" + "2" * 40)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


# ---------------------------------------------------------------------------------------------- bundles on disk


def test_bundle_opens_as_it_was_built(make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=10, b__c=0)
    assert open_bundle(directory, LIMITS, manifest.root) == manifest
    assert read_manifest(directory) == manifest
    assert manifest.fields == {"seed": 0}


def test_building_twice_gives_the_same_root(make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=10)
    assert build_bundle(directory, BundleKind.SUBMISSION, {"seed": 0}).root == manifest.root


def _change(directory: Path) -> None:
    (directory / "a").write_bytes(bytes(10))


def _shorten(directory: Path) -> None:
    (directory / "a").write_bytes(b"short")


def _remove(directory: Path) -> None:
    (directory / "a").unlink()


def _add(directory: Path) -> None:
    (directory / "surplus").write_bytes(b"")


def _link(directory: Path) -> None:
    (directory / "a").rename(directory.parent / "elsewhere")
    (directory / "a").symlink_to(directory.parent / "elsewhere")


def _link_folder(directory: Path) -> None:
    (directory / "folder").symlink_to(directory.parent)


def _no_manifest(directory: Path) -> None:
    (directory / MANIFEST_NAME).unlink()


def _endless_manifest(directory: Path) -> None:
    (directory / MANIFEST_NAME).write_bytes(b" " * (5 * 2**20))


@pytest.mark.parametrize(
    "spoil", [_change, _shorten, _remove, _add, _link, _link_folder, _no_manifest, _endless_manifest]
)
def test_spoiled_bundle_does_not_open(make_bundle: MakeBundle, spoil: Callable[[Path], None]) -> None:
    directory, _ = make_bundle(a=10)
    spoil(directory)
    with pytest.raises(Malformed):
        open_bundle(directory, LIMITS)


def test_bundle_with_another_root_does_not_open(make_bundle: MakeBundle) -> None:
    directory, _ = make_bundle(a=10)
    with pytest.raises(MalformedManifest, match="root"):
        open_bundle(directory, LIMITS, Root(bytes(32)))


@pytest.mark.parametrize("name", ["UPPER", ".hidden", "sp ace", "a/.b"])
def test_file_that_no_bundle_can_hold_is_not_built(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MalformedManifest, match="permitted"):
        build_bundle(tmp_path, BundleKind.SUBMISSION, {})


def test_pipe_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MalformedManifest, match="plain file"):
        build_bundle(tmp_path, BundleKind.SUBMISSION, {})


# -------------------------------------------------------------------------------------------------- the relay's


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shards(tmp_path: Path, clock: Clock) -> ShardStore:
    keep = {kind: Keep(seconds=100, newest=2) for kind in BundleKind}
    return ShardStore(tmp_path / "shards", keep, incomplete_s=10, clock=clock)


def put(
    shards: ShardStore, directory: Path, manifest: Manifest, payer: Address = PAYER, quota_bytes: int = 2**30
) -> None:
    missing = shards.add_manifest(manifest, manifest.to_bytes(), payer, quota_bytes)
    for entry in manifest.files:
        if entry.sha256 in missing:
            with shards.receive(entry.sha256, entry.size_bytes) as shard:
                shard.write((directory / entry.name).read_bytes())
                shard.land(manifest.root)


def test_what_is_missing_comes_in_the_order_in_which_clients_ask(shards: ShardStore, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=101, b=102, c=103, d=104, e=105, f=106, g=107, h=108)
    shards.add_manifest(manifest, manifest.to_bytes(), PAYER, 2**30)
    digests = [entry.sha256 for entry in manifest.files]
    assert list(shards.missing(manifest.root)) == digests
    with shards.receive(digests[5], 106) as shard:
        shard.write((directory / "f").read_bytes())
        shard.land(manifest.root)
    assert list(shards.missing(manifest.root)) == digests[:5] + digests[6:]
    assert shards.missing(Root(bytes(32))) == {}


def test_old_bundles_are_collected_but_for_the_newest(
    shards: ShardStore, clock: Clock, make_bundle: MakeBundle
) -> None:
    bundles = [make_bundle(f"b{number}", seed=number, own=10) for number in range(4)]
    for directory, manifest in bundles:
        put(shards, directory, manifest)
        clock.now += 1
    assert shards.collect() == 0
    clock.now += 100
    assert shards.collect() == 2
    assert [shards.manifest_path(manifest.root) is not None for _, manifest in bundles] == [
        False,
        False,
        True,
        True,
    ]
    assert shards.totals() == (2, 20)


def test_shards_that_another_bundle_lists_are_kept(shards: ShardStore, clock: Clock, make_bundle: MakeBundle) -> None:
    bundles = [make_bundle(f"b{number}", frozen=50, own=10 + number) for number in range(3)]
    for directory, manifest in bundles:
        put(shards, directory, manifest)
        clock.now += 200
    shards.collect()
    assert shards.shard_path(bundles[0][1].entry("own").sha256) is None
    assert shards.shard_path(bundles[0][1].entry("frozen").sha256) is not None
    assert shards.totals() == (2, 50 + 11 + 12)


def test_unfinished_upload_is_collected_soon(shards: ShardStore, clock: Clock, make_bundle: MakeBundle) -> None:
    _, manifest = make_bundle(a=10)
    shards.add_manifest(manifest, manifest.to_bytes(), PAYER, 2**30)
    clock.now += 11
    assert shards.collect() == 1
    assert shards.expected_bytes(manifest.root, manifest.entry("a").sha256) is None
    with shards.receive(manifest.entry("a").sha256, 10) as shard:
        shard.write((Path(make_bundle(a=10)[0]) / "a").read_bytes())
        with pytest.raises(MalformedManifest, match="manifest first"):
            shard.land(manifest.root)


def test_quota_makes_room_out_of_what_may_be_collected(
    shards: ShardStore, clock: Clock, make_bundle: MakeBundle
) -> None:
    bundles = [make_bundle(f"b{number}", seed=number, own=10) for number in range(4)]
    for directory, manifest in bundles[:3]:
        put(shards, directory, manifest, quota_bytes=15_000)
    with pytest.raises(QuotaExceeded):
        put(shards, *bundles[3], quota_bytes=15_000)
    clock.now += 101
    put(shards, *bundles[3], quota_bytes=15_000)


def test_bundle_that_is_here_is_charged_to_nobody_else(shards: ShardStore, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=10)
    put(shards, directory, manifest)
    put(shards, directory, manifest, payer=OTHER, quota_bytes=0)


# -------------------------------------------------------------------------------------------------- the client's


def finish(cache: Cache, directory: Path, manifest: Manifest) -> Path:
    with cache.working_on(manifest.root):
        partial = cache.partial(manifest)
        for entry in manifest.files:
            if entry.sha256 in partial.missing():
                partial.write(entry.sha256, (directory / entry.name).read_bytes())
        return cache.finish(partial)


def test_cache_keeps_what_is_new_asked_for_or_named(tmp_path: Path, clock: Clock, make_bundle: MakeBundle) -> None:
    cache = Cache(tmp_path / "cache", clock)
    bundles = [make_bundle(f"b{number}", seed=number, own=10) for number in range(5)]
    for directory, manifest in bundles:
        finish(cache, directory, manifest)
        assert cache.find(manifest.root)
        clock.now += 10
    clock.now += 100
    cache.find(bundles[1][1].root)
    assert cache.prune(max_age_s=50, newest=1, keep=[bundles[0][1].root]) == 3
    left = [cache.find(manifest.root) is not None for _, manifest in bundles]
    assert left == [True, True, False, False, False]
    assert not list((tmp_path / "cache").rglob(".doomed-*"))


def test_tidying_happens_now_and_then_and_spares_what_is_in_use(
    tmp_path: Path, clock: Clock, make_bundle: MakeBundle
) -> None:
    cache = Cache(tmp_path / "cache", clock)
    bundles = [make_bundle(f"b{number}", seed=number, own=10) for number in range(4)]
    for directory, manifest in bundles:
        finish(cache, directory, manifest)
        cache.find(manifest.root)
        clock.now += 1
    tidy = Tidier(cache, every_s=100, max_age_s=1_000, newest=1, clock=clock)

    def unasked() -> Iterator[Root]:
        raise AssertionError("it is not time yet")
        yield

    def there() -> list[bool]:
        return [(tmp_path / "cache" / manifest.root.hex()).is_dir() for _, manifest in bundles]

    tidy([])
    assert there() == [True] * 4  # all young
    clock.now += 99
    tidy(unasked())
    clock.now += 2_000
    tidy([bundles[0][1].root])
    assert there() == [True, False, False, True]


def test_cache_that_cannot_be_tidied_stops_nobody(tmp_path: Path, clock: Clock) -> None:
    cache = Cache(tmp_path / "cache", clock)
    shutil.rmtree(tmp_path / "cache")
    Tidier(cache, clock=clock)([])


def test_cached_files_are_read_only(tmp_path: Path, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=10)
    fetched = finish(Cache(tmp_path / "cache"), directory, manifest)
    assert (fetched / "a").stat().st_mode & 0o222 == 0


def test_shard_that_is_listed_with_two_sizes_is_refused(tmp_path: Path, make_bundle: MakeBundle) -> None:
    directory, manifest = make_bundle(a=10)
    entry = manifest.files[0]
    twice = replace(entry, name="b", size_bytes=SHARD_BYTES + 20, shards=(entry.sha256, entry.sha256))
    impossible = Manifest(BundleKind.SUBMISSION, {}, (entry, twice))
    with pytest.raises(MalformedManifest, match="another size"):
        finish(Cache(tmp_path / "cache"), directory, impossible)


# -------------------------------------------------------------------------------------------- who may put it here


class Contracts:
    """A ChainReader over dictionaries, which counts how often it is asked for a bond."""

    def __init__(self) -> None:
        self.bonds: dict[Address, int] = {}
        self.operators: dict[Address, Address] = {}
        self.initiators: set[Address] = set()
        self.judging: set[tuple[TaskId, Epoch, Address]] = set()
        self.seeds: dict[tuple[TaskId, Epoch], Seed] = {}
        self.asked = 0

    def operator_of(self, key: Address) -> Address:
        return self.operators.get(key, key)

    def bond_of(self, operator: Address) -> int:
        self.asked += 1
        return self.bonds.get(operator, 0)

    def is_initiator(self, address: Address) -> bool:
        return address in self.initiators

    def judges(self, task_id: TaskId, epoch: Epoch, operator: Address) -> bool:
        return (task_id, epoch, operator) in self.judging

    def seed_of(self, task_id: TaskId, epoch: Epoch) -> Seed | None:
        return self.seeds.get((task_id, epoch))


def test_worker_key_is_charged_to_its_operator(clock: Clock) -> None:
    contracts = Contracts()
    contracts.bonds[PAYER] = 5
    contracts.operators[OTHER] = PAYER
    assert ChainAuthoriser(contracts, clock=clock).payer_of(OTHER) == PAYER
    assert ChainAuthoriser(contracts, min_bond_wei=6, clock=clock).payer_of(OTHER) is None


def test_initiator_may_upload_without_a_bond(clock: Clock) -> None:
    contracts = Contracts()
    contracts.initiators.add(PAYER)
    authoriser = ChainAuthoriser(contracts, clock=clock)
    assert authoriser.payer_of(PAYER) == PAYER
    assert authoriser.payer_of(OTHER) is None


def test_answers_are_remembered_a_no_not_for_long(clock: Clock) -> None:
    contracts = Contracts()
    authoriser = ChainAuthoriser(contracts, yes_s=60, no_s=1, clock=clock)
    assert authoriser.payer_of(PAYER) is None and authoriser.payer_of(PAYER) is None
    assert contracts.asked == 1
    contracts.bonds[PAYER] = 5
    clock.now += 2
    assert authoriser.payer_of(PAYER) == PAYER
    contracts.bonds[PAYER] = 0
    clock.now += 59
    assert authoriser.payer_of(PAYER) == PAYER
    clock.now += 2
    assert authoriser.payer_of(PAYER) is None


SEED, OTHER_SEED = Seed(b"s" * 32), Seed(b"t" * 32)


def recover_signer(task_id: TaskId, epoch: Epoch, seed: Seed, policy_root: Root, signature: bytes) -> Address:
    """A signature of the tests: the seed that it is over, then its signer."""
    assert len(seed) == 32
    if not signature:
        raise Rejected("no signature")
    return Address(signature[32:].decode()) if signature[:32] == seed else OTHER


def counts(checker: ChainSignatureChecker, signer: str, operator: Address, *, task: int = 1, epoch: int = 0) -> bool:
    signature = SEED + signer.encode() if signer else b""
    return checker.is_signed_by(TaskId(task), Epoch(epoch), operator, Root(bytes(32)), signature)


def test_policy_signature_counts_for_verifiers_of_the_epoch_and_their_keys(clock: Clock) -> None:
    contracts = Contracts()
    worker = Address("0x" + "3" * 40)
    contracts.operators[worker] = PAYER
    contracts.judging.add((TaskId(1), Epoch(0), PAYER))
    contracts.seeds = {(TaskId(1), Epoch(0)): SEED, (TaskId(1), Epoch(1)): SEED, (TaskId(2), Epoch(0)): SEED}
    checker = ChainSignatureChecker(contracts, recover_signer, clock=clock)
    assert counts(checker, PAYER, PAYER) and counts(checker, worker, PAYER)
    assert not counts(checker, OTHER, PAYER)
    assert not counts(checker, OTHER, OTHER)
    assert not counts(checker, PAYER, PAYER, task=2)
    assert not counts(checker, PAYER, PAYER, epoch=1)
    assert not counts(checker, "", PAYER)


def test_policy_signature_is_of_the_seed_that_sealed_the_epoch(clock: Clock) -> None:
    contracts = Contracts()
    contracts.judging.add((TaskId(1), Epoch(0), PAYER))
    checker = ChainSignatureChecker(contracts, recover_signer, yes_s=60, no_s=1, clock=clock)
    assert not counts(checker, PAYER, PAYER)  # it is not sealed
    contracts.seeds[TaskId(1), Epoch(0)] = OTHER_SEED
    clock.now += 2
    assert not counts(checker, PAYER, PAYER)
    contracts.seeds[TaskId(1), Epoch(0)] = SEED  # the chain was taken back, and the epoch sealed again
    clock.now += 61
    assert counts(checker, PAYER, PAYER)


def test_signature_names_its_signer_and_nothing_else(trainer: LocalAccount) -> None:
    root = Root(bytes(range(32)))
    signature = sign_upload(trainer, 1, root, 99)
    assert recover_uploader(1, root, 99, signature) == trainer.address
    assert recover_uploader(1, root, 98, signature) != trainer.address
    with pytest.raises(Malformed, match="65 bytes"):
        recover_uploader(1, root, 99, signature[:-1])
    with pytest.raises(Malformed, match="recovered"):
        recover_uploader(1, root, 99, bytes(65))
