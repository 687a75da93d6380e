"""The rule that puts a threshold between honest submissions and the best cheats."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.spec import EnvironmentSpec, TaskSpec
from assay_protocol.calibration.thresholds import (
    FLOAT32_ONLY,
    HONEST,
    MIXED,
    Population,
    Quantity,
    Regime,
    exceeded,
    populations,
    quantities,
    suggest,
)

SPEC = TaskSpec(title="t", environment=EnvironmentSpec(name="sorting"))
MANTISSA = Quantity("submission_mantissa_mean", "toploc", "max_submission_mantissa_mean", "mantissas", 0.001)
TURN = Quantity("replay_turn", "checks", "min_replay_cosine", "turn", 1e-7, is_cosine=True)
NORM = Quantity("update_norm_ratio", "checks", "max_update_norm_ratio", "norm", 1.0, room=3.0)
EXPONENTS = Quantity("exponent_mismatches", "toploc", "max_exponent_mismatches", "exponents", 1, is_count=True)

values = st.floats(0, 1e3)


def population(quantity: Quantity, honest: float, *cheats: float) -> Population:
    return Population(quantity, (0.0, honest), {f"cheat {number}": (cheat,) for number, cheat in enumerate(cheats)})


def test_threshold_is_the_geometric_mean_of_floor_and_nearest_cheat() -> None:
    found = suggest(population(MANTISSA, 0.01, 0.9, 5.0), FLOAT32_ONLY)
    assert found.floor == pytest.approx(0.3)
    assert (found.nearest, found.cheat_min) == ("cheat 0", 0.9)
    assert found.suggested == pytest.approx(0.52)
    assert found.margin == pytest.approx(90)
    assert found.missed == ()


def test_cheat_within_the_noise_is_named_and_does_not_narrow_the_room() -> None:
    found = suggest(population(MANTISSA, 0.6, 0.7, 9.0), MIXED)
    assert found.nearest == "cheat 1"
    assert found.missed == ("cheat 0",)
    assert found.suggested > found.floor


def test_without_a_cheat_that_shows_the_default_stays() -> None:
    assert suggest(population(MANTISSA, 0.01, 0.02), FLOAT32_ONLY).is_default


def test_noise_wider_than_the_default_widens_it() -> None:
    found = suggest(population(MANTISSA, 9.0), MIXED)
    assert found.suggested == pytest.approx(14)  # 13.5, upwards to two digits


def test_far_cheats_do_not_widen_the_default() -> None:
    assert suggest(population(MANTISSA, 0.001, 1e9), FLOAT32_ONLY).suggested <= MANTISSA.default()


def test_noise_never_seen_counts_as_the_resolution() -> None:
    assert suggest(population(MANTISSA, 0.0, 5.0), FLOAT32_ONLY).floor == pytest.approx(30 * MANTISSA.resolution)


def test_cosine_is_stated_as_one_minus_the_error() -> None:
    found = suggest(population(TURN, 0.0, 0.003), FLOAT32_ONLY)
    assert found.value == pytest.approx(1 - found.suggested)
    assert 0.9999 < found.value < 1 - found.floor


def test_what_changes_as_a_policy_learns_is_never_narrowed() -> None:
    found = suggest(population(NORM, 1.1, 9.0), FLOAT32_ONLY)
    assert found.is_default
    assert found.cheat_min == 9.0


def test_replays_have_the_room_of_float32_in_every_regime() -> None:
    replayed = next(each for each in quantities(SPEC) if each.name == "replay_turn")
    assert suggest(population(replayed, 1e-6, 0.5), MIXED).floor == pytest.approx(3e-5)


def test_counts_are_whole() -> None:
    assert suggest(population(EXPONENTS, 1.0, 37.0), FLOAT32_ONLY).suggested == 34


@given(honest=values, cheats=st.lists(values, max_size=4), regime=st.sampled_from([FLOAT32_ONLY, MIXED]))
def test_honest_submissions_always_have_their_room(honest: float, cheats: list[float], regime: Regime) -> None:
    found = suggest(population(MANTISSA, honest, *cheats), regime)
    assert found.suggested >= regime.room * honest * (1 - 1e-9)
    assert math.isfinite(found.suggested)


def test_every_calibrated_threshold_is_one_of_the_spec() -> None:
    for quantity in quantities(SPEC):
        assert quantity.field in type(getattr(SPEC, quantity.table)).model_fields
        assert quantity.default() > 0


def test_populations_keep_to_what_was_measured() -> None:
    found = populations(SPEC, {HONEST: [{"replay_turn": 1e-8}], "int8": [{"mantissa_mean": 2.0}, {}]})
    by_name = {each.quantity.name: each for each in found}
    assert by_name["replay_turn"].honest == (1e-8,)
    assert by_name["replay_turn"].cheats == {}
    assert by_name["mantissa_mean"].cheats == {"int8": (2.0,)}


def test_submission_fails_by_what_exceeds_or_is_no_number() -> None:
    threshold = suggest(population(MANTISSA, 0.01, 0.9), FLOAT32_ONLY)
    assert exceeded({"submission_mantissa_mean": 1.0}, [threshold]) == ("submission_mantissa_mean",)
    assert exceeded({"submission_mantissa_mean": math.nan}, [threshold]) == ("submission_mantissa_mean",)
    assert exceeded({"submission_mantissa_mean": 0.1}, [threshold]) == ()
    assert exceeded({}, [threshold]) == ()
