"""How votes become a score, by the specification: what holds of it, whatever the votes."""

from hypothesis import given
from hypothesis import strategies as st

from specs.rules import as_score, confirm_fraud, judge
from specs.words import BPS, FRAUD, FULL, UNAVAILABLE

SCORES = st.one_of(st.integers(0, FULL), st.just(FRAUD), st.just(UNAVAILABLE))
VOTES = st.lists(st.tuples(SCORES, st.integers(1, 10**24)), min_size=1, max_size=6)
QUORUMS = st.integers(5_001, BPS)


def weight_of(votes: list[tuple[int, int]], score: int) -> int:
    return sum(weight for each, weight in votes if each == score)


@given(VOTES, QUORUMS, st.integers(0, 10**24))
def test_half_of_the_weight_stands_at_or_below_a_score_that_pays(
    votes: list[tuple[int, int]], quorum_bps: int, silent: int
) -> None:
    spoken = sum(weight for _, weight in votes)
    score = judge(votes, quorum_bps, spoken + silent)
    if score > FULL:
        return
    counted = [(each if each <= FULL else 0, weight) for each, weight in votes]
    assert sum(weight for each, weight in counted if each <= score) * 2 >= spoken
    assert sum(weight for each, weight in counted if each < score) * 2 < spoken or score == 0


@given(VOTES, QUORUMS, st.integers(0, 10**24))
def test_a_fraud_takes_a_quorum_of_all_and_not_of_those_who_spoke(
    votes: list[tuple[int, int]], quorum_bps: int, silent: int
) -> None:
    everybody = sum(weight for _, weight in votes) + silent
    fraud = weight_of(votes, FRAUD)
    assert (judge(votes, quorum_bps, everybody) == FRAUD) == (fraud > 0 and fraud * BPS >= quorum_bps * everybody)


@given(VOTES, QUORUMS)
def test_nobody_is_paid_for_what_half_could_not_have(votes: list[tuple[int, int]], quorum_bps: int) -> None:
    spoken = sum(weight for _, weight in votes)
    if weight_of(votes, UNAVAILABLE) * 2 >= spoken and weight_of(votes, FRAUD) * BPS < quorum_bps * spoken:
        assert judge(votes, quorum_bps, spoken) == UNAVAILABLE


@given(VOTES, QUORUMS)
def test_the_order_of_votes_does_not_matter(votes: list[tuple[int, int]], quorum_bps: int) -> None:
    spoken = sum(weight for _, weight in votes)
    assert judge(votes, quorum_bps, spoken) == judge(sorted(votes), quorum_bps, spoken)


@given(st.integers(0, FULL), st.integers(0, FULL), VOTES, QUORUMS)
def test_who_raises_its_score_never_lowers_the_outcome(
    low: int, high: int, votes: list[tuple[int, int]], quorum_bps: int
) -> None:
    low, high = sorted((low, high))
    spoken = sum(weight for _, weight in votes) + 1
    before, after = (judge([*votes, (score, 1)], quorum_bps, spoken) for score in (low, high))
    assert before > FULL or before <= after


@given(VOTES)
def test_a_fraud_that_stands_falls_only_if_half_of_the_votes_say_otherwise(votes: list[tuple[int, int]]) -> None:
    spoken = sum(weight for _, weight in votes)
    assert (confirm_fraud(votes) == FRAUD) == (weight_of(votes, FRAUD) * 2 > spoken)


@given(st.binary(max_size=5), st.integers(0, 6))
def test_a_missing_or_meaningless_byte_counts_as_nothing(report: bytes, index: int) -> None:
    byte = report[index] if index < len(report) else 0
    assert as_score(report, index) == (byte if byte <= FULL or byte in (UNAVAILABLE, FRAUD) else 0)
