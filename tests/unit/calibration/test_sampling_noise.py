"""The model of how far honest uniforms lie outside of their intervals."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.spec import CheckSpec
from assay_protocol.calibration.sampling_noise import NoiseModel, fit
from assay_protocol.calibration.thresholds import FLOAT32_ONLY, MIXED


def exponential(count: int, share: float, scale: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    generator = np.random.default_rng(0)
    return np.where(generator.random(count) < share, generator.exponential(scale, count), 0.0)


def test_noise_of_the_model_is_found_again() -> None:
    found = fit(exponential(100_000, 0.1, 0.005), 0.02, MIXED, CheckSpec())
    assert 0.14 < found.share < 0.17
    assert 0.005 < found.floor < 0.012
    assert found.outside > 9_000


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=50))
def test_model_lies_above_every_measured_distance(distances: list[float]) -> None:
    found = fit(np.array(distances), 0.0, MIXED, CheckSpec())
    above = sorted((each for each in distances if each > 0), reverse=True)
    for rank, distance in enumerate(above, start=1):
        bound = found.share * math.exp(-distance / max(found.floor, 1e-12))
        assert bound >= rank / len(distances) * (1 - 1e-9) or found.share * len(distances) / rank < math.e


def test_without_any_distance_the_shift_of_probabilities_stands_in() -> None:
    found = fit(np.zeros(30_000), 2e-7, FLOAT32_ONLY, CheckSpec(), doubts_of(1e-2))
    assert found.share == pytest.approx(30 * 3 / 30_000)
    assert found.floor == pytest.approx(30 * 2e-7)
    assert found.widest is not None
    assert found.floor < found.scale < found.widest


def test_without_a_cheat_the_default_scale_stays() -> None:
    found = fit(np.zeros(30_000), 2e-7, FLOAT32_ONLY, CheckSpec())
    assert (found.widest, found.scale) == (None, CheckSpec().cdf_noise_scale)


def test_a_cheat_hidden_in_the_noise_widens_nothing() -> None:
    found = fit(np.zeros(30_000), 2e-7, FLOAT32_ONLY, CheckSpec(), doubts_of(1e-6))
    assert found.widest is None


def test_model_is_applied_to_the_checks() -> None:
    model = NoiseModel(0.01, 0.001, 0.0, None, 0, 0, 0.0)
    checks = model.applied(CheckSpec(max_logprob_error=0.5))
    assert (checks.cdf_noise_share, checks.cdf_noise_scale, checks.max_logprob_error) == (0.01, 0.001, 0.5)


def doubts_of(distance: float):
    """One token that far outside: -log10 of its probability under the model."""

    def doubts(checks: CheckSpec) -> Sequence[float]:
        return [distance / checks.cdf_noise_scale / math.log(10) - math.log10(checks.cdf_noise_share)]

    return doubts
