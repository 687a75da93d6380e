"""A copy of somebody's update is found whatever the draw says; the one that was copied from keeps its pay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import Address, Epoch, Seed, TaskId
from assay_verifier.checks.duplicates import check, closest, likeness, sketch
from assay_verifier.judging_queue import Judged
from assay_verifier.verdict import SCORE_FULL, SCORE_UNAVAILABLE
from tests.submissions import TASK_SEED, TRAINER, Draft
from tests.unit.verifier.chronicle import PARAMS, Chronicle
from tests.unit.verifier.fakes import ShardStore, judging_queue
from tests.unit.verifier.honest import Bundle, HonestTrainer

COPIER = Address(to_checksum_address("0x" + "b2" * 20))
SEED = Seed(b"\x09" * 32)
Update = dict[str, np.ndarray]


def rollouts(*tokens: int) -> Rollouts:
    return Rollouts(1, (Completion(0, 0, (1,), tokens, np.zeros(len(tokens), np.float32), "eos", 0.0, ()),))


def update(seed: int, size: int = 5_000) -> Update:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(size).astype(np.float32) for name in ("a", "b")}


def noisy(original: Update, share: float) -> Update:
    return {name: value + np.float32(share) * update(99)[name] for name, value in original.items()}


# ---- sketches


@given(share=st.floats(0, 2))
@settings(max_examples=20)
def test_likeness_is_the_cosine_of_the_updates(share: float) -> None:
    one, other = update(1), noisy(update(1), share)
    flat = [np.concatenate([value.astype(np.float64) for value in each.values()]) for each in (one, other)]
    cosine = float(flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1]))
    found = likeness(sketch("1/0/0", rollouts(1), one, SEED), sketch("1/0/1", rollouts(2), other, SEED))
    assert found == pytest.approx(cosine, abs=5 * (1 - cosine**2) / 32 + 1e-6)


def test_equal_rollouts_are_alike_whatever_the_updates_are() -> None:
    assert likeness(sketch("1/0/0", rollouts(1, 2), update(1), SEED), sketch("x", rollouts(1, 2), update(2), SEED)) == 1


def test_updates_of_zeros_resemble_nothing() -> None:
    zeros = {name: np.zeros_like(value) for name, value in update(1).items()}
    assert likeness(sketch("1/0/0", rollouts(1), zeros, SEED), sketch("1/0/1", rollouts(2), zeros, SEED)) == 0


def test_turned_update_is_no_copy() -> None:
    turned = {name: -value for name, value in update(1).items()}
    assert likeness(sketch("1/0/0", rollouts(1), update(1), SEED), sketch("1/0/1", rollouts(2), turned, SEED)) == 0


def test_submission_is_not_compared_with_itself() -> None:
    own = sketch("1/0/0", rollouts(1), update(1), SEED)
    assert closest(own, [own]) == (0.0, None)


def test_finding_names_the_closest_submission_and_never_decides() -> None:
    own = sketch("1/0/0", rollouts(1), update(1), SEED)
    others = [sketch("1/0/1", rollouts(2), update(2), SEED), sketch("1/0/2", rollouts(3), noisy(update(1), 0.1), SEED)]
    finding, resembles = check(own, others, 0.7)
    assert resembles and finding.reason is None and "submission 1/0/2" in finding.detail
    finding, resembles = check(own, others[:1], 0.7)
    assert not resembles and "repeats none of 1 other submissions" in finding.detail


# ---- in a queue of which nothing is drawn for a replay


class Scene:
    """Two trainers, one after the other, in an epoch none of whose submissions is drawn."""

    def __init__(self, trainer: HonestTrainer, policy_bundle: Bundle) -> None:
        self.trainer, self.shards = trainer, ShardStore()
        self.chronicle = Chronicle(self.shards.add(policy_bundle), replace(PARAMS, sampling_bps=0))
        self.queue = judging_queue(self.shards)

    def parts(self, who: Address, epoch: int = 0) -> Draft:
        previous = TASK_SEED if epoch == 0 else self.chronicle.record(epoch - 1).seed
        assert previous is not None
        self.trainer.seed = trainer_seed(previous, TaskId(1), Epoch(epoch), who)
        parts = self.trainer.parts()
        return replace(parts, header=replace(parts.header, trainer=who, epoch=Epoch(epoch)))

    def submit(self, parts: Draft) -> Bundle:
        bundle = self.trainer.write(parts)
        self.chronicle.submission(parts.header.trainer, self.shards.add(bundle), epoch=parts.header.epoch)
        return bundle

    def judged(self, epoch: int = 0) -> list[Judged]:
        self.chronicle.seal(epoch)
        while self.queue.judge_next(self.chronicle.ledger, self.chronicle.record(epoch)):
            pass
        found = self.queue.judgements(self.chronicle.ledger, self.chronicle.record(epoch), give_up=True)
        assert found is not None
        return found


@pytest.fixture
def scene(trainer: HonestTrainer, policy_bundle: Bundle) -> Scene:
    return Scene(trainer, policy_bundle)


def test_submissions_of_one_epoch_that_differ_are_left_to_the_draw(scene: Scene) -> None:
    for who in (TRAINER, COPIER):
        scene.submit(scene.parts(who))
    judged = scene.judged()
    assert [each.verdict.score for each in judged] == [SCORE_FULL, SCORE_FULL]
    checks = {finding.check for each in judged for finding in each.verdict.findings}
    assert "duplicates" in checks and "replay direction" not in checks


@pytest.mark.parametrize("copier_is_first", [False, True])
def test_copied_update_costs_the_copier_alone_even_where_nothing_is_drawn(scene: Scene, copier_is_first: bool) -> None:
    honest, copy = scene.parts(TRAINER), scene.parts(COPIER)
    copy = replace(copy, update={name: value + np.float32(1e-5) for name, value in honest.update.items()})
    for parts in (copy, honest) if copier_is_first else (honest, copy):
        scene.submit(parts)
    outcomes = {each.case.submission.trainer: each.verdict for each in scene.judged()}
    assert outcomes[TRAINER].score == SCORE_FULL
    assert (outcomes[COPIER].score, outcomes[COPIER].reason) == (255, Reason.REPLAY_MISMATCH)


def test_update_of_the_epoch_before_is_found_again(scene: Scene) -> None:
    first = scene.parts(TRAINER)
    scene.submit(first)
    assert scene.judged()[0].verdict.score == SCORE_FULL
    scene.submit(replace(scene.parts(TRAINER, epoch=1), update=first.update))
    verdict = scene.judged(1)[0].verdict
    assert (verdict.score, verdict.reason) == (255, Reason.REPLAY_MISMATCH)


def test_submission_that_nobody_can_read_harms_no_other(scene: Scene) -> None:
    def broken(folder: Path) -> None:
        (folder / "update/0000.safetensors").write_bytes(b"\x00" * 64)

    scene.submit(scene.parts(TRAINER))
    rubbish = scene.parts(COPIER)
    bundle = scene.trainer.write(rubbish, broken)
    scene.chronicle.submission(COPIER, scene.shards.add(bundle))
    assert [each.verdict.score for each in scene.judged()] == [SCORE_FULL, 0]


def test_submission_that_cannot_be_had_harms_no_other(scene: Scene) -> None:
    lost = scene.submit(scene.parts(COPIER))
    scene.submit(scene.parts(TRAINER))
    del scene.shards.bundles[lost.manifest.root]
    assert [each.verdict.score for each in scene.judged()] == [SCORE_UNAVAILABLE, SCORE_FULL]
