"""What is due, out of the ledger alone: who never has to wait, who pays, and what nobody sends in vain."""

from dataclasses import replace

import pytest

from assay_core.protocol.encoding import derive, uniform_bps
from assay_core.protocol.types import Address, DisputePhase, Epoch, EpochPhase, PolicyState, Root
from assay_verifier.chores import due_calls, fees_due
from tests.unit.verifier.chronicle import CONTRACT, PARAMS, UNBONDING_S, Chronicle, contracts

VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
TRAINERS = tuple(Address(f"0x{n:040d}") for n in (11, 12, 13))
JURORS = tuple(Address(f"0x{n:040d}") for n in (21, 22))
ROOT = Root(b"\x05" * 32)
REPORT = bytes([100, 255])


def chronicle_of_two_submissions() -> Chronicle:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS[:2])
    chronicle.submission(TRAINERS[0], Root(b"\x01" * 32))
    chronicle.submission(TRAINERS[1], Root(b"\x02" * 32))
    chronicle.seal()
    return chronicle


def settled(*reporters: Address, scores: bytes = REPORT) -> Chronicle:
    chronicle = chronicle_of_two_submissions()
    for verifier in reporters or VERIFIERS:
        chronicle.reveal(verifier, REPORT, ROOT)
    chronicle.settle(scores)
    return chronicle


def due(chronicle: Chronicle, phase: EpochPhase | None = None, now: int = 0) -> list[str]:
    phases = {} if phase is None else {Epoch(0): phase}
    return [each.call().function for each in due_calls(chronicle.ledger, phases, now, VERIFIERS[0], contracts())]


# ---- epochs


def test_epoch_is_finalised_once_its_challenge_window_is_over() -> None:
    chronicle = settled()
    assert due(chronicle, EpochPhase.CHALLENGEABLE, now=1_999) == []
    assert due(chronicle, EpochPhase.CHALLENGEABLE, now=2_000) == ["finalise"]


def test_a_challenge_keeps_an_epoch_from_being_finalised_until_it_expires_or_is_decided() -> None:
    chronicle = settled()
    number = chronicle.challenge(CONTRACT, b"\x01" * 32)
    assert due(chronicle, EpochPhase.CHALLENGEABLE, now=2_000) == []
    chronicle.reveal_challenge(number, 0, 255)
    assert "finalise" not in due(chronicle, EpochPhase.CHALLENGEABLE, now=9_000)
    chronicle.decide(0, 100, DisputePhase.UPHELD)
    assert "finalise" in due(chronicle, EpochPhase.CHALLENGEABLE, now=9_000)


def test_missed_epoch_is_voided() -> None:
    assert "voidEpoch" in due(chronicle_of_two_submissions(), EpochPhase.MISSED)


def test_epoch_that_nobody_settles_is_voided_an_unbonding_period_after_its_reveals() -> None:
    chronicle = chronicle_of_two_submissions()
    for verifier in VERIFIERS:
        chronicle.reveal(verifier, REPORT, ROOT)
    over = 1_000 + PARAMS.reveal_window + UNBONDING_S
    assert due(chronicle, EpochPhase.ATTESTED, now=over - 1) == []
    assert due(chronicle, EpochPhase.ATTESTED, now=over) == ["voidEpoch"]


# ---- who pays


def test_absence_costs_anyone_who_did_not_reveal_once_reveals_are_over() -> None:
    chronicle = chronicle_of_two_submissions()
    chronicle.commit(VERIFIERS[1], bytes(32))  # and never reveals
    chronicle.reveal(VERIFIERS[0], REPORT, ROOT)
    chronicle.reveal(VERIFIERS[2], REPORT, ROOT)
    assert due(chronicle, EpochPhase.ATTEST_REVEAL) == []
    for phase in (EpochPhase.MISSED, EpochPhase.ATTESTED):
        assert due(chronicle, phase).count("slashAbsence") == 1
    chronicle.void()
    assert due(chronicle) == ["slashAbsence"]


