"""A whole trainer, as a process, over a bucket and over a swarm: `--engine` is all that changes."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from assay_core.bundle.directory import open_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.chain.deployment import Deployment
from assay_core.chain.sender import Sender
from assay_core.protocol.types import Address
from assay_core.transport.bucket import BucketClient
from assay_core.transport.choose import Transport
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.swarm.engine import SwarmClient, SwarmPlace
from assay_protocol.devnet.anvil import free_port
from tests.integration.test_trainer_process import Bonded, bonded
from tests.unit.transport.conftest import ObjectServer, credentials, object_server
from tests.unit.transport.trackers_running import Members, RunningTracker

__all__ = ["bonded", "credentials", "object_server"]  # fixtures

pytestmark = [pytest.mark.chain, pytest.mark.slow]
LIMITS = BundleLimits(2**28)
Opener = Callable[[str], Transport]


class Everybody(Members):
    def payer_of(self, key: Address) -> Address | None:
        return key


@pytest.fixture
def bucket(object_server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    prefix = tmp_path.name
    for name, value in (("BUCKET", "assay"), ("ENDPOINT", object_server.url), ("PREFIX", prefix)):
        monkeypatch.setenv(f"ASSAY_S3_{name}", value)
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            BucketClient("assay", tmp_path / name, endpoint=object_server.url, prefix=prefix)
        )


@pytest.fixture
def swarm(
    deployment: Deployment, sender_of: Callable[[str], Sender], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opener]:
    tracker = RunningTracker(free_port(), Everybody())
    monkeypatch.setenv("ASSAY_SWARM_TRACKERS", tracker.url)
    monkeypatch.setenv("ASSAY_SWARM_HOST", "127.0.0.1")
    account = sender_of("initiator").account

    def opened(name: str) -> Transport:
        place = SwarmPlace("127.0.0.1", 0, tmp_path / f"{name}-swarm")
        return stack.enter_context(
            SwarmClient([tracker.url], tmp_path / name, place, account, chain_id=deployment.chain_id, announce_s=1)
        )

    with ExitStack() as stack:
        yield opened
    tracker.stop()


@pytest.mark.parametrize("engine", ["bucket", "swarm"])
def test_trainer_fetches_trains_and_publishes_over_any_engine(
    engine: str,
    bonded: Bonded,
    relay: str,
    sender_of: Callable[[str], Sender],
    deployment: Deployment,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    opened: Opener = request.getfixturevalue(engine)
    initiator = opened("initiator")
    for name in ("task", "policy"):
        initiator.publish(tmp_path / name, read_manifest(tmp_path / name), sender_of("initiator").account)
    bonded.arguments += ["--engine", "s3" if engine == "bucket" else "swarm"]
    process = bonded.start()
    bonded.wait_for("waiting", process)
    [submission] = bonded.submissions()
    found = opened("verifier").fetch(submission.submission.manifest_root, BundleKind.SUBMISSION, LIMITS)
    assert open_bundle(found, LIMITS, submission.submission.manifest_root).kind is BundleKind.SUBMISSION
    with RelayClient([relay], tmp_path / "none", chain_id=deployment.chain_id) as client:
        assert not client.has(submission.submission.manifest_root)  # the relay that it was given was not used
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, (bonded.folder / "log").read_text()[-2_000:]
