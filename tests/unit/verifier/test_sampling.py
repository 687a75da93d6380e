"""The sampling test: honest noise passes at the stated rate, and each way to deviate stands out where it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.bundle.trajectory import Completion
from assay_core.policy.interface import Prefill
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import CheckSpec
from assay_verifier.checks.prefilled import Prefilled
from assay_verifier.checks.sampling import check_tokens, log10_chance

LIMITS = CheckSpec()
SUBMISSIONS = 400
SHARES = [0.0, 0.01, 0.2, 1.0]


def completions(distances: list[list[float]]) -> list[Prefilled]:
    """Completions whose uniforms lie so far above of their tokens' intervals."""
    items: list[Prefilled] = []
    for row in distances:
        count = len(row)
        upto_T = np.full(count, 0.25)
        prefill = Prefill(np.zeros(count), np.zeros(count), upto_T, np.ones(count), np.zeros((count, 1), np.uint16))
        completion = Completion(0, 0, (1,), (1,) * count, np.zeros(count, np.float32), "eos", 0.0, ())
        items.append(Prefilled(0, 0, completion, prefill, upto_T + np.array(row)))
    return items


def honest(generator: np.random.Generator, rows: int, tokens: int, limits: CheckSpec) -> np.ndarray:
    """Noise just as large as the task allows for."""
    moved = generator.random((rows, tokens)) < limits.cdf_noise_share
    return moved * generator.exponential(limits.cdf_noise_scale, (rows, tokens))


@pytest.mark.parametrize("tokens", [1, 5, 300])
@pytest.mark.parametrize("share", SHARES)
def test_chance_is_never_understated(tokens: int, share: float) -> None:
    """Of honest sums no more than a tenth get a chance of a tenth or less, and so on."""
    limits = CheckSpec(cdf_noise_share=share)
    sums = honest(np.random.default_rng(tokens), 20_000, tokens, limits).sum(axis=1)
    found = log10_chance(sums, np.full(len(sums), tokens), limits)
    for power in (1, 2, 3):
        assert float((found <= -power).mean()) <= 10.0**-power * 1.2


@pytest.mark.parametrize("false_positive_rate", [0.2, 0.02])
def test_honest_submissions_fail_no_more_often_than_stated(false_positive_rate: float) -> None:
    limits = CheckSpec(false_positive_rate=false_positive_rate)
    generator = np.random.default_rng(1)
    failed = sum(
        check_tokens(completions(honest(generator, 8, 6, limits).tolist()), limits).reason is not None
        for _ in range(SUBMISSIONS)
    )
    assert failed / SUBMISSIONS <= false_positive_rate


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 5_000), st.sampled_from(SHARES))
def test_further_out_is_never_more_likely(near: float, add: float, tokens: int, share: float) -> None:
    limits = CheckSpec(cdf_noise_share=share)
    found = log10_chance(np.array([near, near + add]), np.array([tokens, tokens]), limits)
    assert found[0] <= 0
    assert found[1] <= found[0] + 1e-6 * (1 + abs(found[0]))  # up to rounding


def test_one_gross_miss_is_a_mismatch_and_says_where() -> None:
    rows = [[0.0] * 5 for _ in range(20)]
    rows[7][3] = 0.5
    finding = check_tokens(completions(rows), LIMITS)
    assert finding.reason is Reason.SAMPLING_MISMATCH and finding.score == 255
    assert finding.evidence["token"] == 3 and "1 of 100 uniforms" in finding.detail


def test_many_small_misses_are_a_mismatch_where_one_is_none() -> None:
    small = 2 * LIMITS.cdf_noise_scale
    assert check_tokens(completions([[small, 0, 0, 0, 0]] * 40), LIMITS).reason is None
    assert check_tokens(completions([[small] * 5] * 40), LIMITS).reason is Reason.SAMPLING_MISMATCH


def test_no_interval_at_all_is_a_mismatch() -> None:
    assert check_tokens(completions([[0.0, float("nan")]]), LIMITS).reason is Reason.SAMPLING_MISMATCH


def test_nothing_drawn_is_nothing_wrong() -> None:
    assert check_tokens([], LIMITS).reason is None
