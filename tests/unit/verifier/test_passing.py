"""Submissions are passed on by anyone who has them, until they no longer count."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from eth_account import Account

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.deadlines import cut_off, last_call
from assay_verifier.inbox import Inbox
from assay_verifier.passing import RETRY_S, PassingOn
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import PARAMS, Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, node_of
from tests.unit.verifier.honest import SPEC, Bundle

KEY = Account.from_key(b"\x01" * 32)


@dataclass
class Relay:
    """Where a verifier uploads to; it may refuse."""

    has: list[Root] = field(default_factory=list[Root])
    trouble: Exception | None = None

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.has.append(manifest.root)

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        raise NotImplementedError

    def signatures(self, task_id: TaskId, epoch: Epoch) -> Sequence[PolicySignature]:
        raise NotImplementedError


@dataclass
class Scene:
    chronicle: Chronicle
    shards: ShardStore
    relay: Relay
    inbox: Inbox
    root: Root
    passing: PassingOn
    clock_s: float = 0.0

    def advance(self, now: int = 0) -> bool:
        return self.passing.advance(self.chronicle.ledger, now)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "submission.bin").write_bytes(b"a submission")
    bundle = Bundle(tmp_path, build_bundle(tmp_path, BundleKind.SUBMISSION, {}))
    chronicle, shards, relay = Chronicle(Root(bytes(32))), ShardStore(), Relay()
    chronicle.submission(TRAINER, shards.add(bundle))
    inbox = Inbox(shards, SPEC)
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    node = node_of(Address(KEY.address), KEY, Sent(), relay, session_factory(engine), Notes())
    scene = Scene(chronicle, shards, relay, inbox, bundle.manifest.root, PassingOn(node, inbox))
    scene.passing = PassingOn(node, inbox, clock=lambda: scene.clock_s)
    return scene


def test_what_was_fetched_is_passed_on_once(scene: Scene) -> None:
    assert not scene.advance()  # we have not got it ourselves
    scene.inbox.submission(scene.root)
    assert scene.advance()
    assert not scene.advance()
    assert scene.relay.has == [scene.root]


def test_after_the_cut_off_nothing_is_passed_on(scene: Scene) -> None:
    scene.chronicle.seal(attest_by=1_000)
    end = cut_off(scene.chronicle.record(), PARAMS)
    assert end == 1_000 - PARAMS.attest_window // 4 < last_call(scene.chronicle.record(), PARAMS) < 1_000
    scene.inbox.submission(scene.root)
    assert not scene.advance(now=end)
    assert scene.advance(now=end - 1)


@pytest.mark.parametrize("trouble", [Unavailable("no answer"), Stop("over its quota")], ids=repr)
def test_a_relay_that_does_not_take_it_is_asked_again_and_troubles_nobody(scene: Scene, trouble: Exception) -> None:
    scene.inbox.submission(scene.root)
    scene.relay.trouble = trouble
    assert not scene.advance()
    scene.relay.trouble = None
    assert not scene.advance()
    scene.clock_s += RETRY_S
    assert scene.advance()


def test_submissions_of_epochs_that_are_over_are_nobodys_business(scene: Scene) -> None:
    scene.inbox.submission(scene.root)
    scene.chronicle.seal()
    scene.chronicle.void()
    assert not scene.advance()
