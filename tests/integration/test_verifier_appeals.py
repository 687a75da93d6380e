"""Scores are challenged, and real jurors judge again, vote, decide, and have the losing side pay."""

from collections.abc import Callable

import pytest

from assay_core.chain.records import ChallengeRecord, DisputeRecord
from assay_core.chain.sender import Sender
from assay_core.protocol.encoding import attestation_commitment, challenge_commitment
from assay_core.protocol.types import (
    PANEL_SEATS,
    SCORE_FRAUD,
    SCORE_FULL,
    DisputePhase,
    Epoch,
    Role,
    Root,
    SubmissionIndex,
)
from assay_protocol.devnet.anvil import Anvil
from assay_verifier.worker import VerifierWorker
from tests.integration.stage import PARAMS, UNIT, Stage, submission

pytestmark = pytest.mark.chain

FIRST, SUBMISSION = Epoch(0), SubmissionIndex(0)
VERIFIERS = ["verifier 1", "verifier 2", "verifier 3"]
JURORS = ["juror 1", "juror 2", "juror 3"]
SALT = b"\x07" * 32
COST = PARAMS.challenge_bond + PANEL_SEATS * PARAMS.juror_fee
SLASH = PARAMS.verifier_bond * PARAMS.verdict_slash_bps // 10_000


def enlisted(stage: Stage, **options: object) -> list[VerifierWorker]:
    for role in VERIFIERS:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    verifiers = [stage.verifier(role, **options) for role in VERIFIERS]
    stage.run(verifiers, lambda: len(stage.ledger().verifiers) == 3)
    return verifiers


def seated(stage: Stage) -> list[VerifierWorker]:
    """Jurors with more seats than a panel has, who judge nothing else."""
    bond = stage.chain.panels.seat_bond_wei()
    for role in JURORS:
        stage.bond(role, Role.VERIFIER, 6 * bond)
        stage.sender_of(role).send(stage.chain.panels.take_seats(PARAMS.panel_class, 6))
    return [stage.verifier(role, enlist=False) for role in JURORS]


def commit_challenge(stage: Stage, score: int) -> Sender:
    challenger = stage.sender_of("challenger")
    challenger.send(stage.chain.token.approve(stage.chain.appeals.address, COST))
    commitment = challenge_commitment(stage.task_id, FIRST, challenger.address, SUBMISSION, score, SALT)
    challenger.send(stage.chain.appeals.commit_challenge(stage.task_id, FIRST, commitment))
    return challenger


def reveal_challenge(stage: Stage, challenger: Sender, score: int) -> None:
    stage.anvil.pass_time(PARAMS.challenge_window + 1)
    (challenge,) = stage.ledger().epochs[FIRST].challenges.values()
    rest = challenge.id, SUBMISSION, score, SALT
    challenger.send(stage.chain.appeals.reveal_challenge(stage.task_id, FIRST, *rest))


def dispute(stage: Stage) -> DisputeRecord:
    return stage.ledger().epochs[FIRST].disputes[SUBMISSION]


def is_decided(stage: Stage) -> Callable[[], bool]:
    return lambda: not dispute(stage).is_open


def test_a_false_challenge_costs_its_challenger_and_pays_those_who_judged(stage: Stage, anvil: Anvil) -> None:
    verifiers, jurors = enlisted(stage), seated(stage)
    anvil.mine()
    submission([stage.trainer("trainer 1")])
    stage.run(verifiers, lambda: stage.ledger().epochs[FIRST].is_settled)
    challenger = commit_challenge(stage, SCORE_FRAUD)
    before = stage.chain.token.balance_of(challenger.address)
    reveal_challenge(stage, challenger, SCORE_FRAUD)
    anvil.pass_time(PARAMS.reveal_window + 1)
    stage.run([*verifiers, *jurors], is_decided(stage))
    found = dispute(stage)
    assert found.outcome is DisputePhase.UPHELD and found.panel_size == PANEL_SEATS
    assert {(vote.score, vote.beyond) for vote in found.votes.values()} == {(SCORE_FULL, False)}
    assert found.votes.keys() == {stage.address(role) for role in JURORS}
    record = stage.ledger().epochs[FIRST]
    stage.run([*verifiers, *jurors], lambda: len(stage.ledger().epochs[FIRST].appeals_paid) == len(JURORS))
    paid = stage.ledger().epochs[FIRST].appeals_paid
    assert sum(paid.values()) == PANEL_SEATS * PARAMS.juror_fee
    stage.run(verifiers, lambda: stage.ledger().epochs[FIRST].is_final)
    assert record.score_of(SUBMISSION) == SCORE_FULL
    assert stage.chain.token.balance_of(challenger.address) == before


