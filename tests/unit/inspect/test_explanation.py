"""What became of a submission, from the ledger and what verifiers say about it; and earnings, from the ledger alone."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from assay_core.chain.events import (
    AbsenceSlashed,
    AppealPaid,
    AttestationCommitted,
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeRevealed,
    Claimed,
    DisputeDecided,
    EpochAttested,
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
    PlantOpened,
    PolicyPublished,
    PolicySkipped,
    ScoreCorrected,
    ScoresSettled,
    SubmissionCommitted,
    TaskOpened,
    VerdictSlashed,
    VerifierEnlisted,
    VoteCommitted,
    VoteRevealed,
)
from assay_core.chain.ledger import TaskLedger
from assay_core.inspect.earnings import fees_of, ready_to_finalise, submissions_of
from assay_core.inspect.epochs import epoch_json, phase_words
from assay_core.inspect.evidence import FindingView, Statement, VerdictView
from assay_core.inspect.explanation import Explanation, explain, to_json, to_lines
from assay_core.protocol.amounts import Money
from assay_core.protocol.types import (
    PANEL_SEATS,
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    Address,
    DisputePhase,
    Epoch,
    KindTerms,
    PolicyState,
    Root,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    kinds_of,
)
from assay_protocol.devnet.demo.observe import phase_name
from tests.unit.economics.terms import TERMS

TASK, EPOCH = TaskId(1), Epoch(0)
WORKER, CHEAT, JUDGE, LAZY_JUDGE, CHALLENGER, JUROR, LAZY_JUROR = (
    Address("0x" + f"{number:02x}" * 20) for number in range(1, 8)
)
MONEY = Money("ASSAY", 0)
PARAMS = replace(
    TERMS,
    kinds=kinds_of({SubmissionKind.FULL: KindTerms(10, 10_000), SubmissionKind.LABELS: KindTerms(1, 10_000)}),
    fraud_slash=400,
    verifier_fee=90,
    max_epoch_units=TERMS.max_submission_units,  # one submission that is paid has the whole fee
    sampling_bps=10_000,
)
PASSED = FindingView("bytes", 0.0, 0.0, "well-formed", None)
FAILED = FindingView("replay direction", 0.93, 0.01, "points away from our replay", "replay_mismatch")


Happening = tuple[type[Event], dict[str, Any]]


def committed(index: int, trainer: Address, kind: SubmissionKind = SubmissionKind.FULL) -> Happening:
    submission = {"kind": kind, "units": 8, "policy_version": 0, "manifest_root": bytes([index]) * 32}
    return SubmissionCommitted, {"epoch": 0, "trainer": trainer, "index": index, **submission}


def ledger(*events: Happening) -> TaskLedger:
    """A task with one epoch, two verifiers and two submissions, one of them a cheat's, and what follows."""
    opened: dict[str, Any] = {
        "initiator": JUDGE,
        "params": PARAMS,
        "spec_hash": b"s" * 32,
        "spec_uri": "",
        "policy_root": b"p" * 32,
        "terms_hash": b"h" * 32,
        "seed": b"t" * 32,
    }
    made = TaskLedger(TASK)
    block = count(10)
    start: list[Happening] = [
        (TaskOpened, opened),
        (EpochOpened, {"epoch": 0, "commit_by": 100}),
        (VerifierEnlisted, {"verifier": JUDGE, "weight": 6, "from_epoch": 0}),
        (VerifierEnlisted, {"verifier": LAZY_JUDGE, "weight": 3, "from_epoch": 0}),
        committed(0, WORKER),
        committed(1, CHEAT),
    ]
    for kind, values in (*start, *events):
        where = {"task_id": TASK, "block_number": next(block), "log_index": 0, "tx_hash": b"x" * 32}
        made.apply(kind(**where, **values))
    return made


def settled(*scores: int) -> tuple[Happening, ...]:
    paid = sum(0 < score <= 100 for score in scores)
    return (
        (ScoresSettled, {"epoch": 0, "first": 0, "scores": bytes(scores)}),
        (EpochSettled, {"epoch": 0, "paid": paid, "challenge_by": 300}),
    )