def test_few_who_revealed_are_no_witnesses_against_most() -> None:
    chronicle = chronicle_of_two_submissions()
    chronicle.reveal(VERIFIERS[0], REPORT, ROOT)
    chronicle.void()
    assert due(chronicle) == []


def test_nobody_is_absent_where_nobody_revealed() -> None:
    """A chain that stood still is no reason to slash all."""
    chronicle = chronicle_of_two_submissions()
    chronicle.void()
    assert due(chronicle) == []


def test_nobody_reports_its_own_absence() -> None:
    chronicle = chronicle_of_two_submissions()
    for verifier in VERIFIERS[1:]:
        chronicle.reveal(verifier, REPORT, ROOT)
    chronicle.void()
    assert due(chronicle) == []


def test_final_frauds_are_slashed_until_the_chain_shows_it() -> None:
    chronicle = settled()
    assert due(chronicle) == []
    chronicle.finalise()
    assert due(chronicle) == ["slashFraud"]
    chronicle.slash(TRAINERS[1], 1)
    assert due(chronicle) == []


def test_a_plant_is_not_slashed_but_who_paid_it_is() -> None:
    chronicle = chronicle_of_two_submissions()
    for verifier, report in zip(VERIFIERS, [REPORT, REPORT, bytes([100, 100])], strict=True):
        chronicle.reveal(verifier, report, ROOT)
    chronicle.settle(REPORT)
    chronicle.plant(1)
    assert due(chronicle) == []
    chronicle.finalise()
    assert due(chronicle) == ["slashPaidPlant"]


@pytest.mark.parametrize("is_drawn", [True, False])
def test_a_plant_that_the_seed_did_not_draw_costs_nobody(is_drawn: bool) -> None:
    chronicle = settled(scores=bytes([255, 255]))  # all have paid the first
    chronicle.plant(0)
    chronicle.finalise()
    seed = chronicle.record().seed
    assert seed is not None
    draw = uniform_bps(derive(seed, "replay", 0))
    chronicle.ledger.task.params = replace(PARAMS, sampling_bps=draw + is_drawn)
    assert due(chronicle).count("slashPaidPlant") == (3 if is_drawn else 0)


# ---- challenges


def test_a_challenge_that_is_not_revealed_in_time_expires() -> None:
    chronicle = settled()
    chronicle.challenge(CONTRACT, b"\x01" * 32)
    over = 2_000 + PARAMS.reveal_window
    assert "expireChallenge" not in due(chronicle, EpochPhase.CHALLENGEABLE, now=over - 1)
    assert "expireChallenge" in due(chronicle, EpochPhase.CHALLENGEABLE, now=over)


def overturned(*, is_against_verifiers: bool) -> Chronicle:
    chronicle = settled(*VERIFIERS[:2], scores=bytes([100, 0]))
    chronicle.dispute(0, 0)
    chronicle.draw(0, *JURORS)
    chronicle.vote(JURORS[0], 0)
    chronicle.decide(0, 0, DisputePhase.OVERTURNED, is_against_verifiers=is_against_verifiers)
    return chronicle


def test_verifiers_behind_an_overturned_score_pay_where_a_panel_blames_them() -> None:
    blamed = due(overturned(is_against_verifiers=True), EpochPhase.CHALLENGEABLE)
    assert blamed.count("slashVerdict") == 2
    assert due(overturned(is_against_verifiers=False), EpochPhase.CHALLENGEABLE).count("slashVerdict") == 0


def test_jurors_that_did_not_vote_lose_their_seats() -> None:
    assert due(overturned(is_against_verifiers=False), EpochPhase.CHALLENGEABLE).count("dismissJuror") == 1


# ---- the open epoch


def test_epoch_is_closed_when_its_window_is_over_and_it_has_submissions() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.trainer(*TRAINERS[:2])
    assert due(chronicle, now=1_000) == []  # it waits for its first submission
    chronicle.submission(TRAINERS[0], ROOT)
    assert due(chronicle, now=999) == []
    assert due(chronicle, now=1_000) == ["closeEpoch"]
    chronicle.close()
    assert due(chronicle, now=1_000) == []