def attest_by_hand(stage: Stage, report: bytes) -> None:
    """The verifiers' keys attest with no look at the submission."""
    attestations, task = stage.chain.attestations, stage.task_id
    senders = [stage.sender_of(role) for role in VERIFIERS]
    stage.anvil.mine(2)
    senders[0].send(attestations.seal_epoch(task, None))
    seed = stage.ledger().epochs[FIRST].seed
    assert seed is not None
    for sender in senders:
        commitment = attestation_commitment(seed, sender.address, report, SALT)
        sender.send(attestations.commit_attestation(task, FIRST, commitment, b""))
    for sender in senders:
        sender.send(attestations.reveal_attestation(task, FIRST, report, SALT, Root(b"\x01" * 32)))
    senders[0].send(attestations.settle(task, FIRST, [report], len(report)))


def test_a_quorum_that_called_honest_submission_fraud_is_overturned_and_slashed(stage: Stage, anvil: Anvil) -> None:
    enlisted(stage, challenge=False)
    jurors = seated(stage)
    anvil.mine()
    submission([stage.trainer("trainer 1")])
    attest_by_hand(stage, bytes([SCORE_FRAUD]))
    assert stage.ledger().epochs[FIRST].score_of(SUBMISSION) == SCORE_FRAUD

    challenger = commit_challenge(stage, SCORE_FULL)
    reveal_challenge(stage, challenger, SCORE_FULL)
    anvil.pass_time(PARAMS.reveal_window + 1)
    stage.run(jurors, is_decided(stage))
    assert dispute(stage).outcome is DisputePhase.OVERTURNED and dispute(stage).is_against_verifiers
    stage.run(jurors, lambda: len(dispute(stage).verdict_slashes) == 3)
    assert set(dispute(stage).verdict_slashes.values()) == {SLASH}
    (challenge,) = stage.ledger().epochs[FIRST].challenges.values()
    won = min(3 * SLASH // 2, 10 * PARAMS.challenge_bond)
    owed = stage.chain.appeals.owed_to(stage.task_id, FIRST, challenge.id)
    assert owed == PARAMS.challenge_bond + won  # the jurors were right, and paid out of what it had prepaid
    stage.run(jurors, lambda: stage.ledger().epochs[FIRST].is_final)
    record = stage.ledger().epochs[FIRST]
    assert record.score_of(SUBMISSION) == SCORE_FULL and not record.frauds


def test_a_verifier_that_was_outvoted_over_a_fraud_has_it_found_out_by_itself(stage: Stage, anvil: Anvil) -> None:
    """Two of three pay what a replay shows to be no training; the third disputes it, and is paid for it."""
    for role in VERIFIERS:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    honest = stage.verifier(VERIFIERS[0])
    terms = stage.ledger().task.terms_hash
    for role in VERIFIERS[1:]:
        call = stage.chain.verifiers.enlist(stage.task_id, terms, PARAMS.verifier_bond)
        stage.sender_of(role).send(call)
    stage.run([honest], lambda: len(stage.ledger().verifiers) == 3)
    jurors = seated(stage)
    anvil.mine()
    submission([stage.trainer("cheat 1", "altered-update")])
    stage.run([honest], lambda: bool(stage.ledger().epochs[FIRST].commitments))
    liars = [stage.sender_of(role) for role in VERIFIERS[1:]]
    seed, report = stage.ledger().epochs[FIRST].seed, bytes([SCORE_FULL])
    assert seed is not None
    attestations, task = stage.chain.attestations, stage.task_id
    for liar in liars:
        commitment = attestation_commitment(seed, liar.address, report, SALT)
        liar.send(attestations.commit_attestation(task, FIRST, commitment, b""))
    for liar in liars:
        liar.send(attestations.reveal_attestation(task, FIRST, report, SALT, Root(b"\x01" * 32)))
    stage.run([honest], lambda: stage.ledger().epochs[FIRST].is_settled)
    assert stage.ledger().epochs[FIRST].score_of(SUBMISSION) == SCORE_FULL
    purse = stage.chain.token.balance_of(stage.address(VERIFIERS[0]))

    stage.run([honest], lambda: bool(stage.ledger().epochs[FIRST].challenges))
    anvil.pass_time(PARAMS.challenge_window + 1)
    stage.run([honest], lambda: bool(stage.ledger().epochs[FIRST].disputes))
    anvil.pass_time(PARAMS.reveal_window + 1)
    stage.run([honest, *jurors], is_decided(stage))
    assert (dispute(stage).outcome, dispute(stage).score) == (DisputePhase.OVERTURNED, SCORE_FRAUD)
    stage.run([honest, *jurors], lambda: bool(stage.ledger().epochs[FIRST].frauds))
    assert dispute(stage).verdict_slashes.keys() == {liar.address for liar in liars}
    stage.run([honest], lambda: stage.chain.token.balance_of(stage.address(VERIFIERS[0])) > purse)
    (mine,) = stage.ledger().epochs[FIRST].challenges.values()
    stage.run([honest], lambda: stage.chain.appeals.owed_to(task, FIRST, mine.id) == 0)
    won = stage.chain.token.balance_of(stage.address(VERIFIERS[0])) - purse
    assert won > UNIT  # its part of the slashes; its bond is back
    assert isinstance(mine, ChallengeRecord) and mine.challenger == stage.address(VERIFIERS[0])