def revealed(who: Address, *scores: int) -> Happening:
    weight = 6 if who == JUDGE else 3
    report = {"report": bytes(scores), "evidence_root": b"v" * 32}
    return AttestationRevealed, {"epoch": 0, "verifier": who, "weight": weight, **report}


SEALED = (EpochSealed, {"epoch": 0, "seed": b"e" * 32, "submissions": 2, "verifiers": 2, "weight": 9, "attest_by": 200})
BOTH_COMMITTED = tuple(
    (AttestationCommitted, {"epoch": 0, "verifier": who, "commitment": b"c" * 32, "sealed_report": b""})
    for who in (JUDGE, LAZY_JUDGE)
)
REVEALED = revealed(JUDGE, 100, SCORE_FRAUD)
ATTESTED = (EpochAttested, {"epoch": 0, "weight": 6})
TO_SETTLED = (SEALED, *BOTH_COMMITTED, REVEALED, ATTESTED, *settled(100, SCORE_FRAUD))
FINAL = (EpochFinal, {"epoch": 0})
TO_FINAL = (*TO_SETTLED, FINAL)
SLASHED = (
    FraudSlashed,
    {"epoch": 0, "trainer": CHEAT, "index": 1, "amount": 400, "reporter": JUDGE, "reporter_amount": 40},
)
CLAIMED = (Claimed, {"epoch": 0, "trainer": WORKER, "index": 0, "amount": 80})
PUBLISHED = (PolicyPublished, {"epoch": 0, "version": 1, "policy_root": b"q" * 32, "uri": "assay:0x71"})
SKIPPED = (PolicySkipped, {"epoch": 0, "state": PolicyState.SKIPPED})
TOO_LIGHT: tuple[Happening, ...] = ((SEALED[0], {**SEALED[1], "attest_by": 0}), (EpochVoid, {"epoch": 0}))
TOO_LATE: tuple[Happening, ...] = (
    (SEALED[0], {**SEALED[1], "attest_by": 0, "weight": 600}),  # pays 160 and 90, can be slashed 100
    (EpochVoid, {"epoch": 0}),
)


def said(score: int, *findings: FindingView) -> Statement:
    reason = next((finding.reason for finding in findings if finding.reason), None)
    return Statement(JUDGE, Root(b"v" * 32), VerdictView(score, reason, findings, {}))


def story(index: int, made: TaskLedger, *statements: Statement) -> Explanation:
    record = made.epochs[EPOCH]
    return explain(made, record, made.submission(EPOCH, SubmissionIndex(index)), statements, MONEY)


def test_a_submission_that_was_not_sealed_yet_has_no_score() -> None:
    told = "\n".join(to_lines(story(0, ledger())))
    assert "submission 1/0/0: committing" in told
    assert "there is no score yet" in told
    assert "nothing revealed yet" in told


def test_an_accepted_submission_says_what_it_earns_and_until_when_it_can_be_challenged() -> None:
    told = "\n".join(to_lines(story(0, ledger(*TO_SETTLED), said(100, PASSED))))
    assert "score 100 %" in told
    assert "it earns 80 ASSAY, once final (it can be challenged until 1970-01-01 00:05:00 UTC)" in told
    assert "ok     files, sizes and format: well-formed" in told


def test_a_final_submission_can_be_claimed_and_a_claimed_one_was() -> None:
    assert "to be claimed with `assay rewards claim`" in "\n".join(to_lines(story(0, ledger(*TO_FINAL))))
    assert "it earned 80 ASSAY, claimed" in "\n".join(to_lines(story(0, ledger(*TO_FINAL, CLAIMED))))


