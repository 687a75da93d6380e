"""A cache whose small bundles were damaged: what is still right of it is kept, the rest is fetched again."""

from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.manifest import MANIFEST_NAME, BundleKind
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import fetch


@pytest.mark.parametrize("name", ["spec.json", MANIFEST_NAME])
def test_a_damaged_spec_is_fetched_again(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, name: str
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle("task", kind=BundleKind.TASK, **{"spec.json": 900})
    make_client(relay, cache="trainer").publish(directory, manifest, trainer)
    for data in (b"not JSON", b"", (directory / name).read_bytes()[:-1]):
        damaged = fetch(make_client(relay), manifest) / name
        damaged.chmod(0o644)
        damaged.write_bytes(data)
        assert fetch(make_client(relay), manifest) == damaged.parent
        assert Path(damaged).read_bytes() == (directory / name).read_bytes()


def test_a_spec_that_was_deleted_is_fetched_again(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle("task", kind=BundleKind.TASK, **{"spec.json": 900})
    make_client(relay, cache="trainer").publish(directory, manifest, trainer)
    (fetch(make_client(relay), manifest) / "spec.json").unlink()
    assert (fetch(make_client(relay), manifest) / "spec.json").read_bytes() == (directory / "spec.json").read_bytes()
