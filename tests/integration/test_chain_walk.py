"""A task from its opening to its last payout, through the typed contracts, the sender and the ledger."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import NO_ADDRESS
from assay_core.chain.events import AppealPaid, Claimed, FraudSlashed, Slashed, VerdictSlashed
from assay_core.chain.headers import header_of
from assay_core.chain.keys import WorkerConsent, sign_worker_key
from assay_core.chain.sender import Sender
from assay_core.protocol import encoding
from assay_core.protocol.economics import challenge_cost
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import (
    BPS,
    FINDER_BPS,
    PANEL_SEATS,
    ChallengeId,
    ChallengeState,
    DisputePhase,
    Epoch,
    EpochPhase,
    PlantState,
    PolicyState,
    PolicyVersion,
    Role,
    Root,
    SubmissionIndex,
    SubmissionKind,
)
from assay_protocol.devnet.anvil import Anvil
from tests.integration.chain_walk import EVIDENCE, FIRST, NEXT_POLICY, PARAMS, POLICY, SALT, SPEC, UNIT, Walk

pytestmark = pytest.mark.chain

SenderOf = Callable[[str], Sender]
FOREVER = 2**40


@pytest.fixture
def walk(chain: Chain, sender_of: SenderOf) -> Walk:
    return Walk(chain, sender_of)


def test_a_task_is_opened_worked_judged_paid_and_a_cheat_slashed(walk: Walk, anvil: Anvil, sender_of: SenderOf) -> None:
    chain = walk.chain
    honest, cheat = walk.trainers
    outsider = sender_of("outsider")

    walk.open()
    ledger = walk.ledger()
    assert ledger.task.params == PARAMS == chain.registry.params_of(walk.task_id)
    assert ledger.task.initiator == walk.initiator.address
    assert (ledger.task.spec_hash, ledger.task.spec_uri) == (SPEC, "assay:0x01")
    assert ledger.previous_seed(FIRST) == ledger.task.seed
    assert ledger.newest_policy().policy_root == POLICY
    terms = walk.task_id, walk.initiator.address, PARAMS, SPEC, POLICY
    assert ledger.task.terms_hash == encoding.terms_hash(*terms) == chain.registry.origin_of(walk.task_id).terms_hash

    walk.enlist()
    walk.commit_submissions()
    ledger = walk.ledger()
    assert ledger.trainers == {trainer.address: FIRST for trainer in (honest, cheat)}
    assert ledger.verifiers == {verifier.address: PARAMS.verifier_bond for verifier in walk.verifiers}
    record = ledger.epochs[FIRST]
    assert ledger.open_epoch is record and record.is_closed  # nobody is waited for
    running = bytes(32)
    for committed in record.submissions:
        submission = committed.submission
        running = encoding.running_hash(running, encoding.submission_hash(submission))
        assert encoding.submission_hash(submission) == chain.commitments.submission_hash(
            walk.task_id, FIRST, submission.index
        )
        assert ledger.staleness_of(committed) == 0
    assert running == chain.commitments.running_hash_of(walk.task_id)
    assert chain.commitments.collateral_of(walk.task_id, honest.address).locked_wei == PARAMS.trainer_bond
    assert chain.verifiers.electorate_of(walk.task_id).weight == sum(ledger.electorate(FIRST).values())

    walk.seal(anvil)
    ledger = walk.ledger()
    assert record.seed == chain.attestations.seed_of(walk.task_id, FIRST)
    assert record.members == {verifier.address for verifier in walk.verifiers}
    assert (record.weight_at_seal, record.verifiers_at_seal) == (sum(record.weights.values()), len(record.weights))
    assert ledger.task.is_closed and ledger.open_epoch is None  # one epoch was asked for

    report = bytes([80, 255])
    walk.attest(report)
    walk.ledger()
    assert record.is_attested and not record.is_settled
    assert record.reports() == [report]
    assert {reveal.evidence_root for reveal in record.reveals.values()} == {EVIDENCE}
    assert {each.sealed_report for each in record.commitments.values()} == {b"sealed"}
    assert chain.attestations.phase_of(walk.task_id, FIRST) is EpochPhase.ATTESTED
    assert chain.attestations.tally_of(walk.task_id, FIRST).revealed == 3
    said = chain.attestations.attestation_of(walk.task_id, FIRST, walk.verifiers[0].address)
    assert said.report_hash == encoding.report_hash(report)[:31] and said.weight == PARAMS.verifier_bond

    outsider.send(chain.attestations.settle(walk.task_id, FIRST, [report], 1))
    assert walk.record().scores is None and record.settled == report[:1]
    outsider.send(chain.attestations.settle(walk.task_id, FIRST, [report], 1))
    walk.publish()
    ledger = walk.ledger()
    schedule = chain.attestations.schedule_of(walk.task_id, FIRST)
    assert (record.scores, record.paid, record.challenge_by) == (report, 1, schedule.challenge_by)
    assert [policy.version for policy in ledger.policies] == [0, 1]
    assert ledger.newest_policy().policy_root == NEXT_POLICY
    assert ledger.newest_policy(before=record.submissions[0].position).policy_root == POLICY
    line = chain.policies.policy_of(walk.task_id)
    assert (line.version, line.policy_root, line.next_epoch) == (1, NEXT_POLICY, ledger.next_policy_epoch)
    assert chain.policies.state_of(walk.task_id, FIRST) is record.policy_state is PolicyState.PUBLISHED

    anvil.pass_time(PARAMS.challenge_window + 1)
    outsider.send(chain.attestations.finalise(walk.task_id, FIRST))
    places = [encoding.submission_place(FIRST, SubmissionIndex(index)) for index in (1, 0)]
    assert chain.attestations.final_scores_of(walk.task_id, places) == bytes([255, 80])
    before = walk.balance(honest.address)
    claimed = outsider.send(chain.payouts.claim([walk.ref(0)])).event(Claimed)
    assert claimed.amount == 8 * UNIT == walk.balance(honest.address) - before
    slashed = outsider.send(chain.payouts.slash_fraud(walk.ref(1)))
    reward = PARAMS.fraud_slash // 10
    taken = slashed.event(Slashed)
    assert (taken.operator, taken.recipient) == (cheat.address, outsider.address)
    assert (taken.amount, taken.recipient_amount) == (PARAMS.fraud_slash, reward)
    assert slashed.event(FraudSlashed).reporter == outsider.address
    judge = walk.verifiers[0].address
    fee = chain.payouts.fee_of(walk.task_id, FIRST, judge)
    outsider.send(chain.payouts.claim_fees(walk.task_id, [FIRST], judge))
    walk.initiator.send(chain.registry.refund_task(walk.task_id))

    ledger = walk.ledger()
    assert record.is_final and record.claims == {0: 8 * UNIT} and set(record.frauds) == {1}
    assert record.fees == {judge: fee} and fee == UNIT // 10  # a third of a tenth: one of ten was paid
    assert chain.staking.bond_of(cheat.address, Role.TRAINER).bonded_wei == 10 * UNIT
    assert ledger.task.refunded_wei > 0
    assert [each.score_of(SubmissionIndex(0)) for each in ledger.epochs.values()] == [80]


def test_a_seed_follows_from_one_block_anyone_who_seals_and_whenever(walk: Walk, anvil: Anvil) -> None:
    """By hand, from what the chain says of that block."""
    chain = walk.chain
    walk.open()
    walk.enlist()
    walk.commit_submissions()
    block = walk.record().seed_block
    assert block is not None
    anvil.mine(5)
    running = chain.commitments.running_hash_of(walk.task_id)
    found = chain.web3.eth.get_block(block)
    by_header = encoding.epoch_seed(bytes(found["mixHash"]), running, walk.task_id, FIRST)  # pyright: ignore[reportTypedDictNotRequiredAccess]
    by_hash = encoding.epoch_seed(bytes(found["hash"]), running, walk.task_id, FIRST)  # pyright: ignore[reportTypedDictNotRequiredAccess]
    snapshot = anvil.snapshot()
    for header, wanted in ((header_of(chain.web3, block), by_header), (None, by_hash)):
        walk.initiator.send(chain.attestations.seal_epoch(walk.task_id, header))
        assert chain.attestations.seed_of(walk.task_id, FIRST) == wanted
        anvil.revert(snapshot)
        snapshot = anvil.snapshot()
    with pytest.raises(Reverted) as caught:
        walk.initiator.send(chain.attestations.seal_epoch(walk.task_id, header_of(chain.web3, block + 1)))
    assert caught.value.error == "WrongHeader"


def test_a_challenge_is_heard_by_a_panel_and_pays_who_found_the_fraud(
    walk: Walk, anvil: Anvil, sender_of: SenderOf
) -> None:
    chain, watcher = walk.chain, sender_of("watcher")
    jurors = [sender_of(f"juror {number}") for number in range(4)]
    walk.open()
    walk.seat(jurors, 4)
    walk.enlist()
    walk.commit_submissions()
    walk.seal(anvil)
    walk.attest(bytes([80, 90]))
    walk.settle()

    submission = SubmissionIndex(1)
    where = walk.task_id, FIRST, submission
    cost = challenge_cost(PARAMS)
    held = walk.balance(watcher.address)
    commitment = encoding.challenge_commitment(walk.task_id, FIRST, watcher.address, submission, 255, SALT)
    watcher.send(chain.token.approve(chain.appeals.address, cost))
    watcher.send(chain.appeals.commit_challenge(walk.task_id, FIRST, commitment))
    assert walk.balance(watcher.address) == held - cost
    anvil.pass_time(PARAMS.challenge_window + 1)
    watcher.send(chain.appeals.reveal_challenge(walk.task_id, FIRST, ChallengeId(0), submission, 255, SALT))
    assert chain.appeals.phase_of(*where) is DisputePhase.REVEALED
    assert chain.appeals.is_challenger(*where, watcher.address)
    challenge = chain.appeals.challenge_of(walk.task_id, FIRST, ChallengeId(0))
    assert challenge is not None and challenge.state is ChallengeState.REVEALED

    walk.draw(anvil, 1)
    dispute = walk.record().disputes[submission]
    seed_block = dispute.seed_block
    assert seed_block is not None and dispute.panel_size == PANEL_SEATS
    randomness = bytes(chain.web3.eth.get_block(seed_block)["mixHash"])  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert dispute.seed == encoding.panel_seed(randomness, *where) == chain.appeals.dispute_of(*where).seed
    assert dispute.seats == {juror.address: chain.appeals.seats_of(*where, juror.address) for juror in jurors}

    walk.vote(jurors, 1, 255)
    record = walk.record()
    assert (dispute.outcome, dispute.is_against_verifiers) == (DisputePhase.OVERTURNED, True)
    assert (record.score_of(submission), record.settled_score_of(submission)) == (255, 90)
    blamed = walk.verifiers[0].address
    lost = watcher.send(chain.appeals.slash_verdict(*where, blamed, bytes([80, 90]))).event(VerdictSlashed)
    assert lost.amount == PARAMS.verifier_bond * PARAMS.verdict_slash_bps // BPS
    assert lost.to_finder == lost.amount * FINDER_BPS // BPS
    # What it weighs in epochs that are not closed yet; the sealed one keeps its weights.
    assert walk.ledger().verifiers.get(blamed) is None and record.weights[blamed] == PARAMS.verifier_bond
    owed = chain.appeals.owed_to(walk.task_id, FIRST, ChallengeId(0))
    assert owed == PARAMS.challenge_bond + lost.to_finder  # judging took all that was prepaid
    paid = jurors[0].send(chain.appeals.claim_challenge(walk.task_id, FIRST, ChallengeId(0))).event(AppealPaid)
    assert (paid.to, paid.amount) == (watcher.address, owed)
    juror = jurors[0].address
    fee = watcher.send(chain.appeals.claim_vote(*where, juror)).event(AppealPaid)
    assert fee.amount == PARAMS.juror_fee * dispute.seats[juror]
    assert walk.record().appeals_paid == {(1, watcher.address): owed, (1, juror): fee.amount}


def test_a_plant_is_opened_by_its_trainer_and_slashes_who_paid_it(walk: Walk, anvil: Anvil) -> None:
    chain, planter = walk.chain, walk.trainers[1]
    walk.open()
    walk.enlist()
    root = encoding.Root(bytes([11]) * 32)
    deposit = chain.plants.deposit_of(walk.task_id)
    commitment = encoding.plant_commitment(walk.task_id, planter.address, root, SALT)
    decoy = encoding.decoy_commitment(walk.task_id, SALT)
    planter.send(chain.token.approve(chain.plants.address, 2 * deposit))
    for each in (commitment, decoy):
        planter.send(chain.plants.commit_plant(walk.task_id, each))
    walk.commit_submissions()
    walk.seal(anvil)
    drawn = encoding.must_replay(walk.seed(), 1, PARAMS.sampling_bps)
    assert chain.plants.is_drawn(walk.task_id, FIRST, SubmissionIndex(1)) is drawn
    # Two of three find it; the third pays it.
    walk.attest(bytes([80, 255]), bytes([80, 255]), bytes([80, 70]))
    walk.settle()
    planter.send(chain.plants.open_plant(walk.ref(1), SALT))
    planter.send(chain.plants.refund_plant(walk.task_id, NO_ADDRESS, Root(bytes(32)), SALT))
    plant = chain.plants.plant_of(walk.task_id, commitment)
    known = walk.ledger().plants[commitment]
    assert (plant.state, plant.epoch, plant.planter) == (PlantState.OPENED, FIRST, planter.address)
    assert (known.state, known.epoch, known.index) == (PlantState.OPENED, FIRST, 1)
    assert walk.ledger().plants[decoy].state is PlantState.OPENED
    hash_of_submission = encoding.submission_hash(walk.ref(1).submission)
    assert chain.commitments.submission_hash(walk.task_id, FIRST, SubmissionIndex(1)) == encoding.plant_hash(
        hash_of_submission
    )
    anvil.pass_time(PARAMS.challenge_window + 1)
    walk.initiator.send(chain.attestations.finalise(walk.task_id, FIRST))
    lazy = walk.verifiers[2].address
    call = chain.plants.slash_paid_plant(walk.task_id, FIRST, SubmissionIndex(1), lazy, bytes([80, 70]))
    if drawn:
        walk.initiator.send(call)
        assert set(walk.record().paid_plants) == {(1, lazy)}
    else:
        with pytest.raises(Reverted) as caught:
            walk.initiator.send(call)
        assert caught.value.error == "NotDrawn"


def test_a_worker_key_acts_for_its_operator_until_either_ends_it(walk: Walk, sender_of: SenderOf) -> None:
    chain, operator, worker = walk.chain, walk.trainers[0], sender_of("worker")
    at = chain.deployment.chain_id, chain.staking.address

    def consent(nonce: int) -> bytes:
        return sign_worker_key(worker.account, *at, WorkerConsent(operator.address, worker.address, nonce, FOREVER))

    first = consent(chain.staking.worker_nonce_of(worker.address))
    operator.send(chain.staking.set_worker_key(worker.address, FOREVER, first))
    assert chain.staking.operator_of(worker.address) == operator.address
    assert chain.staking.worker_of(operator.address) == worker.address

    walk.open()
    walk.enlist()
    commit = chain.commitments.commit_submission(
        walk.task_id, Epoch(0), SubmissionKind.FULL, SPEC, 1, PolicyVersion(0), is_last=True
    )
    worker.send(commit)
    assert walk.record().submissions[0].submission.trainer == operator.address

    operator.send(chain.staking.remove_worker_key())
    assert chain.staking.worker_of(operator.address) is None
    with pytest.raises(Reverted, match="BadWorkerSignature"):  # a consent serves once
        operator.send(chain.staking.set_worker_key(worker.address, FOREVER, first))
    operator.send(chain.staking.set_worker_key(worker.address, FOREVER, consent(1)))
    worker.send(chain.staking.renounce_worker_key())
    assert chain.staking.operator_of(worker.address) == worker.address


def test_a_worker_key_that_did_not_consent_is_refused(walk: Walk, sender_of: SenderOf) -> None:
    chain, operator, worker = walk.chain, walk.trainers[0], sender_of("worker")
    consent = WorkerConsent(operator.address, worker.address, 0, FOREVER)
    by_another = sign_worker_key(operator.account, chain.deployment.chain_id, chain.staking.address, consent)
    with pytest.raises(Reverted) as caught:
        operator.send(chain.staking.set_worker_key(worker.address, FOREVER, by_another))
    assert (caught.value.error, caught.value.arguments) == ("BadWorkerSignature", {"worker": worker.address})


def test_who_enlists_names_the_terms_that_it_has_seen(walk: Walk) -> None:
    chain = walk.chain
    walk.open()
    walk.bond(walk.trainers[:1], Role.TRAINER, PARAMS.trainer_bond)
    other = encoding.terms_hash(
        walk.task_id, walk.initiator.address, replace(PARAMS, fraud_slash=PARAMS.fraud_slash + 1), SPEC, POLICY
    )
    with pytest.raises(Reverted) as caught:
        walk.trainers[0].send(chain.commitments.enlist(walk.task_id, other))
    assert caught.value.error == "WrongTerms"