def test_a_fraud_says_what_failed_by_how_much_who_said_so_and_what_it_cost() -> None:
    made = ledger(*TO_FINAL, SLASHED, (AbsenceSlashed, {"epoch": 0, "verifier": LAZY_JUDGE, "amount": 50}))
    told = to_lines(story(1, made, said(255, PASSED, FAILED)))
    text = "\n".join(told)
    assert told[0] == "submission 1/0/1: slashed, score fraud"
    assert "because training again on its rollouts gives another update than the one submitted" in text
    assert "its trainer lost 400 ASSAY of its bond" in text
    assert "update: points away from our replay (measured 0.93, allowed 0.01)" in text
    assert f"{JUDGE} said fraud, replay_mismatch" in text
    assert f"{LAZY_JUDGE} committed, not revealed: lost 50 ASSAY" in text
    assert "1 of 2 verifiers revealed, 66.7 % of the weight" in text
    assert "assay explain 1/0/1 --save DIR" in text


def test_a_fraud_that_is_not_slashed_yet_says_what_its_units_cost() -> None:
    """8 units of at most 64, for which 400 are locked."""
    assert "its trainer loses 50 ASSAY of its bond" in "\n".join(to_lines(story(1, ledger(*TO_FINAL))))


def test_evidence_that_cannot_be_had_is_told_and_the_outcome_still_stands() -> None:
    missing = Statement(JUDGE, Root(b"v" * 32), None, "no relay has it")
    told = "\n".join(to_lines(story(1, ledger(*TO_FINAL), missing)))
    assert "no evidence to be had: no relay has it" in told
    assert "score fraud" in told


def test_what_failed_is_told_by_how_much() -> None:
    told = "\n".join(to_lines(story(1, ledger(*TO_FINAL), said(255, PASSED, FAILED))))
    assert "measured 0.93 where at most 0.01 is allowed, 93 times as much: training repeated" in told
    nothing_allowed = replace(FAILED, threshold=0.0)
    assert "where at most" not in "\n".join(to_lines(story(1, ledger(*TO_FINAL), said(255, nothing_allowed))))


def test_a_verifier_that_differed_from_the_outcome_is_quoted() -> None:
    lenient = (SEALED, *BOTH_COMMITTED, revealed(JUDGE, SCORE_FRAUD, SCORE_FRAUD), revealed(LAZY_JUDGE, 100, 100))
    made = ledger(*lenient, ATTESTED, *settled(100, SCORE_FRAUD))
    told = "\n".join(to_lines(story(0, made, said(255, PASSED, FAILED))))
    assert f"{JUDGE} said fraud" in told
    assert "unlike the outcome, for it found: FAILED training repeated" in told


def test_the_verdict_that_agrees_with_the_outcome_explains_it() -> None:
    odd, agreeing = said(100, PASSED), said(255, FAILED)
    verdict = story(1, ledger(*TO_FINAL), odd, agreeing).verdict
    assert verdict is not None and verdict.score == 255


def test_a_void_epoch_pays_and_slashes_nobody_and_frees_bonds() -> None:
    made = ledger(SEALED, (EpochVoid, {"epoch": 0}))
    told = "\n".join(to_lines(story(0, made)))
    assert "void, for it found no quorum of verifiers" in told
    assert "nobody is paid and nobody is slashed" in told
    assert "frees the part of its trainer's bond" in told
    assert [(each.earned_wei, each.is_releasable, each.state) for each in submissions_of(made, WORKER)] == [
        (0, True, "void")
    ]


@pytest.mark.parametrize(
    ("events", "because"),
    [
        (TOO_LIGHT, "its electorate was too light"),
        (TOO_LATE, "it was sealed too late"),
        ((*TO_SETTLED[:-2], (EpochVoid, {"epoch": 0})), "nobody settled it in time"),
    ],
)
def test_a_void_epoch_says_why(events: tuple[Happening, ...], because: str) -> None:
    made = ledger(*events)
    assert because in "\n".join(to_lines(story(0, made)))
    assert because in to_json(story(0, made))["void_because"]


