"""Planted frauds on a real chain: found out they cost nothing, and anyone who pays one that was drawn pays for it."""

import pytest

from assay_core.protocol.encoding import attestation_commitment
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, Epoch, PlantState, Role, Root, SubmissionIndex
from assay_protocol.devnet.anvil import Anvil
from tests.integration.stage import PARAMS, Stage, submission

pytestmark = pytest.mark.chain

FIRST, SUBMISSION = Epoch(0), SubmissionIndex(0)
VERIFIERS = ["verifier 1", "verifier 2", "verifier 3"]
SALT = b"\x07" * 32
SLASH = PARAMS.verifier_bond * PARAMS.verdict_slash_bps // 10_000


def deposited(stage: Stage) -> int:
    """For plants that are not opened: the trainer has planted in the next epoch, too."""
    plants = stage.ledger().plants.values()
    return sum(plant.deposit for plant in plants if plant.state is PlantState.COMMITTED)


def test_a_plant_is_found_by_those_who_look_and_paid_for_by_who_does_not(stage: Stage, anvil: Anvil) -> None:
    for role, bond in zip(VERIFIERS, (2, 2, 1), strict=True):  # those who look are a quorum
        stage.bond(role, Role.VERIFIER, bond * PARAMS.verifier_bond)
    honest = [stage.verifier(role) for role in VERIFIERS[:2]]
    lazy, terms = stage.sender_of(VERIFIERS[2]), stage.ledger().task.terms_hash
    lazy.send(stage.chain.verifiers.enlist(stage.task_id, terms, PARAMS.verifier_bond))
    stage.run(honest, lambda: len(stage.ledger().verifiers) == 3)
    payer = stage.sender_of("payer")
    trainer = stage.trainer("trainer 1", plant_rate=1.0, planter_keystore=stage.keystore_of("payer"))
    anvil.mine()
    purse = stage.chain.token.balance_of(payer.address)
    submission([trainer])
    (plant,) = stage.ledger().plants.values()
    assert plant.planter == payer.address
    assert stage.chain.token.balance_of(payer.address) == purse - plant.deposit

    stage.run(honest, lambda: len(stage.ledger().epochs[FIRST].commitments) == 2)
    seed, report = stage.ledger().epochs[FIRST].seed, bytes([SCORE_FULL])
    assert seed is not None
    attestations, task = stage.chain.attestations, stage.task_id
    lazy.send(
        attestations.commit_attestation(task, FIRST, attestation_commitment(seed, lazy.address, report, SALT), b"")
    )
    lazy.send(attestations.reveal_attestation(task, FIRST, report, SALT, Root(b"\x01" * 32)))
    stage.run(honest, lambda: stage.ledger().epochs[FIRST].is_settled)
    assert stage.ledger().epochs[FIRST].score_of(SUBMISSION) == SCORE_FRAUD

    trainer.run_once()
    record = stage.ledger().epochs[FIRST]
    assert SUBMISSION in record.plants and stage.ledger().plants[plant.commitment].state is PlantState.OPENED
    assert stage.chain.token.balance_of(payer.address) == purse - deposited(stage)  # that of this one is back
    anvil.pass_time(PARAMS.challenge_window + PARAMS.reveal_window + 1)
    stage.run(honest, lambda: stage.ledger().epochs[FIRST].is_final)
    trainer.run_once()
    stage.run(honest, lambda: bool(stage.ledger().epochs[FIRST].paid_plants))
    record = stage.ledger().epochs[FIRST]
    assert record.paid_plants == {(SUBMISSION, lazy.address): SLASH} and not record.frauds
    won = stage.chain.token.balance_of(payer.address) + deposited(stage) - purse
    assert won == min(SLASH // 2, 10 * PARAMS.challenge_bond)
    assert stage.address("trainer 1") in stage.ledger().trainers  # nothing was taken from it


def test_an_honest_submission_of_who_plants_is_paid_and_its_decoy_costs_nothing(stage: Stage) -> None:
    for role in VERIFIERS:
        stage.bond(role, Role.VERIFIER, 2 * PARAMS.verifier_bond)
    honest = [stage.verifier(role) for role in VERIFIERS]
    stage.run(honest, lambda: len(stage.ledger().verifiers) == 3)
    payer = stage.sender_of("payer")
    purse = stage.chain.token.balance_of(payer.address)
    trainer = stage.trainer("trainer 1", plant_rate=1e-9, planter_keystore=stage.keystore_of("payer"))
    submission([trainer])
    (decoy,) = stage.ledger().plants.values()
    assert decoy.planter == payer.address and deposited(stage) == decoy.deposit

    stage.run(honest, lambda: stage.ledger().epochs[FIRST].is_settled)
    assert stage.ledger().epochs[FIRST].score_of(SUBMISSION) == SCORE_FULL
    trainer.run_once()
    assert stage.ledger().plants[decoy.commitment].state is PlantState.OPENED
    assert not stage.ledger().epochs[FIRST].plants
    assert stage.chain.token.balance_of(payer.address) == purse - deposited(stage)
