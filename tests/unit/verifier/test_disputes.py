"""Who pays after an appeal, who is excused, who is owed: the contract's rules, from the ledger alone."""

from dataclasses import replace

import pytest

from offchain.chain.ledger import ChallengeRecord, EpochRecord, Reveal
from offchain.protocol.encoding import derive, uniform_bps
from offchain.protocol.types import Address, ChallengePhase, Epoch, Root, Seed, WorkIndex
from tests.unit.verifier.chronicle import PARAMS
from verifier.disputes import absentees, is_against_verifiers, is_excused, is_owed, score_in, suspects

VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
CHALLENGER = Address(f"0x{9:040d}")
SEED = Seed(b"\x05" * 32)
DRAW = uniform_bps(derive(SEED, "replay", 0))
DRAWN = replace(PARAMS, sampling_bps=DRAW + 1)  # the seed picks work 0 for a replay
NOT_DRAWN = replace(PARAMS, sampling_bps=DRAW)


def record() -> EpochRecord:
    reveals = {verifier: Reveal(b"r" * 32, Root(b"e" * 32), (1, 0)) for verifier in VERIFIERS}
    return EpochRecord(
        Epoch(0), 0, seed=SEED, members=frozenset(VERIFIERS), weight_at_seal=300, verifiers_at_seal=3, reveals=reveals
    )


def dispute(standing: int, votes: list[int], score: int, outcome: ChallengePhase) -> ChallengeRecord:
    return ChallengeRecord(
        WorkIndex(0),
        CHALLENGER,
        standing,
        claimed=score,
        bond=1,
        commit_by=0,
        position=(1, 0),
        votes=dict(zip(VERIFIERS, votes, strict=False)),
        weights=dict.fromkeys(VERIFIERS[: len(votes)], 100),
        outcome=outcome,
        score=score,
    )


def test_a_false_fraud_has_no_excuse() -> None:
    overturned = dispute(255, [100, 100, 100], 100, ChallengePhase.OVERTURNED)
    assert list(suspects(record(), overturned, NOT_DRAWN)) == list(VERIFIERS)


def test_a_cheat_accepted_where_a_replay_was_due_has_no_excuse() -> None:
    overturned = dispute(100, [255, 255, 255], 255, ChallengePhase.OVERTURNED)
    assert list(suspects(record(), overturned, DRAWN)) == list(VERIFIERS)
    assert list(suspects(record(), overturned, NOT_DRAWN)) == []


def test_who_stands_by_an_overturned_score_pays_though_the_work_was_not_drawn() -> None:
    stubborn = dispute(100, [255, 255, 100], 255, ChallengePhase.OVERTURNED)
    assert list(suspects(record(), stubborn, replace(NOT_DRAWN, quorum_bps=6_000))) == [VERIFIERS[2]]


def test_bytes_that_came_late_excuse_whoever_corrects_itself() -> None:
    late = dispute(0, [100, 100], 100, ChallengePhase.OVERTURNED)
    assert is_excused(record(), late, VERIFIERS[0], DRAWN)
    assert not is_excused(record(), late, VERIFIERS[2], DRAWN)


@pytest.mark.parametrize(
    ("votes", "outcome", "against"),
    [
        pytest.param([100, 100, 100], ChallengePhase.OVERTURNED, True, id="all"),
        pytest.param([100, 100, 50], ChallengePhase.OVERTURNED, False, id="two of three are below two thirds"),
        pytest.param([100, 100, 100], ChallengePhase.UPHELD, False, id="upheld"),
        pytest.param([100, 100, 100], ChallengePhase.NONE, False, id="open"),
    ],
)
def test_only_a_quorum_behind_the_very_score_makes_verifiers_pay(
    votes: list[int], outcome: ChallengePhase, against: bool
) -> None:
    assert is_against_verifiers(record(), dispute(255, votes, 100, outcome), PARAMS) is against


def test_nobody_pays_twice_or_where_the_terms_have_no_penalty() -> None:
    overturned = dispute(255, [100, 100, 100], 100, ChallengePhase.OVERTURNED)
    overturned.verdict_slashes[VERIFIERS[0]] = 20
    assert list(suspects(record(), overturned, PARAMS)) == list(VERIFIERS[1:])
    assert list(suspects(record(), overturned, replace(PARAMS, verdict_slash=0))) == []


def test_absence_from_an_appeal_is_known_once_it_is_over() -> None:
    missing = dispute(100, [100, 100], 100, ChallengePhase.UPHELD)
    assert list(absentees(record(), missing, PARAMS)) == [VERIFIERS[2]]
    assert list(absentees(record(), replace(missing, outcome=ChallengePhase.NONE), PARAMS)) == []
    assert list(absentees(record(), missing, replace(PARAMS, absence_slash=0))) == []
    missing.absences[VERIFIERS[2]] = 5
    assert list(absentees(record(), missing, PARAMS)) == []


def test_a_lost_bond_is_owed_to_those_who_upheld_the_score() -> None:
    upheld = dispute(100, [100, 100, 50], 100, ChallengePhase.UPHELD)
    assert [is_owed(upheld, verifier) for verifier in VERIFIERS] == [True, True, False]
    upheld.claims[VERIFIERS[0]] = 1
    assert not is_owed(upheld, VERIFIERS[0])
    assert not is_owed(dispute(100, [100], 100, ChallengePhase.UNDECIDED), VERIFIERS[0])


@pytest.mark.parametrize(("report", "score"), [(b"\x64", 100), (b"\xff", 255), (b"\x65", 0), (b"", 0)])
def test_a_meaningless_or_missing_byte_counts_as_unpaid(report: bytes, score: int) -> None:
    assert score_in(report, 0) == score
