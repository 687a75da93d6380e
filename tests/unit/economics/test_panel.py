"""What a share of a pool is worth in a panel, against counting by hand and against drawing panels."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from assay_protocol.economics.panel import (
    SHARES_PERCENT,
    SIZES,
    at_least,
    capture,
    captures,
    majority_seats,
    quorum_seats,
    veto_seats,
)


def test_seats_that_decide_are_counted_as_the_contracts_do() -> None:
    assert [quorum_seats(size) for size in SIZES] == [2, 4, 5, 6, 10, 21]
    assert [majority_seats(size) for size in SIZES] == [2, 3, 4, 5, 8, 16]
    # Anyone who has a veto leaves the others just short of the quorum.
    for size in SIZES:
        assert size - veto_seats(size) == quorum_seats(size) - 1


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("own", [2, 4, 6])
def test_small_pools_are_counted_panel_by_panel(size: int, own: int) -> None:
    panels = list(combinations(range(12), size))
    for seats in range(size + 1):
        captured = sum(sum(seat < own for seat in panel) >= seats for panel in panels)
        assert at_least(seats, size, Fraction(own, 12), 12) == Fraction(captured, len(panels))


def test_large_pools_are_like_tossing_a_coin_for_each_seat() -> None:
    assert at_least(2, 3, Fraction(1, 2)) == Fraction(1, 2)
    assert at_least(3, 3, Fraction(1, 3)) == Fraction(1, 27)
    assert at_least(0, 15, Fraction(1, 5)) == 1
    huge = at_least(11, 15, Fraction(3, 10), 1_000_000)
    assert float(huge) == pytest.approx(float(at_least(11, 15, Fraction(3, 10))), rel=1e-3)


def test_drawn_panels_come_out_as_calculated() -> None:
    rng = np.random.default_rng(1)
    own = rng.hypergeometric(12, 28, 15, size=200_000)
    found = capture(15, 30, 40)
    assert np.mean(own >= majority_seats(15)) == pytest.approx(found.majority, rel=0.05)
    assert np.mean(own >= veto_seats(15)) == pytest.approx(found.veto, rel=0.02)


def test_a_pool_as_large_as_the_panel_leaves_nothing_to_luck() -> None:
    assert (capture(15, 40, 15).veto, capture(15, 40, 15).majority) == (1.0, 0.0)
    with pytest.raises(ValueError, match="fills no panel"):
        capture(31, 10, 30)


def test_every_size_and_share_is_told_and_more_seats_are_never_worth_less() -> None:
    found = captures()
    assert len(found) == len(SIZES) * len(SHARES_PERCENT)
    for size in SIZES:
        row = [each for each in found if each.size == size]
        for name in ("quorum", "majority", "veto"):
            chances = [getattr(each, name) for each in row]
            assert chances == sorted(chances)
    assert {each.size for each in captures(10)} == {3, 5, 7, 9}


def test_a_third_of_the_seats_seldom_captures_a_full_panel_and_often_vetoes_it() -> None:
    """What docs/economics.md says of panels, in numbers."""
    third = Fraction(1, 3)
    assert float(at_least(quorum_seats(15), 15, third)) == pytest.approx(0.0085, abs=5e-5)
    assert float(at_least(majority_seats(15), 15, third)) == pytest.approx(0.088, abs=5e-4)
    assert float(at_least(veto_seats(15), 15, third)) == pytest.approx(0.382, abs=5e-4)
    assert capture(15, 36).veto < 0.5 < capture(15, 37).veto
    assert capture(15, 20).veto == pytest.approx(0.061, abs=5e-4)


def test_challenging_right_scores_pays_from_44_percent_of_the_seats_on() -> None:
    """Ten bonds are won with a quorum, one is lost where the score stands, none where it falls without blame."""

    def earns(share: int) -> float:
        won = capture(15, share)
        return 10 * won.quorum - (1 - won.majority)

    assert earns(44) < 0 < earns(45)
