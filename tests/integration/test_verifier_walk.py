"""Three verifiers judge two honest trainers and two cheats on a local chain, over a real relay."""

import shutil
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from assay_core.chain.deployment import Deployment
from assay_core.protocol.types import Epoch, PolicyVersion, Role, Root, SubmissionKind, TaskId
from assay_core.transport.relay.client import RelayClient
from assay_protocol.devnet.anvil import Anvil
from assay_verifier.app import built_verifier
from assay_verifier.service import build_service
from assay_verifier.settings import ServeSettings
from tests.integration.stage import PARAMS, Stage, serving_relay, submission

pytestmark = pytest.mark.chain


def test_verifiers_judge_pay_and_slash_and_agree_on_the_next_policy(stage: Stage, anvil: Anvil) -> None:
    roles = ["verifier 1", "verifier 2", "verifier 3"]
    for role in roles:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    verifiers = [stage.verifier(role) for role in roles]
    stage.run(verifiers, lambda: len(stage.ledger().verifiers) == 3)
    trainers = [
        stage.trainer("trainer 1"),
        stage.trainer("trainer 2"),
        stage.trainer("cheat 1", "other-model"),
        stage.trainer("cheat 2", "altered-update"),
    ]
    submission(trainers)
    first = Epoch(0)
    stage.run(verifiers, lambda: stage.ledger().newest_policy().version == 1)
    ledger = stage.ledger()
    record = ledger.epochs[first]
    scores = {each.submission.trainer: record.score_of(each.submission.index) for each in record.submissions}
    assert scores == {
        stage.address("trainer 1"): 100,
        stage.address("trainer 2"): 100,
        stage.address("cheat 1"): 255,
        stage.address("cheat 2"): 255,
    }
    assert len(record.reports()) == 1 and len(record.reveals) == 3

    with RelayClient([stage.relay], stage.folder / "reader", chain_id=stage.chain.deployment.chain_id) as client:
        stage.run(verifiers, lambda: len(client.signatures(stage.task_id, first)) == 3, 20)
        signed = client.signatures(stage.task_id, first)
    assert {each.policy_root for each in signed} == {ledger.newest_policy().policy_root}

    anvil.pass_time(PARAMS.challenge_window + 1)
    stage.run(verifiers, lambda: len(stage.ledger().epochs[first].frauds) == 2)
    assert stage.ledger().epochs[first].is_final

    submission(trainers[:2])  # from the new policy
    stage.run(verifiers, lambda: stage.ledger().newest_policy().version == 2)
    assert {each.submission.policy_version for each in stage.ledger().epochs[Epoch(1)].submissions} == {
        PolicyVersion(1)
    }

    service = TestClient(build_service(ServeSettings(state_dir=stage.folder / "verifier 1")))
    shown = service.get(f"/tasks/{stage.task_id}/epochs/0/submissions").json()
    assert {each["trainer"]: (each["score"], each["reason"]) for each in shown} == {
        stage.address("trainer 1"): (100, None),
        stage.address("trainer 2"): (100, None),
        stage.address("cheat 1"): (255, "proof_mismatch"),
        stage.address("cheat 2"): (255, "replay_mismatch"),
    }


def test_verifier_that_is_killed_between_writing_and_sending_goes_on_with_the_same_report(
    stage: Stage, anvil: Anvil
) -> None:
    stage.bond("verifier 1", Role.VERIFIER, PARAMS.verifier_bond)
    with built_verifier(stage.verifier_settings("verifier 1")) as verifier:
        stage.run([verifier], lambda: len(stage.ledger().verifiers) == 1)
        anvil.mine()
        submission([stage.trainer("trainer 1")])
        attester = verifier._parts.attester  # pyright: ignore[reportPrivateUsage]
        stage.run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_sealed)
        record = stage.ledger().epochs[Epoch(0)]
        queue = verifier._parts.queue  # pyright: ignore[reportPrivateUsage]
        queue.judge_next(stage.ledger(), record)
        judged = queue.judgements(stage.ledger(), record, give_up=False)
        assert judged is not None
        before = attester.write(record, judged)  # and here the process ends
    with built_verifier(stage.verifier_settings("verifier 1")) as verifier:
        stage.run([verifier], lambda: bool(stage.ledger().epochs[Epoch(0)].reveals))
        after = verifier._parts.attester.written(record)  # pyright: ignore[reportPrivateUsage]
        assert after is not None
        assert (after.report, after.salt, after.evidence_root) == (before.report, before.salt, before.evidence_root)
    record = stage.ledger().epochs[Epoch(0)]
    assert len(record.commitments) == len(record.reveals) == 1


