"""Policies that a client makes from the version before: what it fetches, and whom it does not believe."""

import shutil
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME
from assay_core.aggregation.policy_delta import PolicyRebuilder, Terms
from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.transport.relay.client import RelayClient
from tests.unit.aggregation.steps import Version, first_version, next_version
from tests.unit.relay.conftest import MakeClient, StartRelay
from tests.unit.relay.relays import LIMITS, RunningRelay, fetch

TERMS = Terms(codec_named("int8"), 0.7, 0.6)
STEP = ("update/", "policy.json")  # small files are in no other bundle's stead
ALL = ("",)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Version]:
    folder = tmp_path_factory.mktemp("versions")
    found = [first_version(folder / "0")]
    for version in range(1, 4):
        found.append(next_version(folder / str(version), found[-1], TERMS, seed=version))
    return found


@pytest.fixture
def relay(
    start_relay: StartRelay, make_client: MakeClient, trainer: LocalAccount, versions: list[Version]
) -> RunningRelay:
    relay = start_relay()
    publisher = make_client(relay, cache="publisher")
    for directory, manifest in versions:
        publisher.publish(directory, manifest, trainer)
    return relay


@pytest.fixture
def client(relay: RunningRelay, make_client: MakeClient) -> RelayClient:
    return make_client(relay, rebuilder=PolicyRebuilder())


def shards_of(version: Version, *names: str) -> int:
    return sum(len(entry.shards) for entry in version[1].files if entry.name.startswith(names))


def fetched(client: RelayClient, relay: RunningRelay, version: Version) -> int:
    """How many shards it took to have the version, whole and right."""
    before = relay.count("GET /v1/shards")
    found = fetch(client, version[1])
    assert open_bundle(found, LIMITS) == version[1]
    assert not list(found.parent.rglob(".doomed-*")), "what was made is not left behind"
    return relay.count("GET /v1/shards") - before


def test_anyone_who_has_the_version_before_fetches_the_aggregate_alone(
    client: RelayClient, relay: RunningRelay, versions: list[Version]
) -> None:
    assert fetched(client, relay, versions[0]) == shards_of(versions[0], *ALL)
    for version in versions[1:]:
        assert fetched(client, relay, version) == shards_of(version, *STEP)
    by_name = {entry.name: entry.size_bytes for entry in versions[2][1].files}
    numbers, aggregate = by_name[WEIGHTS_NAME] + by_name[MOMENTUM_NAME], by_name["update/0000.safetensors"]
    assert numbers / aggregate > 7.9  # what is not sent again


def test_anyone_who_fell_behind_fetches_all(client: RelayClient, relay: RunningRelay, versions: list[Version]) -> None:
    fetch(client, versions[0][1])
    assert fetched(client, relay, versions[2]) == shards_of(versions[2], *ALL)
    assert fetched(client, relay, versions[3]) == shards_of(versions[3], *STEP)


def test_step_that_leads_elsewhere_costs_nothing_but_the_fetching(
    client: RelayClient,
    relay: RunningRelay,
    make_client: MakeClient,
    trainer: LocalAccount,
    versions: list[Version],
    tmp_path: Path,
) -> None:
    lie = tmp_path / "lie"
    shutil.copytree(versions[2][0], lie)
    shutil.copytree(versions[1][0] / "update", lie / "update", dirs_exist_ok=True)
    (lie / WEIGHTS_NAME).write_bytes((versions[0][0] / WEIGHTS_NAME).read_bytes())
    (lie / "manifest.json").unlink()
    fields = {**versions[2][1].fields, "step": {"codec": "int8", "lr": "0.1", "momentum": "0.6"}}
    told = lie, build_bundle(lie, BundleKind.POLICY, fields)
    make_client(relay, cache="liar").publish(*told, trainer)
    fetch(client, versions[1][1])
    assert fetched(client, relay, told) > 0


@pytest.mark.parametrize("parent", ["submission", "itself", "nonsense"])
def test_odd_parents_are_no_reason_to_fail(
    parent: str,
    client: RelayClient,
    relay: RunningRelay,
    make_client: MakeClient,
    trainer: LocalAccount,
    versions: list[Version],
    tmp_path: Path,
) -> None:
    publisher = make_client(relay, cache="odd")
    submission = tmp_path / "submission"
    submission.mkdir()
    (submission / "x").write_bytes(b"x")
    other = build_bundle(submission, BundleKind.SUBMISSION, {})
    publisher.publish(submission, other, trainer)
    fetch(client, other)
    named = {"submission": other.root.hex(), "itself": "ff" * 32, "nonsense": "../../etc"}[parent]
    odd = next_version(tmp_path / "odd-version", versions[1], TERMS, parent=named)
    publisher.publish(*odd, trainer)
    assert fetched(client, relay, odd) == shards_of(odd, *ALL)


class Interrupted(PolicyRebuilder):
    """In whose middle another process tidies away what it starts from."""

    def make(self, manifest: Manifest, directory: Path, base: Path, target: Path) -> None:
        shutil.rmtree(base)
        super().make(manifest, directory, base, target)


class InterruptedLater(PolicyRebuilder):
    def make(self, manifest: Manifest, directory: Path, base: Path, target: Path) -> None:
        (base / WEIGHTS_NAME).unlink()
        super().make(manifest, directory, base, target)


@pytest.mark.parametrize("rebuilder", [Interrupted(), InterruptedLater()])
def test_version_before_that_is_tidied_away_meanwhile_is_no_reason_to_fail(
    rebuilder: PolicyRebuilder, relay: RunningRelay, make_client: MakeClient, versions: list[Version]
) -> None:
    client = make_client(relay, rebuilder=rebuilder)
    fetch(client, versions[1][1])
    assert fetched(client, relay, versions[2]) == shards_of(versions[2], *ALL)


def test_damaged_base_is_found_out_by_the_hashes(
    client: RelayClient, relay: RunningRelay, versions: list[Version]
) -> None:
    damaged = fetch(client, versions[1][1]) / WEIGHTS_NAME
    damaged.chmod(0o644)
    with damaged.open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"\x01\x02")
    taken = fetched(client, relay, versions[2])
    assert shards_of(versions[2], *STEP) < taken < shards_of(versions[2], *ALL)