def test_a_submission_that_was_unavailable_is_neither_paid_nor_a_fraud() -> None:
    unsure = (SEALED, *BOTH_COMMITTED, revealed(JUDGE, SCORE_UNAVAILABLE, 100), ATTESTED)
    made = ledger(*unsure, *settled(SCORE_UNAVAILABLE, 100), FINAL)
    told = to_lines(story(0, made))
    assert told[0] == "submission 1/0/0: unavailable, score unavailable"
    assert "could not be had before the verifiers stopped waiting: it is not paid, and no fraud" in told[1]
    assert f"  {JUDGE} said unavailable" in told
    assert not any("bond" in line for line in told)
    assert [(each.claimable_wei, each.is_releasable) for each in submissions_of(made, WORKER)] == [(0, True)]


def test_what_verifiers_said_is_read_from_the_chain_whatever_evidence_is_to_be_had() -> None:
    missing = Statement(JUDGE, Root(b"v" * 32), None, "no relay has it")
    told = "\n".join(to_lines(story(1, ledger(*TO_FINAL), missing)))
    assert f"{JUDGE} said fraud; its evidence: no relay has it" in told


# ------------------------------------------------------------------------------------------------------ appeals


def challenged(standing: int, score: int) -> tuple[Happening, ...]:
    where = {"epoch": 0, "id": 0, "challenger": CHALLENGER}
    return (
        (ChallengeCommitted, {**where, "commitment": b"h" * 32}),
        (ChallengeRevealed, {**where, "index": 0, "standing": standing, "score": score}),
    )


def judged(score: int, *, beyond: bool = False, against: bool = True, outcome: DisputePhase) -> tuple[Happening, ...]:
    """A panel of two: one votes with all of its seats but one, the other has only committed to a vote."""
    about = {"epoch": 0, "index": 0}
    drawn = {"seed": b"d" * 32, "jurors": (JUROR,) * (PANEL_SEATS - 1) + (LAZY_JUROR,), "commit_by": 400}
    return (
        (PanelSummoned, {**about, "seed_block": 77}),
        (PanelDrawn, {**about, **drawn}),
        *((VoteCommitted, {**about, "juror": who, "commitment": b"c" * 32}) for who in (JUROR, LAZY_JUROR)),
        (VoteRevealed, {**about, "juror": JUROR, "score": score, "beyond": beyond, "seats": PANEL_SEATS - 1}),
        (DisputeDecided, {**about, "score": score, "phase": outcome, "is_against_verifiers": against}),
    )


OVERTURNED = (
    *challenged(100, SCORE_FRAUD),
    *judged(SCORE_FRAUD, outcome=DisputePhase.OVERTURNED),
    (ScoreCorrected, {"epoch": 0, "index": 0, "score": SCORE_FRAUD}),
    (VerdictSlashed, {"epoch": 0, "index": 0, "verifier": JUDGE, "amount": 3, "to_finder": 1}),
    (AppealPaid, {"epoch": 0, "index": 0, "to": JUROR, "amount": 14}),
)


def test_an_appeal_says_who_sat_how_they_voted_and_what_it_cost_whom() -> None:
    made = ledger(*TO_SETTLED, *OVERTURNED)
    text = "\n".join(to_lines(story(0, made)))
    assert "submission 1/0/0: judged a fraud, score fraud" in text
    assert re.search(f"challenge +{CHALLENGER}: fraud", text)
    assert "15 seats, held by 2" in text
    assert "overturned: the panel gave another score" in text
    assert "what the seed had drawn shows it" in text
    assert re.search(rf"juror +{JUROR}: fraud \(14 seats\)", text)
    assert re.search(rf"juror +{LAZY_JUROR}: committed, not revealed \(1 seat\)", text)
    assert re.search(f"lost +{JUDGE}: 3 ASSAY, its verdict", text)
    assert re.search(f"claimed +{JUROR}: 14 ASSAY", text)
    assert [each.slashed_wei for each in fees_of(made, JUDGE)] == [3]


def test_an_appeal_for_what_was_not_drawn_blames_nobody() -> None:
    votes = judged(SCORE_FRAUD, beyond=True, against=False, outcome=DisputePhase.OVERTURNED)
    text = "\n".join(to_lines(story(0, ledger(*TO_SETTLED, *challenged(100, SCORE_FRAUD), *votes))))
    assert "fraud, beyond what the seed had drawn (14 seats)" in text
    assert re.search("to blame +nobody: too few of the panel say that what the seed had drawn shows it", text)