def test_verifier_that_loses_everything_but_its_key_after_committing_reveals_and_is_paid(
    stage: Stage, anvil: Anvil
) -> None:
    stage.bond("verifier 1", Role.VERIFIER, PARAMS.verifier_bond)
    settings, first = stage.verifier_settings("verifier 1"), Epoch(0)
    with built_verifier(settings) as verifier:
        stage.run([verifier], lambda: len(stage.ledger().verifiers) == 1)
        submission([stage.trainer("trainer 1")])
        stage.run([verifier], lambda: bool(stage.ledger().epochs[first].commitments))
    assert not stage.ledger().epochs[first].reveals
    shutil.rmtree(settings.state_dir)
    with built_verifier(settings) as verifier:
        stage.run([verifier], lambda: stage.ledger().epochs[first].is_settled)
        assert stage.ledger().epochs[first].scores == bytes([100])
        anvil.pass_time(PARAMS.challenge_window + PARAMS.reveal_window + 1)
        stage.run([verifier], lambda: stage.ledger().epochs[first].is_final)
    assert not stage.ledger().epochs[first].absences


def test_bytes_that_one_verifier_alone_can_fetch_reach_the_others_before_the_cut_off(
    stage: Stage, deployment: Deployment
) -> None:
    """A trainer that serves only some would divide them over whether its submission was there."""
    roles, first = ["verifier 1", "verifier 2"], Epoch(0)
    for role in roles:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    with serving_relay(stage.folder / "relay 2", deployment) as other:
        stage.copy_task_to(other)
        verifiers = [
            stage.verifier(roles[0], relays=(stage.relay, other)),
            stage.verifier(roles[1], relays=(other,)),
        ]
        stage.run(verifiers, lambda: len(stage.ledger().verifiers) == 2)
        submission([stage.trainer("trainer 1")])  # to the first relay only
        root = stage.ledger().epochs[first].submissions[0].submission.manifest_root
        with RelayClient([other], stage.folder / "look", chain_id=deployment.chain_id) as client:
            assert not client.has(root)
        stage.run(verifiers, lambda: len(stage.ledger().epochs[first].reveals) == 2)
    assert {reveal.report for reveal in stage.ledger().epochs[first].reveals.values()} == {bytes([100])}


def test_submission_that_no_relay_has_is_unavailable_and_no_fraud(stage: Stage, anvil: Anvil) -> None:
    stage.bond("verifier 1", Role.VERIFIER, PARAMS.verifier_bond)
    verifier = stage.verifier("verifier 1")
    stage.run([verifier], lambda: len(stage.ledger().verifiers) == 1)
    trainer = stage.sender_of("trainer 1")
    stage.bond("trainer 1", Role.TRAINER, PARAMS.trainer_bond)
    commitments, terms = stage.chain.commitments, stage.ledger().task.terms_hash
    trainer.send(commitments.enlist(stage.task_id, terms))
    commitment = stage.task_id, Epoch(0), SubmissionKind.FULL, Root(b"\x09" * 32), 4, PolicyVersion(0)
    trainer.send(commitments.commit_submission(*commitment, is_last=True))
    stage.run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_sealed)
    for _ in range(5):
        verifier.run_once()
    assert not stage.ledger().epochs[Epoch(0)].commitments  # there is still time to wait for the bytes
    anvil.pass_time(PARAMS.attest_window * 4 // 5)
    stage.run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_settled)
    ledger = stage.ledger()
    assert ledger.epochs[Epoch(0)].scores == bytes([254])
    for _ in range(5):
        verifier.run_once()
    assert len(ledger.policies) == 1  # nothing was accepted, so no policy follows


def test_too_small_a_bond_stops_the_verifier_and_says_what_to_do(stage: Stage) -> None:
    from assay_core.protocol.errors import Stop

    with pytest.raises(Stop, match="assay stake bond --role verifier"):
        stage.verifier("outsider").run_once()


def test_unknown_task_stops_the_verifier(stage: Stage) -> None:
    from assay_core.protocol.errors import Stop

    stage = replace(stage, task_id=TaskId(99))
    with pytest.raises(Stop, match="no task 99"):
        stage.verifier("outsider")
