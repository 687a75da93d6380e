"""How a juror votes: what was drawn comes first, and the same inputs give the same verdict as in an attestation."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from assay_core.bundle.evidence import compared_norm
from assay_core.bundle.trajectory import Rollouts
from assay_core.chain.contracts import AppealsContract
from assay_core.protocol.encoding import canonical_json, must_replay, vote_commitment
from assay_core.protocol.errors import Reason, Unavailable
from assay_core.protocol.types import Address, DisputePhase, Epoch, Seed, SubmissionIndex, TaskId
from assay_core.training.seeding import seed_of_nth
from assay_verifier.appeals import Appeals
from assay_verifier.attester import Attester
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.judge import compare_again, compare_with_peers
from assay_verifier.judging_queue import Judged, JudgingQueue
from assay_verifier.models import AppealRow
from assay_verifier.recorder import Recorder
from assay_verifier.verdict import Verdict, conclude, failed, passed
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import CONTRACT, PARAMS, Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, judging_queue, node_of
from tests.unit.verifier.honest import Bundle, HonestTrainer

VERIFIER, JUROR, OTHER = (Address(f"0x{n:040d}") for n in (1, 21, 22))
FRAUD, UNAVAILABLE, FULL = 255, 254, 100
RATIO = 10.0


class Panel(AppealsContract):
    """Every dispute is in one phase."""

    phase = DisputePhase.APPEAL_COMMIT

    def phase_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> DisputePhase:
        return self.phase


@dataclass
class Scene:
    """A verifier that attests, and a juror that did not, each with its own queue."""

    chronicle: Chronicle
    shards: ShardStore
    sessions: Sessions
    sent: Sent
    panel: Panel
    queue: JudgingQueue
    appeals: Appeals
    attester: Attester

    def judge(self) -> list[Judged]:
        while self.queue.judge_next(self.chronicle.ledger, self.chronicle.record()):
            pass
        judged = self.queue.judgements(self.chronicle.ledger, self.chronicle.record(), give_up=True)
        assert judged is not None
        return judged

    def attest(self) -> bytes:
        return self.attester.write(self.chronicle.record(), self.judge()).report

    def call(self, standing: bytes, index: int = 0) -> None:
        """A panel of two is called for the dispute about one submission."""
        self.chronicle.settle(standing)
        self.chronicle.dispute(index, 1)
        self.chronicle.draw(index, JUROR, OTHER, JUROR)

    def advance(self, now: int = 0) -> bool:
        return self.appeals.advance(self.chronicle.ledger, self.chronicle.record(), now)

    def vote(self, standing: int, index: int = 0, now: int = 0) -> tuple[int, bool]:
        """Score, and whether it is beyond the draw."""
        self.call(bytes([standing]) * len(self.chronicle.record().submissions), index)
        assert self.advance(now)
        return self.written(index)

    def written(self, index: int = 0) -> tuple[int, bool]:
        with self.sessions() as session:
            row = session.get_one(AppealRow, (1, 0, index))
        return row.score, row.beyond


def spot_checking(trainer: HonestTrainer) -> HonestTrainer:
    """One completion of a submission is prefilled."""
    checks = trainer.spec.checks.model_copy(update={"completions_checked": 1})
    return replace(trainer, spec=trainer.spec.model_copy(update={"checks": checks}))


def sealed(trainer: HonestTrainer, policy: Bundle, submissions: list[Bundle], folder: Path, sampling_bps: int) -> Scene:
    shards, sent, status = ShardStore(), Sent(), Notes()
    chronicle = Chronicle(shards.add(policy), replace(PARAMS, sampling_bps=sampling_bps))
    chronicle.verifier(VERIFIER)
    for submission in submissions:
        chronicle.submission(TRAINER, shards.add(submission))
    chronicle.seal()
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    sessions = session_factory(engine)
    Recorder(sessions, trainer.spec).record(chronicle.ledger, {})
    panel = Panel(Web3(), CONTRACT)
    key = Account.from_key(b"\x01" * 32)
    verifier, juror = (node_of(who, key, sent, shards, sessions, status) for who in (VERIFIER, JUROR))
    attester = attester_of(verifier, folder / "evidence")
    appeals = Appeals(juror, panel, judging_queue(shards, trainer.spec))
    return Scene(chronicle, shards, sessions, sent, panel, judging_queue(shards, trainer.spec), appeals, attester)


def with_a_lie_that_was_not_drawn(trainer: HonestTrainer, seed: Seed) -> Bundle:
    """One completion has another's proofs; its update is an honest one, so that a replay agrees."""
    rows = list(trainer.roll_out().completions)
    bundle = trainer.write(trainer.parts())
    (drawn,) = replace(trainer.case(bundle), epoch_seed=seed).completions_checked(len(rows))
    lie = next(
        position
        for position, row in enumerate(rows)
        if position != drawn and len(row.proofs) == len(rows[drawn].proofs) and row.proofs != rows[drawn].proofs
    )
    rows[lie] = replace(rows[lie], proofs=rows[drawn].proofs)
    return trainer.write(trainer.parts(Rollouts(trainer.spec.rollout.group_size, tuple(rows))))


