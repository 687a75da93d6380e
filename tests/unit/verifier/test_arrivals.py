"""Who waits for the draw before it uploads wins nothing: what came late is checked in full."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.encoding import must_replay
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Root, SubmissionIndex
from assay_verifier.arrivals import Arrivals
from assay_verifier.inbox import Inbox, JudgeContext
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.verdict import report_bytes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import PARAMS, Chronicle
from tests.unit.verifier.fakes import ShardStore
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

RARELY = 1  # of 10,000: this seed draws none


class Scene:
    """A verifier before whom one submission was committed."""

    def __init__(self, policy: Bundle, submission: Bundle, held_s: Callable[[Root], float | None]) -> None:
        self.shards, self.newest_block = ShardStore(), 0
        self.chronicle = Chronicle(self.shards.add(policy), replace(PARAMS, sampling_bps=RARELY))
        self.root = self.shards.add(submission)
        self.chronicle.submission(TRAINER, self.root)
        inbox = Inbox(self.shards, SPEC)
        arrivals = Arrivals(inbox.holds, held_s, lambda block: 60.0, lambda: self.newest_block)
        context = JudgeContext(inbox, make_environment(SPEC.environment), load_policy)
        self.queue = JudgingQueue(SPEC, inbox, context, arrivals)

    def look(self) -> None:
        self.queue.note_arrivals(self.chronicle.ledger)
        self.queue.judge_next(self.chronicle.ledger, self.chronicle.record())

    def seal(self) -> None:
        self.chronicle.seal()
        seed = self.chronicle.record().seed
        assert seed is not None and not must_replay(seed, SubmissionIndex(0), RARELY)

    def report(self) -> bytes:
        self.look()
        judged = self.queue.judgements(self.chronicle.ledger, self.chronicle.record(), give_up=False)
        assert judged is not None
        return report_bytes([each.verdict for each in judged])


@pytest.fixture
def lie(trainer: HonestTrainer) -> Bundle:
    parts = trainer.parts()
    return trainer.write(replace(parts, update={name: -value for name, value in parts.update.items()}))


def nobody_says(root: Root) -> float | None:
    raise Unavailable("no relay answers")


def test_a_lie_that_was_here_before_the_seed_and_is_not_drawn_passes(policy_bundle: Bundle, lie: Bundle) -> None:
    scene = Scene(policy_bundle, lie, nobody_says)
    scene.look()  # fetches it
    scene.look()
    scene.seal()
    assert scene.report() == bytes([100])


def test_a_lie_that_comes_once_the_seed_is_known_is_found_whatever_was_drawn(
    policy_bundle: Bundle, lie: Bundle
) -> None:
    scene = Scene(policy_bundle, lie, nobody_says)
    scene.seal()
    assert scene.report() == bytes([255])


def test_what_is_fetched_between_the_seeds_block_and_the_seal_came_late(policy_bundle: Bundle, lie: Bundle) -> None:
    scene = Scene(policy_bundle, lie, nobody_says)
    scene.chronicle.close()
    scene.newest_block = scene.chronicle.record().seed_block or 0
    scene.look()
    scene.look()
    scene.seal()
    assert scene.report() == bytes([255])


@pytest.mark.parametrize(("held_s", "score"), [(60.0, 100), (59.9, 255), (0.0, 255), (None, 255)])
def test_a_relay_tells_for_how_long_it_has_had_what_we_had_not(
    policy_bundle: Bundle, lie: Bundle, held_s: float | None, score: int
) -> None:
    scene = Scene(policy_bundle, lie, lambda root: held_s)
    scene.seal()
    assert scene.report() == bytes([score])


def test_an_honest_submission_that_comes_late_is_paid(policy_bundle: Bundle, trainer: HonestTrainer) -> None:
    scene = Scene(policy_bundle, trainer.write(trainer.parts()), nobody_says)
    scene.seal()
    assert scene.report() == bytes([100])


def test_it_is_decided_once(policy_bundle: Bundle, lie: Bundle) -> None:
    told = iter([60.0])
    scene = Scene(policy_bundle, lie, lambda root: next(told))
    scene.seal()
    assert scene.report() == scene.report() == bytes([100])


def test_evidence_says_that_everything_was_checked(policy_bundle: Bundle, lie: Bundle) -> None:
    scene = Scene(policy_bundle, lie, nobody_says)
    scene.seal()
    scene.look()
    judged = scene.queue.judgements(scene.chronicle.ledger, scene.chronicle.record(), give_up=False)
    assert judged is not None and judged[0].case.epoch_seed is None
