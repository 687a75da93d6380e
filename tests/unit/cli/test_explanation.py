"""What became of a work, from the ledger and what verifiers say about it; and earnings, from the ledger alone."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from offchain.chain.contracts import AttestationState
from offchain.chain.events import (
    AbsenceSlashed,
    AttestationCommitted,
    AttestationRevealed,
    Claimed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FeesClaimed,
    FraudSlashed,
    TaskOpened,
    WorkCommitted,
)
from offchain.chain.ledger import TaskLedger
from offchain.cli.amounts import Money
from offchain.cli.earnings import fee_wei, fees_of, ready_to_finalise, works_of
from offchain.cli.evidence import FindingView, Statement, VerdictView
from offchain.cli.explanation import Explanation, explain, to_json, to_lines
from offchain.cli.following import epoch_json, phase_of
from offchain.protocol.types import Address, Epoch, Root, TaskId, TaskParams, WorkIndex

TASK, EPOCH = TaskId(1), Epoch(0)
WORKER, CHEAT, JUDGE, LAZY_JUDGE = (Address("0x" + f"{number:02x}" * 20) for number in range(1, 5))
MONEY = Money("ASSAY", 0)
PARAMS = TaskParams(10, 500, 500, 400, 50, 200, 5, 100, 64, 8, 6_667, 10_000, 2, 0, 60, 60, 60, 60, 60)
PASSED = FindingView("bytes", 0.0, 0.0, "well-formed", None)
FAILED = FindingView("replay direction", 0.93, 0.01, "points away from our replay", "replay_mismatch")


Happening = tuple[type[Event], dict[str, Any]]


def ledger(*events: Happening) -> TaskLedger:
    """A task with one epoch and two works, one of them a cheat's, and what follows."""
    opened: dict[str, Any] = {
        "initiator": JUDGE,
        "params": PARAMS,
        "spec_hash": b"s" * 32,
        "spec_uri": "",
        "policy_root": b"p" * 32,
        "seed": b"t" * 32,
    }
    made = TaskLedger(TASK)
    block = count(10)
    works: list[Happening] = [
        (WorkCommitted, {"epoch": 0, "trainer": who, "index": i, "units": 8, "policy_version": 0,
                         "manifest_root": bytes([i]) * 32})
        for i, who in enumerate((WORKER, CHEAT))
    ]  # fmt: skip
    start: list[Happening] = [(TaskOpened, opened), (EpochOpened, {"epoch": 0, "commit_by": 100}), *works]
    for kind, values in (*start, *events):
        where = {"task_id": TASK, "block_number": next(block), "log_index": 0, "tx_hash": b"x" * 32}
        made.apply(kind(**where, **values))
    return made


SEALED = (EpochSealed, {"epoch": 0, "seed": b"e" * 32, "works": 2, "verifiers": 2, "weight": 9, "attest_by": 200})
BOTH_COMMITTED = tuple(
    (AttestationCommitted, {"epoch": 0, "verifier": who, "commitment": b"c" * 32}) for who in (JUDGE, LAZY_JUDGE)
)
REVEALED = (
    AttestationRevealed,
    {"epoch": 0, "verifier": JUDGE, "report_hash": b"r" * 32, "evidence_root": b"v" * 32},
)
SETTLED = (EpochSettled, {"epoch": 0, "scores": bytes([100, 255]), "challenge_by": 300})
FINAL = (EpochFinal, {"epoch": 0})
TO_FINAL = (SEALED, *BOTH_COMMITTED, REVEALED, SETTLED, FINAL)
SLASHED = (
    FraudSlashed,
    {"epoch": 0, "trainer": CHEAT, "index": 1, "amount": 400, "reporter": JUDGE, "reporter_amount": 40},
)
CLAIMED = (Claimed, {"epoch": 0, "trainer": WORKER, "index": 0, "amount": 80})


def said(score: int, *findings: FindingView) -> Statement:
    reason = next((finding.reason for finding in findings if finding.reason), None)
    return Statement(JUDGE, Root(b"v" * 32), VerdictView(score, reason, findings, {}))


def story(index: int, made: TaskLedger, *statements: Statement) -> Explanation:
    record = made.epochs[EPOCH]
    return explain(made, record, made.work(EPOCH, WorkIndex(index)), statements, MONEY)


def test_a_work_that_was_not_sealed_yet_has_no_score() -> None:
    told = "\n".join(to_lines(story(0, ledger())))
    assert "work 1/0/0: committing" in told
    assert "there is no score yet" in told
    assert "nothing revealed yet" in told


def test_an_accepted_work_says_what_it_earns_and_until_when_it_can_be_challenged() -> None:
    told = "\n".join(to_lines(story(0, ledger(*TO_FINAL[:-1]), said(100, PASSED))))
    assert "score 100 %" in told
    assert "it earns 80 ASSAY, once final (it can be challenged until 1970-01-01 00:05:00 UTC)" in told
    assert "ok     files, sizes and format: well-formed" in told


