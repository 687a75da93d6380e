"""From accepted submissions to the next policy: the same bytes for everybody, signed, and published by a quorum."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME
from assay_core.aggregation.policy_delta import PolicyRebuilder
from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.rebuild import Rebuild
from assay_core.chain.keys import PolicyWord, sign_policy
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.spec import OuterSpec, TaskSpec
from assay_core.protocol.types import Address, DisputePhase, Epoch, Root, SubmissionIndex, TaskId
from assay_core.transport.engine import PolicySignature
from assay_verifier.aggregate import Aggregator, SigningDomain, accepted, base_of, next_epoch
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.inbox import Inbox, JudgeContext
from assay_verifier.models import PolicyRow
from tests.fakes import Notes
from tests.unit.verifier.chronicle import CONTRACT, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, node_of
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

CHAIN_ID = 31_337
KEYS = sorted((Account.from_key(bytes([n]) * 32) for n in (1, 2, 3)), key=lambda key: int(key.address, 16))
VERIFIERS = tuple(Address(key.address) for key in KEYS)
ROOT = Root(b"\x05" * 32)
TRAINERS = tuple(Address(f"0x{n:040d}") for n in (11, 12, 13))


@dataclass
class Colleague:
    """One verifier's aggregator with its own database, folder and sender."""

    aggregator: Aggregator
    sent: Sent
    sessions: Sessions
    status: Notes


@dataclass
class Scene:
    shards: ShardStore
    chronicle: Chronicle
    folder: Path

    def colleague(self, number: int, spec: TaskSpec = SPEC) -> Colleague:
        engine = open_database(f"sqlite:///{self.folder / f'{number}.db'}")
        migrate(engine)
        sessions, sent, status = session_factory(engine), Sent(), Notes()
        who, key, inbox = VERIFIERS[number], KEYS[number], Inbox(self.shards, spec)
        node = node_of(who, key, sent, self.shards, sessions, status)
        signer = SigningDomain(CHAIN_ID, CONTRACT, lambda key: key)
        aggregator = Aggregator(node, spec, signer, contracts().policies, inbox, self.folder / f"policies-{number}")
        return Colleague(aggregator, sent, sessions, status)


