"""The model's scores are by definition (sort, count) what the contracts search for by halving."""

from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.model.scores import decide, quorum_weight, reaches_quorum, score_at

SCORES = st.one_of(st.integers(0, 100), st.just(255))
VOTES = st.lists(st.tuples(SCORES, st.integers(1, 10**24)), min_size=1, max_size=6)


@given(VOTES, st.integers(5_001, 10_000))
def test_half_of_the_weight_stands_at_or_below_the_score(votes: list[tuple[int, int]], quorum_bps: int) -> None:
    scores, weights = [score for score, _ in votes], [weight for _, weight in votes]
    total = sum(weights)
    fraud = sum(weight for score, weight in votes if score == 255)
    score = decide(scores, weights, quorum_bps, total)
    if fraud and reaches_quorum(fraud, quorum_bps, total):
        assert score == 255
        return
    counted = [(0 if each == 255 else each, weight) for each, weight in votes]
    assert sum(weight for each, weight in counted if each <= score) * 2 >= total
    assert sum(weight for each, weight in counted if each < score) * 2 < total or score == 0


@given(VOTES, st.integers(5_001, 10_000))
def test_the_order_of_reports_does_not_matter(votes: list[tuple[int, int]], quorum_bps: int) -> None:
    shuffled = sorted(votes, key=repr)
    total = sum(weight for _, weight in votes)
    once = decide([each for each, _ in votes], [weight for _, weight in votes], quorum_bps, total)
    again = decide([each for each, _ in shuffled], [weight for _, weight in shuffled], quorum_bps, total)
    assert once == again


@given(st.integers(1, 10**30), st.integers(5_001, 10_000))
def test_the_quorum_is_the_least_weight_that_reaches_it(enlisted: int, quorum_bps: int) -> None:
    needed = quorum_weight(quorum_bps, enlisted)
    assert reaches_quorum(needed, quorum_bps, enlisted)
    assert not reaches_quorum(needed - 1, quorum_bps, enlisted)


@given(st.binary(max_size=5), st.integers(0, 6))
def test_a_missing_or_meaningless_byte_counts_as_nothing(report: bytes, index: int) -> None:
    score = score_at(report, index)
    assert score <= 100 or score == 255
    assert score == (report[index] if index < len(report) and (report[index] <= 100 or report[index] == 255) else 0)
