"""What is judged when, and what becomes of submissions that cannot be had, cannot be, or cannot be digested."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from assay_core.environments import Environment, make_environment
from assay_core.policy import load_policy
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.training.seeding import seed_of_nth
from assay_verifier.inbox import Inbox, JudgeContext
from assay_verifier.judging_queue import JudgingQueue, case_of
from assay_verifier.verdict import report_bytes
from tests.submissions import TASK_SEED, TRAINER
from tests.unit.verifier.chronicle import PARAMS, Chronicle
from tests.unit.verifier.fakes import ShardStore, judging_queue, punctual
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

OTHER = Address(to_checksum_address("0x" + "b2" * 20))


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    chronicle: Chronicle
    shards: ShardStore
    queue: JudgingQueue
    clock: Clock
    submission: Bundle

    def report(self, *, give_up: bool = False) -> bytes | None:
        judged = self.queue.judgements(self.chronicle.ledger, self.chronicle.record(), give_up=give_up)
        return None if judged is None else report_bytes([each.verdict for each in judged])

    def judge_all(self) -> int:
        count = 0
        while self.queue.judge_next(self.chronicle.ledger, self.chronicle.record()):
            count += 1
        return count


def build(trainer: HonestTrainer, policy_bundle: Bundle, sampling_bps: int) -> Scene:
    shards, clock = ShardStore(), Clock()
    chronicle = Chronicle(shards.add(policy_bundle), replace(PARAMS, sampling_bps=sampling_bps))
    submission = trainer.write(trainer.parts())
    chronicle.submission(TRAINER, shards.add(submission))
    return Scene(chronicle, shards, judging_queue(shards, clock=clock), clock, submission)


@pytest.fixture
def scene(trainer: HonestTrainer, policy_bundle: Bundle) -> Scene:
    return build(trainer, policy_bundle, 10_000)


def test_submission_that_is_checked_in_full_is_judged_before_the_seal(scene: Scene) -> None:
    assert scene.judge_all() == 1
    scene.chronicle.seal()
    assert scene.report() == bytes([100])
    judged = scene.queue.judgements(scene.chronicle.ledger, scene.chronicle.record(), give_up=False)
    assert judged is not None and judged[0].case.epoch_seed == scene.chronicle.record().seed


def test_submission_whose_checks_the_seed_chooses_waits_for_the_seal(
    trainer: HonestTrainer, policy_bundle: Bundle
) -> None:
    scene = build(trainer, policy_bundle, 5_000)
    assert scene.judge_all() == 0
    scene.chronicle.seal()
    assert scene.report() is None
    assert scene.judge_all() == 1
    assert scene.report() == bytes([100])


def test_unreachable_submission_is_asked_for_again_and_unpaid_only_when_time_runs_out(scene: Scene) -> None:
    scene.chronicle.seal()
    scene.shards.is_down = True
    assert scene.judge_all() == 1  # tried once, then not again for a while
    assert scene.report() is None
    scene.clock.now += 10
    assert scene.judge_all() == 1
    assert scene.report(give_up=True) == bytes([254])
    scene.shards.is_down = False
    scene.clock.now += 10
    scene.judge_all()
    assert scene.report(give_up=True) == bytes([100])


def test_bytes_that_come_after_the_cut_off_change_nothing(scene: Scene) -> None:
    scene.chronicle.seal()
    scene.shards.is_down = True
    scene.judge_all()
    scene.queue.close(scene.chronicle.ledger, scene.chronicle.record())
    scene.shards.is_down = False
    scene.clock.now += 10
    assert scene.judge_all() == 0
    assert scene.report() == bytes([254])


def test_a_submission_whose_bytes_are_here_by_the_cut_off_is_judged_after_it(
    trainer: HonestTrainer, policy_bundle: Bundle
) -> None:
    scene = build(trainer, policy_bundle, 5_000)
    scene.judge_all()  # fetched ahead
    scene.chronicle.seal()
    scene.queue.close(scene.chronicle.ledger, scene.chronicle.record())
    assert scene.report() is None
    assert scene.judge_all() == 1
    assert scene.report() == bytes([100])


def test_what_an_earlier_process_fetched_is_here_by_the_cut_off(scene: Scene) -> None:
    scene.chronicle.seal()
    inbox = Inbox(scene.shards, SPEC, is_cached=lambda root: root == scene.submission.manifest.root)
    context = JudgeContext(inbox, make_environment(SPEC.environment), load_policy)
    scene.queue = JudgingQueue(SPEC, inbox, context, punctual(), scene.clock)
    scene.queue.close(scene.chronicle.ledger, scene.chronicle.record())
    scene.judge_all()
    assert scene.report() == bytes([100])


def test_commitment_that_leads_to_an_impossible_bundle_is_malformed(
    scene: Scene,
) -> None:
    scene.shards.impossible.add(scene.submission.manifest.root)
    scene.chronicle.seal()
    scene.judge_all()
    judged = scene.queue.judgements(scene.chronicle.ledger, scene.chronicle.record(), give_up=False)
    assert judged is not None
    assert (judged[0].verdict.score, judged[0].verdict.reason) == (0, Reason.MALFORMED)


class Choking(JudgeContext):
    """Fails on the first submission that asks for a policy."""

    error: Exception | None = None

    def policy(self, root: Root) -> Policy:
        if (error := self.error) is not None:
            self.error = None
            raise error
        return super().policy(root)


class Unforeseen(Exception):
    """Neither of ours nor of Python's."""