def test_a_final_work_can_be_claimed_and_a_claimed_one_was() -> None:
    assert "to be claimed with `assay rewards claim`" in "\n".join(to_lines(story(0, ledger(*TO_FINAL))))
    assert "it earned 80 ASSAY, claimed" in "\n".join(to_lines(story(0, ledger(*TO_FINAL, CLAIMED))))


def test_a_fraud_says_what_failed_by_how_much_who_said_so_and_what_it_cost() -> None:
    made = ledger(*TO_FINAL, SLASHED, (AbsenceSlashed, {"epoch": 0, "verifier": LAZY_JUDGE, "amount": 50}))
    told = to_lines(story(1, made, said(255, PASSED, FAILED)))
    text = "\n".join(told)
    assert told[0] == "work 1/0/1: slashed, score fraud"
    assert "because training again on its rollouts gives another update than the one submitted" in text
    assert "its trainer lost 400 ASSAY of its bond" in text
    assert "update: points away from our replay (measured 0.93, allowed 0.01)" in text
    assert f"{JUDGE} said fraud, replay_mismatch" in text
    assert f"{LAZY_JUDGE} committed, not revealed: lost 50 ASSAY" in text
    assert "1 of 2 enlisted verifiers revealed" in text
    assert "assay explain 1/0/1 --save DIR" in text


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
    told = "\n".join(to_lines(story(0, ledger(*TO_FINAL), said(255, PASSED, FAILED))))
    assert f"{JUDGE} said fraud" in told
    assert "unlike the outcome, for it found: FAILED training repeated" in told


def test_the_verdict_that_agrees_with_the_outcome_explains_it() -> None:
    odd, agreeing = said(100, PASSED), said(255, FAILED)
    verdict = story(1, ledger(*TO_FINAL), odd, agreeing).verdict
    assert verdict is not None and verdict.score == 255


def test_a_void_epoch_pays_and_slashes_nobody() -> None:
    made = ledger(SEALED, (EpochVoid, {"epoch": 0}))
    assert "no quorum" in "\n".join(to_lines(story(0, made)))
    assert [each.earned_wei for each in works_of(made, WORKER)] == [0]


def test_the_json_holds_the_same_facts() -> None:
    told = to_json(story(1, ledger(*TO_FINAL, SLASHED), said(255, PASSED, FAILED)))
    assert (told["work"], told["score"], told["reason"], told["slashed_wei"]) == ("1/0/1", 255, "replay_mismatch", 400)
    assert [each["revealed"] for each in told["attestations"]] == [True, False]
    assert told["findings"][1]["measured"] == 0.93
    assert told["is_replayed"] is True


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ((), ["committing", "committing"]),
        ((SEALED,), ["attest commit", "attest commit"]),
        (TO_FINAL[:-1], ["challengeable", "judged a fraud"]),
        (TO_FINAL, ["claimable", "to be slashed"]),
        ((*TO_FINAL, SLASHED, CLAIMED), ["claimed", "slashed"]),
    ],
)
def test_the_state_of_a_work_follows_its_epoch(events: tuple[Any, ...], states: list[str]) -> None:
    made = ledger(*events)
    assert [each.state for who in (WORKER, CHEAT) for each in works_of(made, who)] == states


def test_only_what_is_final_and_unclaimed_is_claimable() -> None:
    def claimable(*events: Any) -> list[int]:
        return [each.claimable_wei for who in (WORKER, CHEAT) for each in works_of(ledger(*events), who)]

    assert claimable(*TO_FINAL[:-1]) == [0, 0]
    assert claimable(*TO_FINAL) == [80, 0]
    assert claimable(*TO_FINAL, CLAIMED) == [0, 0]


def test_a_verifiers_epochs_are_those_it_took_part_in_or_was_slashed_for() -> None:
    made = ledger(*TO_FINAL, (FeesClaimed, {"epoch": 0, "verifier": JUDGE, "amount": 60}))
    [attended] = fees_of(made, JUDGE)
    [missed] = fees_of(made, LAZY_JUDGE)
    assert (attended.has_revealed, attended.claimed_wei) == (True, 60)
    assert (missed.has_revealed, missed.claimed_wei) == (False, None)
    assert list(fees_of(made, WORKER)) == []
    assert fee_wei(made, AttestationState(b"r" * 32, 6, 1, 2, 9)) == 33


def test_epochs_whose_window_has_passed_can_be_finalised() -> None:
    assert ready_to_finalise(ledger(*TO_FINAL[:-1]), now=299) == []
    assert ready_to_finalise(ledger(*TO_FINAL[:-1]), now=300) == [0]
    assert ready_to_finalise(ledger(*TO_FINAL), now=300) == []


def test_phases_are_those_of_the_contracts() -> None:
    assert phase_of(ledger(*TO_FINAL).epochs[EPOCH]) == "final"
    assert phase_of(ledger(SEALED, *BOTH_COMMITTED, REVEALED).epochs[EPOCH]) == "attest reveal"
    assert epoch_json(ledger(*TO_FINAL, SLASHED).epochs[EPOCH])["works"][1]["is_slashed"] is True