def test_a_submission_that_stood_as_unavailable_blames_nobody() -> None:
    votes = judged(100, against=False, outcome=DisputePhase.OVERTURNED)
    text = "\n".join(to_lines(story(0, ledger(*TO_SETTLED, *challenged(SCORE_UNAVAILABLE, 100), *votes))))
    assert re.search("to blame +nobody: its bytes may have come after the verifiers had looked", text)


def test_a_pool_with_too_few_who_may_judge_is_told_to_seat_nobody() -> None:
    about = {"epoch": 0, "index": 0}
    told = (
        (PanelSummoned, {**about, "seed_block": 77}),
        (PanelDrawn, {**about, "seed": b"d" * 32, "jurors": (), "commit_by": 400}),
        (DisputeDecided, {**about, "score": 100, "phase": DisputePhase.UNDECIDED, "is_against_verifiers": False}),
    )
    text = "\n".join(to_lines(story(0, ledger(*TO_SETTLED, *challenged(100, 50), *told))))
    assert re.search("panel +nobody: fewer than 15 seats of the pool may judge it", text)
    assert "undecided: no answer, the score stands" in text


@pytest.mark.parametrize(
    ("outcome", "says"),
    [(DisputePhase.UPHELD, "bonds are burnt"), (DisputePhase.UNDECIDED, "bonds is burnt")],
)
def test_a_score_that_stands_says_what_became_of_the_challengers_bonds(outcome: DisputePhase, says: str) -> None:
    votes = judged(100, against=False, outcome=outcome)
    text = "\n".join(to_lines(story(0, ledger(*TO_SETTLED, *challenged(100, 0), *votes))))
    assert f"{outcome.name.lower()}: " in text and says in text
    assert "to blame" not in text


def test_a_dispute_that_waits_says_for_what() -> None:
    waiting = ledger(*TO_SETTLED, *challenged(100, 0))
    assert "not drawn yet" in "\n".join(to_lines(story(0, waiting)))
    assert "waits for its panel" in "\n".join(to_lines(story(0, waiting)))
    sealed_vote = ledger(*TO_SETTLED, *challenged(100, 0)[:1])
    assert "1 challenges in its epoch are not revealed yet" in "\n".join(to_lines(story(0, sealed_vote)))
    assert "who disputed it" not in "\n".join(to_lines(story(0, ledger(*TO_SETTLED))))


def test_an_epoch_cannot_be_finalised_while_a_score_is_disputed_or_may_be() -> None:
    hidden, shown = challenged(100, SCORE_FRAUD)
    decided = judged(SCORE_FRAUD, outcome=DisputePhase.OVERTURNED)
    assert ready_to_finalise(ledger(*TO_SETTLED, hidden), now=300) == []
    assert ready_to_finalise(ledger(*TO_SETTLED, hidden, shown), now=300) == []
    assert ready_to_finalise(ledger(*TO_SETTLED, hidden, shown, *decided), now=300) == [0]


# ------------------------------------------------------------------------------------------------------- plants


PLANT = b"l" * 32
PLANTED = (
    (PlantCommitted, {"commitment": PLANT, "planter": CHALLENGER, "deposit": 96}),
    *TO_SETTLED,
    (PlantOpened, {"epoch": 0, "index": 1, "commitment": PLANT, "is_in_time": True}),
)
PAID_PLANT = (PaidPlantSlashed, {"epoch": 0, "index": 1, "verifier": LAZY_JUDGE, "amount": 2, "to_planter": 1})


def test_a_planted_fraud_is_told_from_one_and_costs_who_paid_it() -> None:
    made = ledger(*PLANTED, FINAL, PAID_PLANT)
    told = to_lines(story(1, made))
    text = "\n".join(told)
    assert told[0] == "submission 1/0/1: planted fraud, score fraud"
    assert f"a fraud planted by {CHALLENGER} to see who checks" in text
    assert "neither paid nor slashed" in text
    assert f"{LAZY_JUDGE} paid it and lost 2 ASSAY" in text
    assert "400 ASSAY" not in text
    [each] = submissions_of(made, CHEAT)
    assert (each.earned_wei, each.claimable_wei, each.is_releasable) == (0, 0, False)
    assert [each.slashed_wei for each in fees_of(made, LAZY_JUDGE)] == [2]
    assert to_json(story(1, made))["plant"]["planter"] == CHALLENGER