@pytest.mark.parametrize("error", [RuntimeError("shape '[7]' is invalid"), Unforeseen("of some library")], ids=repr)
def test_submission_that_a_check_cannot_digest_keeps_nobody_from_attesting(scene: Scene, error: Exception) -> None:
    inbox = Inbox(scene.shards, SPEC)
    choking = Choking(inbox, make_environment(SPEC.environment), load_policy)
    choking.error = error
    scene.queue = JudgingQueue(SPEC, inbox, choking, punctual(), scene.clock)
    scene.chronicle.submission(OTHER, scene.submission.manifest.root)
    scene.judge_all()
    scene.chronicle.seal()
    assert scene.report() == bytes([0, 0])  # the second is a copy


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "no space left on device")], ids=repr)
def test_what_our_own_machine_lacks_is_not_held_against_a_submission(scene: Scene, error: Exception) -> None:
    inbox = Inbox(scene.shards, SPEC)
    choking = Choking(inbox, make_environment(SPEC.environment), load_policy)
    choking.error = error
    scene.queue = JudgingQueue(SPEC, inbox, choking, punctual(), scene.clock)
    scene.judge_all()
    scene.chronicle.seal()
    assert scene.report() is None
    scene.clock.now += 10
    scene.judge_all()
    assert scene.report() == bytes([100])


def test_forgotten_epoch_is_judged_again_when_asked(scene: Scene) -> None:
    scene.judge_all()
    scene.chronicle.seal()
    scene.queue.forget(scene.chronicle.record())
    assert scene.report() is None


def test_case_counts_only_policies_published_before_the_commitment(scene: Scene) -> None:
    scene.chronicle.seal()
    scene.chronicle.settle(bytes([100]))
    scene.chronicle.publish(Root(b"\x09" * 32))
    ledger, record = scene.chronicle.ledger, scene.chronicle.record()
    case = case_of(ledger, SPEC, record, record.submissions[0])
    assert case.newest_version == 0 and case.policy_root == ledger.policies[0].policy_root
    scene.chronicle.submission(TRAINER, Root(b"\x08" * 32), epoch=1, version=1)
    scene.chronicle.submission(TRAINER, Root(b"\x07" * 32), epoch=1, version=2)
    record = scene.chronicle.record(1)
    newer, unpublished = (case_of(ledger, SPEC, record, each) for each in record.submissions)
    assert newer.newest_version == 1 and newer.policy_root == Root(b"\x09" * 32)
    assert unpublished.policy_root is None
    assert newer.trainer_seed != case.trainer_seed


def test_several_submissions_of_one_trainer_have_seeds_of_their_own(scene: Scene) -> None:
    scene.chronicle.submission(OTHER, Root(b"\x08" * 32))
    scene.chronicle.submission(TRAINER, Root(b"\x09" * 32))
    record = scene.chronicle.record()
    first, other, second = (case_of(scene.chronicle.ledger, SPEC, record, each) for each in record.submissions)
    assert first.trainer_seed == trainer_seed(TASK_SEED, TaskId(1), Epoch(0), TRAINER)
    assert second.trainer_seed == seed_of_nth(first.trainer_seed, 1)
    assert len({first.trainer_seed, other.trainer_seed, second.trainer_seed}) == 3


def test_few_prefilled_completions_depend_on_the_seed(scene: Scene) -> None:
    record = scene.chronicle.record()
    case = case_of(scene.chronicle.ledger, SPEC, record, record.submissions[0])
    assert not case.depends_on_seed
    few = SPEC.model_copy(update={"checks": SPEC.checks.model_copy(update={"completions_checked": 3})})
    assert replace(case, spec=few).depends_on_seed


def test_context_keeps_a_few_policies_loaded(scene: Scene, policy_bundle: Bundle) -> None:
    loaded: list[Path] = []

    def load(directory: Path) -> Policy:
        loaded.append(directory)
        return load_policy(directory)

    context = JudgeContext(Inbox(scene.shards, SPEC), make_environment(SPEC.environment), load)
    roots = [scene.shards.add(policy_bundle)]
    for number in range(3):
        root = Root(bytes([number]) * 32)
        scene.shards.bundles[root] = policy_bundle.directory
        roots.append(root)
    environment: Environment = context.environment()
    assert environment is context.environment()
    first = context.policy(roots[0])
    assert context.policy(roots[0]) is first and len(loaded) == 1