def lying_scene(trainer: HonestTrainer, policy: Bundle, folder: Path, sampling_bps: int) -> Scene:
    """The seed of a chronicle does not depend on the submission, so that the lie can be put beside what it draws."""
    trainer = spot_checking(trainer)
    honest = trainer.write(trainer.parts())
    seed = sealed(trainer, policy, [honest], folder, sampling_bps).chronicle.record().seed
    assert seed is not None and must_replay(seed, SubmissionIndex(0), sampling_bps) == (sampling_bps == 10_000)
    return sealed(trainer, policy, [with_a_lie_that_was_not_drawn(trainer, seed)], folder, sampling_bps)


@pytest.mark.parametrize("sampling_bps", [1, 10_000])
def test_what_only_a_look_beyond_the_draw_shows_is_told_and_blames_nobody(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path, sampling_bps: int
) -> None:
    """Else a cheat could have itself challenged, and live on those who checked what was drawn."""
    scene = lying_scene(trainer, policy_bundle, tmp_path, sampling_bps)
    assert scene.attest() == bytes([FULL])
    assert scene.vote(standing=FULL) == (FRAUD, True)


def test_what_was_drawn_decides_where_it_contradicts_what_stands(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = lying_scene(trainer, policy_bundle, tmp_path, 1)
    assert scene.attest() == bytes([FULL])
    assert scene.vote(standing=50) == (FULL, False)


def test_a_fraud_that_what_was_drawn_shows_is_laid_to_those_who_paid_it(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    turned = trainer.parts()
    turned = replace(turned, update={name: -value for name, value in turned.update.items()})
    scene = sealed(trainer, policy_bundle, [trainer.write(turned)], tmp_path, 10_000)
    assert scene.vote(standing=FULL) == (FRAUD, False)


def test_honest_submission_stands_in_full(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 1)
    assert scene.vote(standing=FULL) == (FULL, False)


def test_a_submission_is_judged_as_it_was_drawn_and_in_full(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = lying_scene(trainer, policy_bundle, tmp_path, 10_000)
    ledger, record = scene.chronicle.ledger, scene.chronicle.record()
    (attested,) = scene.judge()
    as_drawn = scene.queue.judge_as_drawn(ledger, record, SubmissionIndex(0), {})
    assert canonical_json(as_drawn.json()) == canonical_json(attested.verdict.json())
    in_full = scene.queue.judge_in_full(ledger, record, SubmissionIndex(0), {})
    assert (in_full.score, in_full.reason) == (FRAUD, Reason.PROOF_MISMATCH)


def test_whether_bytes_were_there_in_time_nobody_can_tell_afterwards(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 10_000)
    scene.shards.is_down = True
    assert scene.attest() == bytes([UNAVAILABLE])
    scene.shards.is_down = False
    assert scene.vote(standing=UNAVAILABLE) == (UNAVAILABLE, False)


def test_what_is_not_to_be_had_is_waited_for_and_then_said_to_be_so(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 10_000)
    scene.shards.is_down = True
    with pytest.raises(Unavailable):
        scene.vote(standing=FULL)
    assert scene.advance(now=2_999)
    assert scene.written() == (UNAVAILABLE, False)


# ---- the ballot


def test_a_juror_commits_reveals_and_claims_once(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 10_000)
    assert scene.vote(standing=FULL) == (FULL, False)
    (commit,) = scene.sent.calls
    commitment = commit.arguments["commitment"]
    assert commit.function == "commitVote" and isinstance(commitment, bytes)
    scene.chronicle.commit_vote(JUROR, commitment)
    assert not scene.advance()
    scene.panel.phase = DisputePhase.APPEAL_REVEAL
    assert scene.advance()
    reveal, seed = scene.sent.calls[-1], scene.chronicle.record().disputes[SubmissionIndex(0)].seed
    salt = reveal.arguments["salt"]
    assert reveal.function == "revealVote" and seed is not None and isinstance(salt, bytes)
    assert commitment == vote_commitment(seed, JUROR, FULL, False, salt)
    scene.chronicle.vote(JUROR, FULL)
    assert not scene.advance()
    scene.chronicle.decide(0, FULL, DisputePhase.UPHELD)
    assert scene.advance()
    scene.advance()
    assert [call.function for call in scene.sent.calls] == ["commitVote", "revealVote", "claimVote"]


def test_a_crash_keeps_the_vote(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 10_000)
    scene.sent.refusal = "WrongDispute"
    scene.call(bytes([FULL]))
    assert not scene.advance()
    scene.sent.refusal = None
    scene.shards.is_down = True  # what is written need not be judged again
    assert scene.advance()
    assert scene.written() == (FULL, False)


def test_who_is_not_drawn_votes_on_nothing(trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path) -> None:
    scene = sealed(trainer, policy_bundle, [trainer.write(trainer.parts())], tmp_path, 10_000)
    scene.chronicle.settle(bytes([FULL]))
    scene.chronicle.dispute(0, FRAUD)
    scene.chronicle.draw(0, OTHER)
    assert not scene.advance() and not scene.sent.calls


# ---- the others of the epoch


def verdict(norm: float, reason: Reason | None) -> Verdict:
    if reason is None:
        return conclude([passed("bytes", 0, 0, "fine")], norm)
    return conclude([failed("update norm", reason, 2, 1, "not fine")], norm)


NORM = st.one_of(st.sampled_from((0.0, 1e-6, 1.0, 9.99, 10.0, 50.0)), st.floats(0, 1e6))
VERDICTS = st.lists(
    st.builds(verdict, NORM, st.sampled_from((None, None, None, Reason.BAD_UPDATE, Reason.WRONG_REWARD))), max_size=9
)


@given(alone=VERDICTS)
def test_the_same_inputs_give_the_same_verdict_in_attestation_and_appeal(alone: list[Verdict]) -> None:
    """The norms of those that failed for their size alone count, as they did when the epoch was attested."""
    attested = compare_with_peers(alone, RATIO)
    evidence = {SubmissionIndex(index): compared_norm(each.json()) for index, each in enumerate(attested)}
    norms = {index: norm for index, norm in evidence.items() if norm is not None}
    assert [compare_again(each, SubmissionIndex(index), norms, RATIO) for index, each in enumerate(alone)] == attested


def scaled(trainer: HonestTrainer, number: int, scale: float) -> Bundle:
    """The trainer's submission of that number, of an update that is so many times too large."""
    seed = seed_of_nth(trainer.seed, number)
    author = replace(trainer, seed=seed, folder=trainer.folder / f"{number}")
    parts = author.parts()
    return author.write(replace(parts, update={name: value * scale for name, value in parts.update.items()}))


def test_a_juror_compares_an_update_with_those_that_the_attestation_knew(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    """It did not judge the others: it reads as much of them as tells whose updates counted."""
    submissions = [scaled(trainer, number, scale) for number, scale in enumerate((1.0, 1e-3, 1e-3, 1e-3))]
    scene = sealed(trainer, policy_bundle, submissions, tmp_path, 0)
    judged = scene.judge()
    assert [each.verdict.score for each in judged] == [0, FULL, FULL, FULL]  # the first is far larger than the others
    attested = {each.case.submission.index: compared_norm(each.verdict.json()) for each in judged}
    scene.chronicle.settle(bytes(each.verdict.score for each in judged))
    assert scene.appeals._queue.norms(scene.chronicle.ledger, scene.chronicle.record()) == attested  # pyright: ignore[reportPrivateUsage]


def test_of_frauds_and_of_what_was_not_to_be_had_no_update_counts(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    submissions = [scaled(trainer, number, 1.0) for number in range(3)]
    scene = sealed(trainer, policy_bundle, submissions, tmp_path, 0)
    scene.chronicle.settle(bytes([FULL, FRAUD, UNAVAILABLE]))
    norms = scene.queue.norms(scene.chronicle.ledger, scene.chronicle.record())
    assert norms.keys() == {0}
