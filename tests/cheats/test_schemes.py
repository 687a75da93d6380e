"""No way out of a fraud pays: no plant, no report or challenge of one's own, no friend among the verifiers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.economics import greatest_gain, needed_slash_of
from assay_core.protocol.types import BPS, KindTerms, SubmissionKind, TaskParams, kinds_of
from tests.cheats.schemes import Luck, Scheme, expected, hedged, mean_earned, schemes
from tests.unit.economics.terms import TERMS

REPORTER_BPS = 1_000  # as deployed
SAFE = replace(TERMS, fraud_slash=needed_slash_of(TERMS))


@pytest.mark.parametrize("scheme", schemes(REPORTER_BPS), ids=lambda scheme: scheme.name)
def test_no_scheme_pays_under_the_least_slash_that_is_accepted(scheme: Scheme) -> None:
    assert mean_earned(scheme, SAFE, 1.0, runs=20_000) < 0


def test_less_than_that_slash_would_pay() -> None:
    """The tests above can fail: the same play, with a slash that `openTask` refuses."""
    gain = greatest_gain(TERMS)
    weak = replace(TERMS, fraud_slash=gain // 4)
    assert mean_earned(schemes(REPORTER_BPS)[0], weak, 1.0, runs=20_000) > 0


def test_play_and_formula_agree() -> None:
    played = mean_earned(schemes(REPORTER_BPS)[0], SAFE, 1.0, runs=200_000)
    assert played == pytest.approx(expected(SAFE, BPS), abs=0.02 * greatest_gain(SAFE))


@given(st.integers(1, 2**100), st.integers(0, 2**100), st.integers(1, 2**15), st.integers(1, BPS), st.booleans())
def test_a_hedge_earns_nothing_whatever_the_terms(price: int, other: int, units: int, bps: int, found: bool) -> None:
    """Neither when it is found nor when it is not, so neither on average, however rarely submissions are drawn."""
    kinds = kinds_of({SubmissionKind.FULL: KindTerms(price, BPS), SubmissionKind.LABELS: KindTerms(other, BPS)})
    params: TaskParams = replace(TERMS, kinds=kinds, max_submission_units=units, sampling_bps=bps)
    assert hedged(params, Luck(found)) <= 0
    assert found or hedged(params, Luck(found)) < 0