def test_a_plant_that_nobody_found_earns_nothing() -> None:
    paid = (*settled(100, 100), (PlantOpened, {"epoch": 0, "index": 1, "commitment": PLANT, "is_in_time": True}), FINAL)
    made = ledger(PLANTED[0], *TO_SETTLED[:-2], *paid)
    assert [each.earned_wei for each in submissions_of(made, CHEAT)] == [0]
    assert "neither paid nor slashed" in "\n".join(to_lines(story(1, made)))


# ----------------------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (TO_SETTLED, "no policy yet: the verifiers are making it"),
        ((*TO_FINAL, PUBLISHED), "policy version 1"),
        (
            (*TO_FINAL, SKIPPED),
            "no policy: too few verifiers signed it in time; it was skipped, and the epoch's fee of",
        ),
        ((SEALED, *BOTH_COMMITTED, REVEALED, ATTESTED, *settled(0, 0)), "no policy: nothing in its epoch was paid"),
    ],
)
def test_what_became_of_the_policy_of_its_epoch_is_told(events: tuple[Happening, ...], says: str) -> None:
    assert says in "\n".join(to_lines(story(0, ledger(*events))))


def test_a_skipped_policy_forfeits_the_fee() -> None:
    [kept] = fees_of(ledger(*TO_FINAL, PUBLISHED), JUDGE)
    [lost] = fees_of(ledger(*TO_FINAL, SKIPPED), JUDGE)
    [waiting] = fees_of(ledger(*TO_FINAL), JUDGE)
    assert (kept.earned_wei, kept.is_claimable, kept.is_forfeited) == (60, True, False)
    assert (lost.earned_wei, lost.is_claimable, lost.is_forfeited) == (0, False, True)
    assert (waiting.earned_wei, waiting.is_claimable, waiting.is_forfeited) == (60, False, False)


# --------------------------------------------------------------------------------------------- facts and money


def test_the_json_holds_the_same_facts() -> None:
    told = to_json(story(1, ledger(*TO_FINAL, SLASHED), said(255, PASSED, FAILED)))
    assert (told["submission"], told["score"], told["reason"], told["slashed_wei"]) == (
        "1/0/1",
        255,
        "replay_mismatch",
        400,
    )
    assert [each["revealed"] for each in told["attestations"]] == [True, False]
    assert told["findings"][1]["measured"] == 0.93
    assert told["is_replayed"] is True


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ((), ["committing", "committing"]),
        ((SEALED,), ["attest commit", "attest commit"]),
        (TO_SETTLED, ["challengeable", "judged a fraud"]),
        (TO_FINAL, ["claimable", "to be slashed"]),
        ((*TO_FINAL, SLASHED, CLAIMED), ["claimed", "slashed"]),
    ],
)
def test_the_state_of_a_submission_follows_its_epoch(events: tuple[Any, ...], states: list[str]) -> None:
    made = ledger(*events)
    assert [each.state for who in (WORKER, CHEAT) for each in submissions_of(made, who)] == states


def test_only_what_is_final_and_unclaimed_is_claimable() -> None:
    def claimable(*events: Any) -> list[int]:
        return [each.claimable_wei for who in (WORKER, CHEAT) for each in submissions_of(ledger(*events), who)]

    assert claimable(*TO_SETTLED) == [0, 0]
    assert claimable(*TO_FINAL) == [80, 0]
    assert claimable(*TO_FINAL, CLAIMED) == [0, 0]