def test_last_epoch_of_a_closed_task_is_abandoned_when_nobody_worked_in_it() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.close_task()
    assert due(chronicle, now=999) == []
    assert due(chronicle, now=1_000) == ["abandonEpoch"]


def test_trainer_that_has_left_is_no_longer_waited_for() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS)
    for epoch in range(3):  # the third was crowded out of all, or slow
        chronicle.submission(TRAINERS[0], Root(bytes([1, epoch]) * 16), epoch=epoch)
        chronicle.submission(TRAINERS[1], Root(bytes([2, epoch]) * 16), epoch=epoch)
        assert due(chronicle) == []  # it was not there before the last two epochs opened, the contract says
        chronicle.seal(epoch)
    assert due(chronicle) == []
    chronicle.submission(TRAINERS[0], Root(b"\x03" * 32), epoch=3)
    assert due(chronicle) == []  # the second is still at work: it is not the third that the epoch waits for
    chronicle.submission(TRAINERS[1], Root(b"\x04" * 32), epoch=3)
    assert due(chronicle) == ["delist"]


def test_nobody_is_delisted_while_a_newcomer_is_waited_for() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS[:2])
    for epoch in range(3):
        chronicle.submission(TRAINERS[0], Root(bytes([1, epoch]) * 16), epoch=epoch)
        chronicle.seal(epoch)
    chronicle.trainer(TRAINERS[2])
    chronicle.submission(TRAINERS[0], Root(b"\x03" * 32), epoch=3)
    assert due(chronicle) == []
    chronicle.submission(TRAINERS[2], Root(b"\x04" * 32), epoch=3)
    assert due(chronicle) == ["delist"]


# ---- policies


def test_a_late_policy_is_skipped_and_first_those_before_it_that_are_not_due() -> None:
    chronicle = chronicle_of_two_submissions()
    chronicle.void()
    chronicle.submission(TRAINERS[0], ROOT, epoch=1)
    chronicle.seal(1)
    late = 2_000 + PARAMS.reveal_window
    assert "skipPolicy" not in due(chronicle, now=late)  # nobody waits for anything yet
    chronicle.settle(bytes([100]), epoch=1)
    assert skipped(chronicle, 2_000 - 1) == []
    assert skipped(chronicle, 2_000) == [0]  # the other is waited for from then on
    chronicle.skip(0, PolicyState.NOT_DUE)
    assert skipped(chronicle, late - 1) == []
    assert skipped(chronicle, late) == [1]
    chronicle.skip(1)
    assert skipped(chronicle, late) == []


def skipped(chronicle: Chronicle, now: int) -> list[int]:
    due = due_calls(chronicle.ledger, {}, now, VERIFIERS[0], contracts())
    return [each.epoch for each in due if each.call().function == "skipPolicy"]


def test_a_policy_that_was_published_is_not_skipped_however_late() -> None:
    chronicle = settled()
    chronicle.publish(ROOT)
    assert skipped(chronicle, 10**9) == []


# ---- fees


def test_fees_are_due_for_final_epochs_in_which_we_revealed_once_their_policy_is_there() -> None:
    chronicle = settled(VERIFIERS[0])
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == []
    chronicle.finalise()
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == []
    chronicle.publish(ROOT)
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == [Epoch(0)]
    assert fees_due(chronicle.ledger, VERIFIERS[1]) == []


def test_a_skipped_policy_forfeits_the_fee_and_one_that_is_not_due_does_not() -> None:
    chronicle = settled()
    chronicle.finalise()
    chronicle.skip()
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == []
    unpaid = settled(scores=bytes([0, 255]))
    unpaid.finalise()
    assert fees_due(unpaid.ledger, VERIFIERS[0]) == []
    paid = settled(scores=bytes([1, 255]))
    paid.finalise()
    paid.skip(state=PolicyState.NOT_DUE)
    assert fees_due(paid.ledger, VERIFIERS[0]) == [Epoch(0)]


def test_where_the_terms_have_no_fee_none_is_due() -> None:
    chronicle = settled(scores=bytes([0, 0]))
    chronicle.finalise()
    chronicle.ledger.task.params = replace(PARAMS, verifier_fee=0)
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == []
