"""Scores are challenged, and real verifiers judge again, vote, decide, and have the losing side pay."""

import pytest

from offchain.chain.anvil import Anvil
from offchain.chain.ledger import ChallengeRecord
from offchain.chain.sender import Sender
from offchain.protocol.encoding import attestation_commitment, report_hash
from offchain.protocol.types import SCORE_FRAUD, SCORE_FULL, ChallengePhase, Epoch, Role, Root, WorkIndex
from tests.integration.stage import PARAMS, Stage, run, work
from verifier.worker import VerifierWorker

pytestmark = pytest.mark.chain

FIRST, WORK = Epoch(0), WorkIndex(0)
ROLES = ["verifier 1", "verifier 2", "verifier 3"]
SALT = b"\x07" * 32


def challenge(stage: Stage, score: int) -> Sender:
    challenger = stage.sender_of("challenger")
    challenger.send(stage.chain.token.approve(stage.chain.registry.address, PARAMS.challenge_bond))
    challenger.send(stage.chain.challenges.challenge(stage.task_id, FIRST, WORK, score))
    return challenger


def challenged(stage: Stage) -> ChallengeRecord:
    return stage.ledger().epochs[FIRST].challenges[WORK]


def enlisted(stage: Stage) -> list[VerifierWorker]:
    for role in ROLES:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    verifiers = [stage.verifier(role) for role in ROLES]
    run(verifiers, lambda: len(stage.ledger().verifiers) == 3)
    return verifiers


def test_a_false_challenge_costs_its_challenger_and_pays_those_who_judged_again(stage: Stage, anvil: Anvil) -> None:
    verifiers = enlisted(stage)
    work([stage.trainer("trainer 1")])
    run(verifiers, lambda: stage.ledger().epochs[FIRST].is_settled)
    challenger = challenge(stage, SCORE_FRAUD)
    run(verifiers, lambda: challenged(stage).outcome is ChallengePhase.UPHELD)
    assert set(challenged(stage).votes.values()) == {SCORE_FULL} and len(challenged(stage).votes) == 3
    run(verifiers, lambda: len(challenged(stage).claims) == 3)
    assert sum(challenged(stage).claims.values()) == PARAMS.challenge_bond
    assert stage.chain.challenges.owed_to(stage.task_id, FIRST, WORK, challenger.address) == 0
    anvil.pass_time(PARAMS.challenge_window + 1)
    run(verifiers, lambda: stage.ledger().epochs[FIRST].is_final)
    assert stage.ledger().epochs[FIRST].score_of(WORK) == SCORE_FULL


def test_a_quorum_that_called_honest_work_fraud_is_overturned_and_slashed(stage: Stage, anvil: Anvil) -> None:
    verifiers = enlisted(stage)
    work([stage.trainer("trainer 1")])
    attestations, task = stage.chain.attestations, stage.task_id
    anvil.mine()
    report = bytes([SCORE_FRAUD])  # the same keys attest by hand, with no look at the work
    senders = [stage.sender_of(role) for role in ROLES]
    senders[0].send(attestations.seal_epoch(task))
    for sender in senders:
        commitment = attestation_commitment(task, FIRST, sender.address, report, SALT)
        sender.send(attestations.commit_attestation(task, FIRST, commitment))
    for sender in senders:
        sender.send(attestations.reveal_attestation(task, FIRST, report_hash(report), SALT, Root(b"\x01" * 32)))
    senders[0].send(attestations.settle(task, FIRST, [report]))
    assert stage.ledger().epochs[FIRST].score_of(WORK) == SCORE_FRAUD

    challenger = challenge(stage, SCORE_FULL)
    run(verifiers, lambda: challenged(stage).outcome is ChallengePhase.OVERTURNED)
    run(verifiers, lambda: len(challenged(stage).verdict_slashes) == 3)
    assert set(challenged(stage).verdict_slashes.values()) == {PARAMS.verdict_slash}
    won = 3 * PARAMS.verdict_slash // 2
    owed = stage.chain.challenges.owed_to(task, FIRST, WORK, challenger.address)
    assert owed == PARAMS.challenge_bond + won
    anvil.pass_time(PARAMS.challenge_window + 1)
    run(verifiers, lambda: stage.ledger().epochs[FIRST].is_final)
    record = stage.ledger().epochs[FIRST]
    assert record.score_of(WORK) == SCORE_FULL and not record.frauds
    before = stage.chain.token.balance_of(challenger.address)
    stage.sender_of("anybody").send(stage.chain.challenges.claim(task, FIRST, WORK, challenger.address))
    assert stage.chain.token.balance_of(challenger.address) == before + owed