def test_each_submission_of_a_trainer_is_worth_what_its_kind_costs() -> None:
    own = committed(2, WORKER, SubmissionKind.LABELS)
    judgement = (SEALED, *BOTH_COMMITTED, revealed(JUDGE, 100, 255, 50), ATTESTED, *settled(100, 255, 50), FINAL)
    made = ledger(own, *judgement)
    assert [each.claimable_wei for each in submissions_of(made, WORKER)] == [80, 4]
    assert "8 units, a label submission" in "\n".join(to_lines(story(2, made)))


def test_a_submission_that_earns_nothing_is_released_by_a_claim_once() -> None:
    nothing = (*TO_SETTLED[:-2], *settled(0, SCORE_FRAUD), FINAL)
    [waiting] = submissions_of(ledger(*nothing), WORKER)
    [done] = submissions_of(ledger(*nothing, (Claimed, {**CLAIMED[1], "amount": 0})), WORKER)
    [fraud] = submissions_of(ledger(*nothing), CHEAT)
    assert (waiting.is_releasable, waiting.state) == (True, "not paid")
    assert (done.is_releasable, done.state) == (False, "not paid, released")
    assert not fraud.is_releasable


def test_a_verifiers_epochs_are_those_it_took_part_in_or_was_slashed_for() -> None:
    made = ledger(*TO_FINAL, (FeesClaimed, {"epoch": 0, "verifier": JUDGE, "amount": 60}))
    [attended] = fees_of(made, JUDGE)
    [missed] = fees_of(made, LAZY_JUDGE)
    assert (attended.has_revealed, attended.claimed_wei) == (True, 60)
    assert (missed.has_revealed, missed.claimed_wei, missed.earned_wei) == (False, None, 0)
    assert list(fees_of(made, WORKER)) == []


def test_a_fee_is_by_weight_and_by_submissions_on_which_the_outcome_agrees() -> None:
    """Of 90, two thirds by weight; less a paid one's for each difference; what was unavailable is none.

    Where no submission was paid there is no fee.
    """

    def fee(*reports: Happening, outcome: tuple[int, int]) -> list[int]:
        made = ledger(SEALED, *BOTH_COMMITTED, *reports, ATTESTED, *settled(*outcome), FINAL)
        return [each.earned_wei for who in (JUDGE, LAZY_JUDGE) for each in fees_of(made, who)]

    both = revealed(JUDGE, 100, 255), revealed(LAZY_JUDGE, 100, 0)
    assert fee(*both, outcome=(100, 255)) == [60, 0]
    assert fee(*both, outcome=(100, SCORE_UNAVAILABLE)) == [60, 30]
    assert fee(revealed(JUDGE, 101, 255), revealed(LAZY_JUDGE, 0, 0), outcome=(0, 255)) == [0, 0]


def test_epochs_whose_window_has_passed_can_be_finalised() -> None:
    assert ready_to_finalise(ledger(*TO_SETTLED), now=299) == []
    assert ready_to_finalise(ledger(*TO_SETTLED), now=300) == [0]
    assert ready_to_finalise(ledger(*TO_FINAL), now=300) == []


@pytest.mark.parametrize(
    ("happened", "words", "in_the_demo"),
    [
        ((), "committing", "training (2 submissions)"),
        ((SEALED,), "attest commit", "checking"),
        ((SEALED, *BOTH_COMMITTED, REVEALED), "attest reveal", "revealing"),
        ((SEALED, *BOTH_COMMITTED, REVEALED, ATTESTED), "attested", "attested"),
        (TO_SETTLED, "challengeable", "aggregating"),
        (TO_FINAL, "final", "final"),
        ((SEALED, (EpochVoid, {"epoch": 0})), "void", "void"),
    ],
)
def test_phases_are_those_of_the_contracts(happened: Sequence[Happening], words: str, in_the_demo: str) -> None:
    record = ledger(*happened).epochs[EPOCH]
    assert (phase_words(record), phase_name(record)) == (words, in_the_demo)
    assert epoch_json(record)["phase"] == words == record.phase.name.lower().replace("_", " ")


def test_an_epoch_for_programs_says_who_was_slashed() -> None:
    assert epoch_json(ledger(*TO_FINAL, SLASHED).epochs[EPOCH])["submissions"][1]["is_slashed"] is True