@pytest.fixture
def scene(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> Scene:
    """A settled epoch with two accepted submissions and a fraud, judged by three verifiers."""
    shards = ShardStore()
    chronicle = Chronicle(shards.add(policy_bundle))
    chronicle.verifier(*VERIFIERS)
    parts = trainer.parts()
    for scale, name in zip((1.0, 0.5, 3.0), TRAINERS, strict=True):
        scaled = {key: value * scale for key, value in parts.update.items()}
        submission = trainer.write(type(parts)(parts.header, parts.rollouts, scaled, parts.trace))
        chronicle.submission(name, shards.add(submission))
    chronicle.seal()
    chronicle.settle(bytes([100, 40, 255]))
    return Scene(shards, chronicle, tmp_path)


def test_honest_verifiers_derive_the_same_policy_and_a_quorum_publishes_it_once(scene: Scene) -> None:
    colleagues = [scene.colleague(number) for number in range(3)]
    for colleague in colleagues:
        assert colleague.aggregator.advance(scene.chronicle.ledger)  # derive
        assert colleague.aggregator.advance(scene.chronicle.ledger)  # post
    assert len({signed.policy_root for signed in scene.shards.board}) == 1
    assert colleagues[0].aggregator.advance(scene.chronicle.ledger)
    call = colleagues[0].sent.calls[0]
    assert call.function == "publishPolicy" and len(call.arguments["signatures"]) == 3  # pyright: ignore[reportArgumentType]
    root = scene.shards.board[0].policy_root
    assert call.arguments["policyRoot"] == root

    scene.chronicle.publish(root)
    for colleague in colleagues:
        assert not colleague.aggregator.advance(scene.chronicle.ledger)
    manifest = open_bundle(scene.shards.bundles[root], BundleLimits(2**30), root)
    assert manifest.kind is BundleKind.POLICY and manifest.fields["version"] == 1
    assert {"weights.safetensors", "outer/momentum.safetensors"} <= {entry.name for entry in manifest.files}
    load_policy(scene.shards.bundles[root])


@pytest.mark.slow  # a process that imports all that a verifier does
def test_another_process_with_other_threads_derives_the_same_root(scene: Scene) -> None:
    """The bundle again, from the files alone and in memory at once, in a process with four threads."""
    scene.colleague(0).aggregator.advance(scene.chronicle.ledger)
    script = f"""
import sys, torch
torch.set_num_threads(4)
from pathlib import Path
from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import outer_step, write_momentum
from assay_core.aggregation.rules import Rule
from assay_core.aggregation.updates import read_update
from assay_core.policy import load_policy
from tests.unit.policy.successor import write_successor
from assay_core.bundle.manifest import BundleKind
from assay_core.protocol.spec import parse_spec
from assay_core.bundle.directory import build_bundle, read_manifest
import numpy as np
spec = parse_spec(bytes.fromhex({SPEC.to_bytes().hex()!r}))
base, submissions, target = Path(sys.argv[1]), [Path(each) for each in sys.argv[3:]], Path(sys.argv[2])
weights = {{name: value.detach().numpy() for name, value in load_policy(base).trainable().items()}}
shapes = {{name: value.shape for name, value in weights.items()}}
codec = codec_named(spec.codec)
parts = [Contribution(i, 4 * score, read_update(submissions[i], read_manifest(submissions[i]), shapes, codec))
         for i, score in ((1, 40), (0, 100))]
mean = aggregate(parts, Rule(spec.outer.rule, spec.outer.clip_norm_ratio))
zeros = {{name: np.zeros(shape, np.float32) for name, shape in shapes.items()}}
state = outer_step(weights, zeros, mean, lr=spec.outer.lr, momentum_decay=spec.outer.momentum)
write_successor(base, state.weights, target)
write_momentum(target, state.momentum)
fields = {{"task": 1, "epoch": 0, "version": 1, "parent": read_manifest(base).root.hex()}}
print(build_bundle(target, BundleKind.POLICY, fields).root.hex())
"""
    record = scene.chronicle.record()
    submissions = [str(scene.shards.bundles[each.submission.manifest_root]) for each in record.submissions]
    base = scene.shards.bundles[scene.chronicle.ledger.task.policy_root]
    done = subprocess.run(
        [sys.executable, "-c", script, str(base), str(scene.folder / "again"), *submissions],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "4", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    engine = open_database(f"sqlite:///{scene.folder / '0.db'}")
    with session_factory(engine)() as session:
        assert (session.get_one(PolicyRow, (1, 1)).own_root or b"").hex() == done.stdout.strip()


def test_the_task_names_the_rule(scene: Scene) -> None:
    """Two verifiers that follow the same rule derive the same policy, one that followed another would not."""
    roots = list[Root]()
    for number, rule in enumerate(("weighted_mean", "median", "median")):
        spec = SPEC.model_copy(update={"outer": OuterSpec(rule=rule)})
        colleague = scene.colleague(number, spec)
        colleague.aggregator.advance(scene.chronicle.ledger)
        with colleague.sessions() as session:
            roots.append(Root(session.get_one(PolicyRow, (1, 1)).own_root or b""))
    assert roots[1] == roots[2] != roots[0]


def test_policy_that_travels_as_a_step_is_made_alike_by_verifiers_and_clients(scene: Scene, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"outer": OuterSpec(broadcast="int8")})
    for number in range(2):
        colleague = scene.colleague(number, spec)
        assert colleague.aggregator.advance(scene.chronicle.ledger)  # derive
        assert colleague.aggregator.advance(scene.chronicle.ledger)  # post
    (root,) = {signed.policy_root for signed in scene.shards.board}
    manifest = open_bundle(scene.shards.bundles[root], BundleLimits(2**30), root)
    base = scene.chronicle.ledger.task.policy_root
    rebuilder = PolicyRebuilder()
    assert rebuilder.plan(manifest) == Rebuild(base, frozenset((WEIGHTS_NAME, MOMENTUM_NAME)))
    rebuilder.make(manifest, scene.shards.bundles[root], scene.shards.bundles[base], tmp_path / "made")
    for name in (WEIGHTS_NAME, MOMENTUM_NAME):
        assert (tmp_path / "made" / name).read_bytes() == (scene.shards.bundles[root] / name).read_bytes()
    load_policy(scene.shards.bundles[root])


def test_base_without_weights_stops_the_verifier(scene: Scene) -> None:
    root = scene.chronicle.ledger.task.policy_root
    scene.shards.bundles[root] = shutil.copytree(scene.shards.bundles[root], scene.folder / "broken")
    (scene.folder / "broken" / WEIGHTS_NAME).write_bytes(b"no weights")
    with pytest.raises(Stop, match="nothing can follow from it"):
        scene.colleague(0).aggregator.advance(scene.chronicle.ledger)


def test_less_than_a_quorum_publishes_nothing(scene: Scene) -> None:
    colleague = scene.colleague(0)
    for _ in range(4):
        colleague.aggregator.advance(scene.chronicle.ledger)
    assert not colleague.sent.calls


def test_signatures_that_are_not_what_they_seem_do_not_count(scene: Scene) -> None:
    """Others' roots, strangers, one verifier's signature under another's name, and noise."""
    colleague = scene.colleague(0)
    colleague.aggregator.advance(scene.chronicle.ledger)
    colleague.aggregator.advance(scene.chronicle.ledger)
    root = scene.shards.board[0].policy_root
    stranger = Account.from_key(b"\x09" * 32)

    def signed(key: LocalAccount, of: Root) -> bytes:
        seed = scene.chronicle.record().seed
        assert seed is not None
        return sign_policy(key, CHAIN_ID, CONTRACT, PolicyWord(TaskId(1), Epoch(0), seed, of))

    scene.shards.board += [
        PolicySignature(VERIFIERS[1], root, signed(KEYS[2], root)),
        PolicySignature(VERIFIERS[1], Root(b"\x01" * 32), signed(KEYS[1], Root(b"\x01" * 32))),
        PolicySignature(Address(stranger.address), root, signed(stranger, root)),
        PolicySignature(VERIFIERS[2], root, b"\x00" * 65),
        PolicySignature(VERIFIERS[2], root, b"short"),
    ]
    for _ in range(3):
        colleague.aggregator.advance(scene.chronicle.ledger)
    assert not colleague.sent.calls
    scene.shards.board += [PolicySignature(VERIFIERS[n], root, signed(KEYS[n], root)) for n in (1, 2)]
    assert colleague.aggregator.advance(scene.chronicle.ledger)


def test_published_policy_that_differs_is_told_and_gone_on_from(scene: Scene) -> None:
    colleague = scene.colleague(0)
    colleague.aggregator.advance(scene.chronicle.ledger)
    scene.chronicle.publish(Root(b"\x42" * 32))
    assert colleague.aggregator.advance(scene.chronicle.ledger)  # ours is still posted: others may want to know
    assert "policy differs from ours" in colleague.status.messages
    assert not colleague.aggregator.advance(scene.chronicle.ledger)
    assert base_of(scene.chronicle.ledger, Epoch(1)).policy_root == Root(b"\x42" * 32)


def test_crash_after_deriving_signs_the_same_root_again(scene: Scene) -> None:
    scene.colleague(0).aggregator.advance(scene.chronicle.ledger)
    again = scene.colleague(0)  # the same database and folder
    assert again.aggregator.advance(scene.chronicle.ledger)
    assert again.status.messages == ["policy signed"]


def test_relays_that_are_down_delay_the_signature(scene: Scene) -> None:
    colleague = scene.colleague(0)
    colleague.aggregator.advance(scene.chronicle.ledger)
    scene.shards.is_down = True
    with pytest.raises(Unavailable):
        colleague.aggregator.advance(scene.chronicle.ledger)
    assert not scene.shards.board  # no signature for what nobody could fetch
    scene.shards.is_down = False
    assert colleague.aggregator.advance(scene.chronicle.ledger) and scene.shards.board


def test_accepted_submission_that_is_lost_delays_until_the_quorum_publishes(scene: Scene) -> None:
    colleague = scene.colleague(0)
    del scene.shards.bundles[scene.chronicle.record().submissions[0].submission.manifest_root]
    with pytest.raises(Unavailable):
        colleague.aggregator.advance(scene.chronicle.ledger)
    scene.chronicle.publish(Root(b"\x42" * 32))
    colleague.aggregator.advance(scene.chronicle.ledger)
    assert not colleague.aggregator.advance(scene.chronicle.ledger)
    assert not scene.shards.board


def test_verifier_that_was_not_enlisted_at_the_seal_signs_nothing(scene: Scene) -> None:
    outsider = scene.colleague(0)
    node = outsider.aggregator._node  # pyright: ignore[reportPrivateUsage]
    outsider.aggregator._node = replace(node, verifier=TRAINERS[0])  # pyright: ignore[reportPrivateUsage]
    assert not outsider.aggregator.advance(scene.chronicle.ledger)


def test_somebody_faster_is_no_trouble(scene: Scene) -> None:
    colleagues = [scene.colleague(number) for number in range(3)]
    for colleague in colleagues:
        colleague.aggregator.advance(scene.chronicle.ledger)
        colleague.aggregator.advance(scene.chronicle.ledger)
    colleagues[1].sent.refusal = "PolicyOutOfOrder"
    assert not colleagues[1].aggregator.advance(scene.chronicle.ledger)


# ---- which epoch is next


def never(_: object) -> bool:
    return False


def test_undecided_epoch_holds_back_later_ones() -> None:
    chronicle = Chronicle(Root(bytes(32)))
    chronicle.verifier(*VERIFIERS)
    for epoch in (0, 1):
        chronicle.submission(TRAINERS[0], Root(bytes([epoch]) * 32), epoch=epoch)
        chronicle.seal(epoch)
    chronicle.settle(bytes([100]), epoch=1)
    assert next_epoch(chronicle.ledger, never) is None
    chronicle.settle(bytes([100]), epoch=0)
    assert next_epoch(chronicle.ledger, never) is chronicle.record(0)


@pytest.mark.parametrize("scores", [bytes([0]), bytes([255])])
def test_epoch_without_an_accepted_submission_becomes_no_policy(scores: bytes) -> None:
    chronicle = Chronicle(Root(bytes(32)))
    for epoch in (0, 1):
        chronicle.submission(TRAINERS[0], Root(bytes([epoch]) * 32), epoch=epoch)
        chronicle.seal(epoch)
    chronicle.settle(scores, epoch=0)
    chronicle.settle(bytes([1]), epoch=1)
    assert accepted(chronicle.record(0)) == []
    assert next_epoch(chronicle.ledger, never) is chronicle.record(1)


@pytest.mark.parametrize("scores", [bytes([254]), bytes([255]), bytes([0])], ids=["unavailable", "fraud", "unpaid"])
def test_only_what_is_paid_counts(scores: bytes) -> None:
    chronicle = Chronicle(Root(bytes(32)))
    chronicle.submission(TRAINERS[0], ROOT)
    chronicle.submission(TRAINERS[1], ROOT)
    chronicle.seal()
    chronicle.settle(scores + bytes([40]))
    assert [(each.submission.index, score) for each, score in accepted(chronicle.record())] == [(1, 40)]


def test_an_appeal_moves_money_and_no_policy() -> None:
    """Anyone who signs before it is decided and anyone who signs after it have to sign the same root."""
    chronicle = Chronicle(Root(bytes(32)))
    chronicle.submission(TRAINERS[0], ROOT)
    chronicle.seal()
    chronicle.settle(bytes([100]))
    before = accepted(chronicle.record())
    chronicle.dispute(0, 0)
    chronicle.decide(0, 0, DisputePhase.OVERTURNED)
    assert chronicle.record().score_of(SubmissionIndex(0)) == 0 and accepted(chronicle.record()) == before


def test_a_late_policy_is_waited_for_until_the_chain_skips_it() -> None:
    """By the clock alone some would go on from another policy than the rest."""
    chronicle = Chronicle(Root(bytes(32)))
    for epoch in (0, 1):
        chronicle.submission(TRAINERS[0], Root(bytes([epoch]) * 32), epoch=epoch)
        chronicle.seal(epoch)
        chronicle.settle(bytes([100]), epoch=epoch, challenge_by=1)
    assert next_epoch(chronicle.ledger, never) is chronicle.record(0)
    chronicle.skip(0)
    assert next_epoch(chronicle.ledger, never) is chronicle.record(1)
    assert base_of(chronicle.ledger, Epoch(1)).version == 0


def test_submissions_that_make_no_policy_are_given_up_and_the_next_epoch_waits_for_the_skip(scene: Scene) -> None:
    colleague = scene.colleague(0)
    for committed in scene.chronicle.record().submissions:
        (scene.shards.bundles[committed.submission.manifest_root] / "update" / "0000.safetensors").write_bytes(b"rot")
    scene.chronicle.submission(TRAINERS[0], ROOT, epoch=1)
    scene.chronicle.seal(1)
    scene.chronicle.settle(bytes([100]), epoch=1)
    assert colleague.aggregator.advance(scene.chronicle.ledger)
    assert not colleague.aggregator.advance(scene.chronicle.ledger)
    scene.chronicle.skip(0)
    with pytest.raises(Unavailable):  # it wants the submission of epoch 1, which is on no relay
        colleague.aggregator.advance(scene.chronicle.ledger)


def test_verifiers_go_on_from_the_same_policy_when_one_was_skipped(scene: Scene) -> None:
    """Some have derived the skipped policy, others have not: all derive the next one from the same base."""
    early, late = scene.colleague(0), scene.colleague(1)
    early.aggregator.advance(scene.chronicle.ledger)
    early.aggregator.advance(scene.chronicle.ledger)
    skipped = scene.shards.board.pop().policy_root
    scene.chronicle.skip(0)
    scene.chronicle.submission(TRAINERS[0], scene.chronicle.record().submissions[0].submission.manifest_root, epoch=1)
    scene.chronicle.seal(1)
    scene.chronicle.settle(bytes([100]), epoch=1)
    for colleague in (early, late):
        colleague.aggregator.advance(scene.chronicle.ledger)
        colleague.aggregator.advance(scene.chronicle.ledger)
    first, second = scene.shards.board
    assert first.policy_root == second.policy_root != skipped
    manifest = open_bundle(scene.shards.bundles[first.policy_root], BundleLimits(2**30), first.policy_root)
    assert manifest.fields["version"] == 1 and manifest.fields["epoch"] == 1


def test_void_and_overtaken_epochs_are_passed_over() -> None:
    chronicle = Chronicle(Root(bytes(32)))
    for epoch in (0, 1, 2):
        chronicle.submission(TRAINERS[0], Root(bytes([epoch]) * 32), epoch=epoch)
        chronicle.seal(epoch)
    chronicle.void(0)
    chronicle.settle(bytes([100]), epoch=1)
    chronicle.settle(bytes([100]), epoch=2)
    chronicle.skip(1)  # as anyone who publishes a later one has to
    chronicle.publish(Root(b"\x09" * 32), epoch=2)
    assert next_epoch(chronicle.ledger, lambda record: record.policy is not None) is None
    assert base_of(chronicle.ledger, Epoch(2)).version == 0


def test_broken_base_policy_stops_the_verifier(scene: Scene) -> None:
    def broken(_: Path) -> None:
        raise Malformed("no weights")

    inbox = Inbox(scene.shards, SPEC)
    context = JudgeContext(inbox, make_environment(SPEC.environment), broken)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Stop, match="nothing can be judged by it"):
        context.policy(scene.chronicle.ledger.task.policy_root)
