"""Who pays after an appeal or for a plant, and who is missing: the contracts' rules, from the ledger alone."""

from dataclasses import replace

import pytest

from assay_core.chain.blame import fooled, suspects
from assay_core.chain.records import DisputeRecord, EpochRecord, Reveal, Vote
from assay_core.protocol.encoding import derive, uniform_bps
from assay_core.protocol.types import Address, DisputePhase, Epoch, Root, Seed, SubmissionIndex
from assay_verifier.disputes import absent_jurors
from tests.unit.verifier.chronicle import PARAMS

VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
JURORS = tuple(Address(f"0x{n:040d}") for n in (21, 22, 23))
SEED = Seed(b"\x05" * 32)
SUBMISSION = SubmissionIndex(0)
DRAW = uniform_bps(derive(SEED, "replay", 0))
DRAWN = replace(PARAMS, sampling_bps=DRAW + 1)  # the seed picks submission 0 for a replay
NOT_DRAWN = replace(PARAMS, sampling_bps=DRAW)


def record(*reports: int, settled: int = 100) -> EpochRecord:
    """Of one submission, of which the verifiers said this."""
    reveals = {
        verifier: Reveal(bytes([report]), Root(b"e" * 32), 100, (1, 0))
        for verifier, report in zip(VERIFIERS, reports, strict=False)
    }
    weights = dict.fromkeys(VERIFIERS, 100)
    return EpochRecord(
        Epoch(0), 0, seed=SEED, weights=weights, reveals=reveals, settled=bytes([settled]), is_settled=True
    )


def dispute(standing: int, score: int, outcome: DisputePhase, *, is_against_verifiers: bool) -> DisputeRecord:
    found = DisputeRecord(SUBMISSION, standing, (1, 0), outcome=outcome, score=score, seats=dict.fromkeys(JURORS, 1))
    found.is_against_verifiers = is_against_verifiers
    return found


def test_who_gave_the_overturned_score_pays_and_nobody_else() -> None:
    overturned = dispute(255, 100, DisputePhase.OVERTURNED, is_against_verifiers=True)
    assert list(suspects(record(255, 100, 255), overturned, PARAMS)) == [VERIFIERS[0], VERIFIERS[2]]


def test_who_would_have_paid_what_is_fraud_pays_whatever_score_stood() -> None:
    overturned = dispute(0, 255, DisputePhase.OVERTURNED, is_against_verifiers=True)
    assert list(suspects(record(255, 0, 100), overturned, PARAMS)) == list(VERIFIERS[1:])
    assert list(suspects(record(255, 0, 254), overturned, PARAMS)) == [VERIFIERS[1]]


def test_where_only_what_was_not_drawn_shows_it_nobody_pays() -> None:
    overturned = dispute(100, 255, DisputePhase.OVERTURNED, is_against_verifiers=False)
    assert list(suspects(record(100, 100, 100), overturned, PARAMS)) == []


def test_nobody_pays_twice_or_where_the_terms_have_no_penalty() -> None:
    overturned = dispute(255, 100, DisputePhase.OVERTURNED, is_against_verifiers=True)
    overturned.verdict_slashes[VERIFIERS[0]] = 20
    assert list(suspects(record(255, 255, 255), overturned, PARAMS)) == list(VERIFIERS[1:])
    assert list(suspects(record(255, 255, 255), overturned, replace(PARAMS, verdict_slash_bps=0))) == []


def test_a_meaningless_byte_stands_for_the_zero_that_it_counts_as() -> None:
    overturned = dispute(0, 100, DisputePhase.OVERTURNED, is_against_verifiers=True)
    assert list(suspects(record(101, 100, 0), overturned, PARAMS)) == [VERIFIERS[0], VERIFIERS[2]]


# ---- plants


def planted(*reports: int) -> EpochRecord:
    found = record(*reports, settled=255)
    found.plants[SUBMISSION], found.is_final = b"p" * 32, True
    found.plants_in_time.add(SUBMISSION)
    return found


def test_who_paid_a_plant_that_was_drawn_pays_for_it_once() -> None:
    plant = planted(100, 255, 1)
    assert list(fooled(plant, SUBMISSION, DRAWN)) == [VERIFIERS[0], VERIFIERS[2]]
    plant.paid_plants[SUBMISSION, VERIFIERS[0]] = 20
    assert list(fooled(plant, SUBMISSION, DRAWN)) == [VERIFIERS[2]]


def test_who_could_not_have_known_or_did_not_pay_pays_nothing() -> None:
    assert list(fooled(planted(100, 100, 100), SUBMISSION, NOT_DRAWN)) == []
    assert list(fooled(planted(0, 254, 255), SUBMISSION, DRAWN)) == []


@pytest.mark.parametrize("what", ["open", "no plant", "late", "not fraud", "by appeal", "undecided"])
def test_before_a_plant_is_found_out_by_the_verifiers_nobody_pays(what: str) -> None:
    plant = planted(100, 100, 100)
    if what == "open":
        plant.is_final = False
    elif what == "no plant":
        plant.plants.clear()
        plant.plants_in_time.clear()
    elif what == "late":
        plant.plants_in_time.clear()
    elif what == "undecided":
        plant.disputes[SUBMISSION] = dispute(255, 255, DisputePhase.UNDECIDED, is_against_verifiers=False)
    elif what == "not fraud":
        plant.settled = bytes([100])
    else:
        plant.disputes[SUBMISSION] = dispute(100, 255, DisputePhase.OVERTURNED, is_against_verifiers=True)
    assert list(fooled(plant, SUBMISSION, DRAWN)) == []


# ---- jurors


def test_absence_from_a_panel_is_known_once_it_has_decided() -> None:
    missing = dispute(100, 100, DisputePhase.UPHELD, is_against_verifiers=False)
    missing.votes = {juror: Vote(100, False, 1, (1, 0)) for juror in JURORS[:2]}
    assert list(absent_jurors(missing)) == [JURORS[2]]
    missing.outcome = DisputePhase.NONE
    assert list(absent_jurors(missing)) == []
