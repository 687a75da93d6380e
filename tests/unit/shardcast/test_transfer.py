"""Bundles through real relays, and what may go wrong on the way."""

from offchain.protocol.manifest import BundleKind, BundleLimits
from offchain.shardcast.store import open_bundle

LIMITS = BundleLimits(64 * 2**20)


def test_bundle_arrives_as_it_was_sent(start_relay, make_client, make_bundle, trainer):
    relay = start_relay()
    directory, manifest = make_bundle()
    client = make_client(relay.url)
    client.publish(directory, manifest, trainer)

    fetched = client.fetch(manifest.root, BundleKind.WORK, LIMITS)

    assert open_bundle(fetched, LIMITS, manifest.root) == manifest
    assert client.has(manifest.root)
