"""The ledger is a fold: the same events give the same state, and events that do not belong together are refused."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.chain.events import (
    AbsenceSlashed,
    AppealPaid,
    AttestationCommitted,
    AttestationRevealed,
    Bonded,
    ChallengeCommitted,
    ChallengeExpired,
    ChallengeRevealed,
    Claimed,
    DisputeDecided,
    EpochAbandoned,
    EpochAttested,
    EpochClosed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FeesClaimed,
    FraudSlashed,
    PaidPlantSlashed,
    PanelDrawn,
    PanelSummoned,
    PlantCommitted,
    PlantForfeited,
    PlantOpened,
    PlantRefunded,
    PolicyPublished,
    PolicySkipped,
    ScoreCorrected,
    ScoresSettled,
    SeatsTaken,
    SubmissionCommitted,
    TaskClosed,
    TaskFunded,
    TaskOpened,
    TaskRefunded,
    TrainerDelisted,
    TrainerEnlisted,
    VerdictSlashed,
    VerifierBondReleased,
    VerifierDelisted,
    VerifierEnlisted,
    VerifierSlashed,
    VoteCommitted,
    VoteRevealed,
)
from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.encoding import report_hash
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import (
    Address,
    ChallengeId,
    ChallengeState,
    DisputePhase,
    Epoch,
    PlantState,
    PolicyState,
    Role,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
)
from tests.unit.chain.places import PARAMS

TASK = TaskId(3)
TRAINER, CHEAT, VERIFIER, LATE_VERIFIER, INITIATOR, JUROR, WATCHER = (
    Address("0x" + f"{number:02x}" * 20) for number in range(1, 8)
)
TASK_SEED, EPOCH_SEED, PANEL_SEED, PLANT = b"t" * 32, b"e" * 32, b"d" * 32, b"l" * 32
FIRST, SECOND = Epoch(0), Epoch(1)
SUBMISSION, OTHER_SUBMISSION = SubmissionIndex(0), SubmissionIndex(1)


class Script:
    """Makes events, one block each."""

    def __init__(self) -> None:
        self._blocks: Iterator[int] = count(10)

    def __call__(self, what: type[Event], **values: Any) -> Event:
        if what not in (Bonded, SeatsTaken):
            values["task_id"] = TASK
        return what(block_number=next(self._blocks), log_index=0, tx_hash=b"x" * 32, **values)

    def opening(self) -> list[Event]:
        return [
            self(
                TaskOpened,
                initiator=INITIATOR,
                params=PARAMS,
                spec_hash=b"s" * 32,
                spec_uri="assay:0x73",
                policy_root=b"p" * 32,
                terms_hash=b"h" * 32,
                seed=TASK_SEED,
            ),
            self(TaskFunded, from_=INITIATOR, amount=500),
            self(EpochOpened, epoch=0, commit_by=100),
        ]

    def submission(self, epoch: int, index: int, trainer: Address, version: int = 0) -> Event:
        return self(
            SubmissionCommitted,
            epoch=epoch,
            trainer=trainer,
            index=index,
            kind=SubmissionKind.FULL,
            units=8,
            policy_version=version,
            manifest_root=bytes([index]) * 32,
        )

    def close(self, epoch: int, submissions: int = 2, seed_block: int = 50) -> Event:
        return self(EpochClosed, epoch=epoch, submissions=submissions, seed_block=seed_block)

    def seal(self, epoch: int, seed: bytes = EPOCH_SEED) -> Event:
        return self(EpochSealed, epoch=epoch, seed=seed, submissions=2, verifiers=1, weight=100, attest_by=200)

    def enlist(self, verifier: Address, weight: int, from_epoch: int) -> Event:
        return self(VerifierEnlisted, verifier=verifier, weight=weight, from_epoch=from_epoch)

    def delist(self, verifier: Address, from_epoch: int) -> Event:
        return self(VerifierDelisted, verifier=verifier, from_epoch=from_epoch)

    def slash(self, verifier: Address, weight: int, from_epoch: int) -> Event:
        return self(VerifierSlashed, verifier=verifier, amount=1, weight=weight, from_epoch=from_epoch)

    def reveal(self, verifier: Address, report: bytes) -> Event:
        values = {"weight": 100, "report": report, "evidence_root": b"v" * 32}
        return self(AttestationRevealed, epoch=0, verifier=verifier, **values)

    def settle(self, scores: bytes) -> list[Event]:
        """In two parts, as large epochs are."""
        half = len(scores) // 2
        paid = sum(0 < score <= 100 for score in scores)
        return [
            self(ScoresSettled, epoch=0, first=0, scores=scores[:half]),
            self(ScoresSettled, epoch=0, first=half, scores=scores[half:]),
            self(EpochSettled, epoch=0, paid=paid, challenge_by=400),
        ]

    def policy(self, epoch: int, version: int) -> Event:
        return self(PolicyPublished, epoch=epoch, version=version, policy_root=bytes([version]) * 32, uri="assay:0x")

    def settled(self) -> list[Event]:
        """A task whose first epoch is settled: one submission paid, one a fraud."""
        return [
            *self.opening(),
            self.enlist(VERIFIER, 100, 0),
            self.submission(0, 0, TRAINER),
            self.submission(0, 1, CHEAT),
            self.close(0),
            self.seal(0),
            self(EpochOpened, epoch=1, commit_by=300),
            self.reveal(VERIFIER, b"\x64\xff"),
            *self.settle(b"\x64\xff"),
        ]


def fold(events: list[Event]) -> TaskLedger:
    ledger = TaskLedger(TASK)
    for event in events:
        ledger.apply(event)
    return ledger


def test_a_whole_epoch_is_recorded() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script(TrainerEnlisted, trainer=TRAINER),
            script(TrainerEnlisted, trainer=CHEAT),
            script.enlist(VERIFIER, 100, 0),
            script(EpochOpened, epoch=0, commit_by=150),
            script.submission(0, 0, TRAINER),
            script.submission(0, 1, CHEAT),
            script.submission(0, 2, TRAINER),
            script.close(0, submissions=3),
            script.seal(0),
            script(EpochOpened, epoch=1, commit_by=300),
            script(
                AttestationCommitted, epoch=0, verifier=VERIFIER, commitment=b"c" * 32, sealed_report=b"only for itself"
            ),
            script.reveal(VERIFIER, b"\x64\xff\x00"),
            script(EpochAttested, epoch=0, weight=100),
            *script.settle(b"\x64\xff\x00"),
            script.policy(0, 1),
            script(EpochFinal, epoch=0),
            script(Claimed, epoch=0, trainer=TRAINER, index=0, amount=80),
            script(FraudSlashed, epoch=0, trainer=CHEAT, index=1, amount=50, reporter=TRAINER, reporter_amount=5),
            script(TrainerDelisted, trainer=CHEAT),
            script(FeesClaimed, epoch=0, verifier=VERIFIER, amount=3),
            script(AbsenceSlashed, epoch=0, verifier=LATE_VERIFIER, amount=2),
            script(TaskClosed),
            script(EpochAbandoned, epoch=1),
            script(TaskRefunded, initiator=INITIATOR, amount=400),
        ]
    )
    assert ledger.task.params == PARAMS and ledger.task.opened_at_block == 10
    assert ledger.task.terms_hash == b"h" * 32
    assert (ledger.task.funded_wei, ledger.task.refunded_wei, ledger.task.is_closed) == (500, 400, True)
    assert ledger.trainers == {TRAINER: 0} and ledger.verifiers == {VERIFIER: 100}
    first = ledger.epochs[FIRST]
    assert (first.commit_by, first.seed_block, first.attest_by, first.challenge_by) == (150, 50, 200, 400)
    assert first.is_closed and first.is_sealed and first.is_attested and first.is_settled and first.is_over
    assert (first.weights, first.members) == ({VERIFIER: 100}, {VERIFIER})
    assert first.submissions_of(CHEAT) == [first.submissions[1]] == [ledger.submission(FIRST, OTHER_SUBMISSION)]
    assert (
        first.submissions_of(TRAINER) == [first.submissions[0], first.submissions[2]]
        and first.submissions_of(VERIFIER) == []
    )
    assert first.commitments[VERIFIER].sealed_report == b"only for itself"
    assert first.reveals[VERIFIER].report_hash == report_hash(b"\x64\xff\x00")
    assert [first.score_of(SubmissionIndex(index)) for index in range(4)] == [100, 255, 0, 0]
    assert (first.claims, list(first.frauds), first.fees, first.absences) == (
        {0: 80},
        [1],
        {VERIFIER: 3},
        {LATE_VERIFIER: 2},
    )
    assert (first.policy_state, first.paid) == (PolicyState.PUBLISHED, 1)
    assert ledger.epochs[SECOND].score_of(SUBMISSION) is None
    assert ledger.epochs[SECOND].is_abandoned and ledger.open_epoch is None


def test_staleness_counts_from_where_a_submission_was_committed() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script.submission(0, 0, TRAINER, version=0),
            script(EpochOpened, epoch=1, commit_by=1),
            script.seal(0),
            script.submission(1, 0, TRAINER, version=0),
            script.policy(0, 1),
            script.submission(1, 1, CHEAT, version=1),
            script.submission(1, 2, VERIFIER, version=0),
            script.submission(1, 3, INITIATOR, version=2),
            script.policy(1, 2),
        ]
    )
    second = ledger.epochs[SECOND].submissions
    assert [ledger.staleness_of(submission) for submission in second] == [0, 0, 1, -1]
    assert ledger.newest_policy().version == 2
    assert ledger.newest_policy(before=ledger.policies[1].position).version == 0
    assert [policy.epoch for policy in ledger.policies] == [None, 0, 1]
    with pytest.raises(Malformed, match="had no policy"):
        ledger.newest_policy(before=(1, 0))


def test_the_seed_of_an_epoch_is_that_of_the_one_before() -> None:
    script = Script()
    ledger = fold([*script.opening(), script.submission(0, 0, TRAINER)])
    assert ledger.previous_seed(FIRST) == TASK_SEED
    with pytest.raises(LookupError, match="epoch 0 of task 3 is not sealed"):
        ledger.previous_seed(SECOND)
    assert ledger.open_epoch is ledger.epochs[FIRST] and not ledger.epochs[FIRST].is_closed
    ledger.apply(script.close(0))
    assert ledger.open_epoch is ledger.epochs[FIRST] and ledger.epochs[FIRST].is_closed
    ledger.apply(script.seal(0))
    assert ledger.previous_seed(SECOND) == EPOCH_SEED
    assert ledger.open_epoch is None
    with pytest.raises(LookupError):
        ledger.previous_seed(Epoch(2))


def test_a_closed_task_still_has_its_open_epoch() -> None:
    """It takes submissions for one window more."""
    script = Script()
    ledger = fold([*script.opening(), script(TaskClosed), script(EpochOpened, epoch=0, commit_by=300)])
    assert ledger.open_epoch is ledger.epochs[FIRST] and ledger.epochs[FIRST].commit_by == 300


def test_a_forgotten_block_of_a_seed_is_replaced() -> None:
    script = Script()
    ledger = fold(
        [*script.opening(), script.submission(0, 0, TRAINER), script.close(0), script.close(0, seed_block=400)]
    )
    assert ledger.epochs[FIRST].seed_block == 400


# ------------------------------------------------------------------------------------------------------- electorates


def test_who_judges_follows_from_epochs_and_not_from_blocks() -> None:
    """Somebody who enlists in the block of the seal, or before it but for the next epoch, is no member."""
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script.enlist(VERIFIER, 100, 0),
            script.enlist(LATE_VERIFIER, 70, 1),  # the open epoch was closed already
            script.enlist(CHEAT, 50, 0),
            script.delist(CHEAT, 1),  # it has submissions: who leaves still judges it
            script.seal(0),
            script(EpochOpened, epoch=1, commit_by=300),
        ]
    )
    assert ledger.epochs[FIRST].weights == {VERIFIER: 100, CHEAT: 50}
    assert ledger.electorate(SECOND) == {VERIFIER: 100, LATE_VERIFIER: 70}
    assert ledger.verifiers == {VERIFIER: 100, LATE_VERIFIER: 70}


def test_a_sealed_epoch_keeps_its_weights() -> None:
    script = Script()
    ledger = fold([*script.opening(), script.enlist(VERIFIER, 100, 0), script.seal(0)])
    before = dict(ledger.epochs[FIRST].weights)
    for event in (script.slash(VERIFIER, 60, 1), script.delist(VERIFIER, 1)):
        ledger.apply(event)
    assert ledger.epochs[FIRST].weights == before == {VERIFIER: 100}
    assert ledger.weight_at(FIRST, VERIFIER) == 100 and ledger.weight_at(SECOND, VERIFIER) == 0
    assert ledger.verifiers == {}


def test_a_slash_of_somebody_who_has_left_changes_no_weight() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script.enlist(VERIFIER, 100, 0),
            script.delist(VERIFIER, 1),
            script.slash(VERIFIER, 0, 1),
            script(VerifierBondReleased, verifier=VERIFIER, amount=99),
        ]
    )
    assert ledger.electorate(FIRST) == {VERIFIER: 100} and ledger.electorate(SECOND) == {}
    ledger.apply(script.enlist(VERIFIER, 40, 5))
    assert [ledger.weight_at(Epoch(epoch), VERIFIER) for epoch in (0, 1, 4, 5, 9)] == [100, 0, 0, 40, 40]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), max_size=12))
def test_weights_are_the_checkpoints_that_the_contracts_keep(steps: list[tuple[int, int]]) -> None:
    """Beside a plain table: from an epoch on, at the earliest from where it last changed."""
    script, table, epoch, last = Script(), [0] * 40, 0, 0
    events = script.opening()
    for ahead, weight in steps:
        epoch += ahead
        last = max(last, epoch)
        table[last:] = [weight] * len(table[last:])
        events.append(script.enlist(VERIFIER, weight, epoch))
    ledger = fold(events)
    assert [ledger.weight_at(Epoch(each), VERIFIER) for each in range(40)] == table


# ------------------------------------------------------------------------------------------------- scores and appeals


def test_scores_are_told_once_all_are_there() -> None:
    script = Script()
    *parts, last = script.settled()
    ledger = fold(parts)
    first = ledger.epochs[FIRST]
    assert (first.settled, first.scores, first.score_of(SUBMISSION)) == (b"\x64\xff", None, None)
    ledger.apply(last)
    assert first.scores == b"\x64\xff" and first.score_of(SUBMISSION) == 100


def test_reports_are_in_the_order_that_settling_takes_them() -> None:
    script = Script()
    reports = [bytes([score, 0]) for score in range(20)]
    verifiers = [Address(f"0x{number:040x}") for number in range(40)]
    opening = script.opening()
    ledger = fold([*opening, *(script.reveal(who, reports[i % 20]) for i, who in enumerate(verifiers))])
    assert ledger.epochs[FIRST].reports() == sorted(reports, key=report_hash)


def test_a_dispute_is_recorded_from_commitment_to_payment() -> None:
    script = Script()
    at: dict[str, Any] = {"epoch": 0, "index": 1}
    vote = {"score": 70, "beyond": False, "seats": 2}
    decision = {"score": 70, "phase": DisputePhase.OVERTURNED, "is_against_verifiers": True}
    ledger = fold(
        [
            *script.settled(),
            script(ChallengeCommitted, epoch=0, id=0, challenger=WATCHER, commitment=b"1" * 32),
            script(ChallengeCommitted, epoch=0, id=1, challenger=TRAINER, commitment=b"2" * 32),
            script(ChallengeCommitted, epoch=0, id=2, challenger=WATCHER, commitment=b"3" * 32),
            script(ChallengeRevealed, id=2, challenger=WATCHER, standing=255, score=70, **at),
            script(ChallengeRevealed, id=1, challenger=TRAINER, standing=255, score=0, **at),
            script(ChallengeExpired, epoch=0, id=0, burnt=9),
            script(PanelSummoned, seed_block=77, **at),
            script(PanelDrawn, seed=PANEL_SEED, jurors=(JUROR, VERIFIER, JUROR), commit_by=500, **at),
            script(VoteCommitted, juror=JUROR, commitment=b"w" * 32, **at),
            script(VoteRevealed, juror=JUROR, **vote, **at),
        ]
    )
    first = ledger.epochs[FIRST]
    dispute = first.disputes[OTHER_SUBMISSION]
    assert (dispute.challenges, dispute.challengers) == ([2, 1], {WATCHER, TRAINER})
    assert (dispute.seed_block, dispute.seed, dispute.seats) == (77, PANEL_SEED, {JUROR: 2, VERIFIER: 1})
    assert (dispute.panel_size, dispute.commitments, dispute.votes[JUROR].seats) == (3, {JUROR: b"w" * 32}, 2)
    assert first.open_disputes == [dispute] and first.unrevealed_challenges == []
    states = [first.challenges[ChallengeId(number)].state for number in range(3)]
    assert states == [ChallengeState.EXPIRED, ChallengeState.REVEALED, ChallengeState.REVEALED]
    assert first.score_of(OTHER_SUBMISSION) == 255  # stands until the panel has decided

    for event in (
        script(DisputeDecided, **decision, **at),
        script(ScoreCorrected, score=70, **at),
        script(VerdictSlashed, verifier=VERIFIER, amount=50, to_finder=25, **at),
        script(AppealPaid, to=WATCHER, amount=30, **at),
        script(AppealPaid, to=WATCHER, amount=12, **at),
    ):
        ledger.apply(event)
    assert (dispute.outcome, dispute.score, dispute.is_against_verifiers) == (DisputePhase.OVERTURNED, 70, True)
    assert first.open_disputes == [] and dispute.verdict_slashes == {VERIFIER: 50}
    assert (first.score_of(OTHER_SUBMISSION), first.settled_score_of(OTHER_SUBMISSION)) == (70, 255)
    assert first.appeals_paid == {(1, WATCHER): 42}


def test_a_challenge_that_is_not_revealed_is_known_to_be_there() -> None:
    script = Script()
    settled = script.settled()
    committed = script(ChallengeCommitted, epoch=0, id=0, challenger=WATCHER, commitment=b"1" * 32)
    first = fold([*settled, committed]).epochs[FIRST]
    assert [each.challenger for each in first.unrevealed_challenges] == [WATCHER] and first.disputes == {}


# ------------------------------------------------------------------------------------------------ policies and plants


def test_the_next_policy_is_that_of_the_first_epoch_that_has_none() -> None:
    script = Script()
    ledger = fold([*script.opening(), *(script(EpochOpened, epoch=epoch, commit_by=1) for epoch in (1, 2, 3))])
    seen = [ledger.next_policy_epoch]
    for event in (
        script(PolicySkipped, epoch=0, state=PolicyState.NOT_DUE),
        script.policy(1, 1),
        script(PolicySkipped, epoch=2, state=PolicyState.SKIPPED),
        script.policy(3, 2),
    ):
        ledger.apply(event)
        seen.append(ledger.next_policy_epoch)
    assert seen == [0, 1, 2, 3, 4]
    assert ledger.epochs[Epoch(2)].policy_state is PolicyState.SKIPPED and ledger.epochs[Epoch(2)].policy is None


def test_a_plant_is_of_the_epoch_that_was_open_when_it_was_committed() -> None:
    script = Script()

    def plant(commitment: bytes) -> Event:
        return script(PlantCommitted, commitment=commitment, planter=WATCHER, deposit=12)

    ledger = fold(
        [
            *script.opening(),
            plant(PLANT),
            script.submission(0, 0, TRAINER),
            script.submission(0, 1, CHEAT),
            script.close(0),
            plant(b"after"),
            script.seal(0),
            plant(b"next"),
            script(PlantOpened, epoch=0, index=1, commitment=PLANT, is_in_time=True),
            script(PaidPlantSlashed, epoch=0, index=1, verifier=VERIFIER, amount=50, to_planter=25),
            script(PlantRefunded, commitment=b"after"),
            script(PlantForfeited, commitment=b"next", burnt=12),
        ]
    )
    found = {name: (each.epoch, each.state, each.index) for name, each in ledger.plants.items()}
    assert found == {
        PLANT: (0, PlantState.OPENED, 1),
        b"after": (1, PlantState.OPENED, None),
        b"next": (1, PlantState.FORFEITED, None),
    }
    assert ledger.epochs[FIRST].plants == {1: PLANT} and ledger.epochs[FIRST].paid_plants == {(1, VERIFIER): 50}


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_void_epoch_is_over_and_has_no_scores() -> None:
    script = Script()
    ledger = fold([*script.opening(), script.submission(0, 0, TRAINER), script.seal(0), script(EpochVoid, epoch=0)])
    record = ledger.epochs[FIRST]
    assert record.is_void and record.is_over and not record.is_final and record.score_of(SUBMISSION) is None


def test_an_unknown_submission_is_a_lookup_error() -> None:
    ledger = fold([*Script().opening()])
    for epoch, index in ((0, 0), (5, 0), (0, -1)):
        with pytest.raises(LookupError, match="no submission 3/"):
            ledger.submission(Epoch(epoch), SubmissionIndex(index))


@pytest.mark.parametrize(
    ("what", "values"),
    [
        pytest.param(EpochOpened, {"epoch": 5, "commit_by": 1}, id="skipped epoch"),
        pytest.param(ScoresSettled, {"epoch": 0, "first": 3, "scores": b"\0"}, id="skipped scores"),
        pytest.param(EpochFinal, {"epoch": 4}, id="unknown epoch"),
        pytest.param(
            ChallengeCommitted,
            {"epoch": 0, "id": 1, "challenger": WATCHER, "commitment": b""},
            id="skipped challenge",
        ),
        pytest.param(ChallengeExpired, {"epoch": 0, "id": 0, "burnt": 1}, id="unknown challenge"),
        pytest.param(PanelSummoned, {"epoch": 0, "index": 0, "seed_block": 1}, id="unknown dispute"),
        pytest.param(
            PlantOpened, {"epoch": 0, "index": 0, "commitment": PLANT, "is_in_time": True}, id="unknown plant"
        ),
        pytest.param(Bonded, {"operator": TRAINER, "role": Role.TRAINER, "amount": 1}, id="not a task's"),
        pytest.param(SeatsTaken, {"class_": b"c" * 32, "juror": JUROR, "seats": (1,)}, id="a pool's"),
    ],
)
def test_events_that_do_not_belong_together_are_refused(what: type[Event], values: dict[str, Any]) -> None:
    script = Script()
    ledger = fold(script.settled())
    with pytest.raises(Malformed):
        ledger.apply(script(what, **values))


def test_an_event_is_applied_once_and_after_its_tasks_opening() -> None:
    script = Script()
    opening = script.opening()
    ledger = fold(opening)
    with pytest.raises(Malformed, match="comes after"):
        ledger.apply(opening[-1])
    with pytest.raises(Malformed, match="after 0 others"):
        ledger.apply(script.submission(0, 1, TRAINER))
    with pytest.raises(Malformed, match="never opened"):
        TaskLedger(TASK).apply(script(TaskClosed))


def test_an_unknown_task_has_no_record() -> None:
    ledger = TaskLedger(TASK)
    assert not ledger.is_known
    with pytest.raises(Malformed, match="never opened"):
        _ = ledger.task
