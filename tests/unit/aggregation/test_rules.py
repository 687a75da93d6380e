"""Aggregation rules: what each is defined to do, that attackers cannot pull it away, and the same bits everywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.aggregation import aggregate as aggregation
from assay_core.aggregation.aggregate import Aggregate, Contribution, aggregate, piece_size
from assay_core.aggregation.exact import CHUNK, add_inner_products
from assay_core.aggregation.rules import COORDINATE_WISE, Rule, RuleName, centered_clipping, coordinate_wise, multi_krum
from assay_core.bundle.named_tensors import gather
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.types import SubmissionIndex

RULES: tuple[RuleName, ...] = get_args(RuleName)
ROBUST = [rule for rule in RULES if rule != "weighted_mean"]

weights_of_submissions = st.lists(st.integers(1, 1_000), min_size=1, max_size=9)


def submission(index: int, *values: float, weight: int = 1) -> Contribution:
    return Contribution(SubmissionIndex(index), weight, {"w": np.array(values, np.float32)})


def submissions_around(center: Sequence[float], honest: int, hostile: Sequence[Sequence[float]]) -> list[Contribution]:
    random = np.random.default_rng(5)
    values = [np.asarray(center) + random.normal(0, 0.1, len(center)) for _ in range(honest)] + list(hostile)
    return [submission(index, *each) for index, each in enumerate(values)]


def products_of(*rows: Sequence[float]) -> list[list[float]]:
    matrix = np.array(rows, np.float64)
    return (matrix @ matrix.T).tolist()


# ---- what each rule is


def test_median_takes_the_middle_of_each_coordinate() -> None:
    submissions = [submission(0, 1, 50), submission(1, 2, -7), submission(2, 100, 3)]
    np.testing.assert_array_equal(aggregate(submissions, Rule("median"))["w"], [2, 3])


def test_median_of_two_equal_weights_lies_between_them() -> None:
    np.testing.assert_array_equal(aggregate([submission(0, 1.0), submission(1, 4.0)], Rule("median"))["w"], [2.5])


def test_median_follows_the_weight_not_the_number_of_submissions() -> None:
    submissions = [submission(0, 1.0, weight=5), submission(1, 9.0, weight=2), submission(2, 8.0, weight=2)]
    np.testing.assert_array_equal(aggregate(submissions, Rule("median"))["w"], [1.0])


def test_trimmed_mean_leaves_out_both_ends() -> None:
    submissions = [submission(index, value) for index, value in enumerate((-1e6, 1.0, 2.0, 1e6))]
    np.testing.assert_array_equal(aggregate(submissions, Rule("trimmed_mean"))["w"], [1.5])


def test_submission_at_the_edge_is_trimmed_in_part() -> None:
    submissions = [
        submission(0, 1.0),
        submission(1, 3.0),
        submission(2, 6.0, weight=2),
    ]  # of weight 4, 0.5 is cut at either end
    kept = (0.5 * 1 + 1 * 3 + 1.5 * 6) / 3
    np.testing.assert_allclose(
        aggregate(submissions, Rule("trimmed_mean", hostile_share=0.125))["w"], [kept], rtol=1e-6
    )


def test_trimming_nothing_is_the_weighted_mean() -> None:
    submissions = [submission(0, 1.0, -2.0, weight=3), submission(1, 5.0, 6.0)]
    np.testing.assert_array_equal(aggregate(submissions, Rule("trimmed_mean", hostile_share=0.0))["w"], [2.0, 0.0])


@given(weights_of_submissions, st.integers(0, 2**32 - 1))
def test_coordinates_are_those_of_a_list_with_each_value_as_often_as_its_weight(weights: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(len(weights), 6)).astype(np.float32)
    repeated = np.sort(np.repeat(values.astype(np.float64), weights, axis=0), axis=0)
    median = coordinate_wise(values, weights, Rule("median"))
    np.testing.assert_allclose(median, np.median(repeated, axis=0), rtol=1e-6, atol=1e-7)
    if len(repeated) % 4 == 0:
        quarter = len(repeated) // 4
        trimmed = coordinate_wise(values, weights, Rule("trimmed_mean", hostile_share=0.25))
        expected = repeated[quarter : len(repeated) - quarter].mean(axis=0)
        np.testing.assert_allclose(trimmed, expected, rtol=1e-4, atol=1e-6)


def test_krum_takes_those_that_lie_together() -> None:
    rows = [(1.0, 0.0), (1.1, 0.0), (0.9, 0.0), (1.0, 0.1), (-5.0, 3.0), (9.0, 9.0), (1.0, -0.1), (1.05, 0.0)]
    parts = multi_krum([1] * 8, products_of(*rows), 0.25)
    assert parts[4] == parts[5] == 0.0
    assert [parts[i] for i in (0, 1, 2, 3, 6, 7)] == [pytest.approx(1 / 6)] * 6


def test_krum_weighs_the_chosen_by_their_weight() -> None:
    parts = multi_krum([3, 1, 1, 1], products_of((1.0,), (1.1,), (0.9,), (50.0,)), 0.25)
    assert parts == [pytest.approx(0.6), pytest.approx(0.2), pytest.approx(0.2), 0.0]


def test_centered_clipping_of_equals_is_their_mean() -> None:
    """All distances from the center are alike, so nothing is clipped."""
    rows = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
    parts = centered_clipping([1] * 4, products_of(*rows))
    found = np.array(parts) @ np.array(rows)
    assert sum(parts) == pytest.approx(1.0)
    assert np.abs(found).max() < 0.3


def test_centered_clipping_moves_no_further_than_the_radius_per_pass() -> None:
    rows = [(1.0,), (1.1,), (0.9,), (1e9,)]
    assert abs((np.array(centered_clipping([1] * 4, products_of(*rows))) @ np.array(rows))[0] - 1.0) < 0.5


@pytest.mark.parametrize("rule", sorted(COORDINATE_WISE))
def test_coordinate_wise_rules_leave_nothing_of_sparse_updates(rule: RuleName) -> None:
    """Why a task that names such a rule and a sparse codec is malformed."""
    submissions = [submission(index, *(5.0 if index == place else 0.0 for place in range(8))) for index in range(8)]
    np.testing.assert_array_equal(aggregate(submissions, Rule(rule))["w"], np.zeros(8))
    assert (aggregate(submissions, Rule())["w"] > 0).all()


# ---- what all have in common


@pytest.mark.parametrize("rule", RULES)
def test_one_submission_alone_is_the_aggregate(rule: RuleName) -> None:
    np.testing.assert_allclose(aggregate([submission(3, 1.0, -2.0)], Rule(rule))["w"], [1.0, -2.0], rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_equal_updates_are_their_own_aggregate(rule: RuleName) -> None:
    submissions = [submission(index, 1.0, -2.0, 0.5, weight=index + 1) for index in range(7)]
    np.testing.assert_allclose(aggregate(submissions, Rule(rule))["w"], [1.0, -2.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_all_zero_makes_zero(rule: RuleName) -> None:
    np.testing.assert_array_equal(
        aggregate([submission(0, 0.0, 0.0), submission(1, 0.0, -0.0)], Rule(rule))["w"], [0.0, 0.0]
    )


@pytest.mark.parametrize("rule", ROBUST)
def test_zeros_that_are_the_most_slow_the_others_down_but_do_not_outvote_them(rule: RuleName) -> None:
    """Late in a training most submissions have nothing left to learn from."""
    submissions = [submission(0, 2.0), submission(1, 2.0), *(submission(index, 0.0) for index in range(2, 8))]
    np.testing.assert_allclose(aggregate(submissions, Rule(rule))["w"], [2.0 * 2 / 8], rtol=1e-6)


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [10.0, 1e4, 1e12])
def test_two_hostile_of_eight_pull_no_robust_rule_away(rule: RuleName, size: float, sign: int) -> None:
    """Two that collude: the aggregate stays within the spread of the honest, however large they are."""
    submissions = submissions_around((1.0, -1.0, 0.5), 6, [[sign * size] * 3] * 2)
    np.testing.assert_allclose(aggregate(submissions, Rule(rule))["w"], [1.0, -1.0, 0.5], atol=0.4)


@pytest.mark.parametrize("rule", RULES)
@given(order=st.permutations(range(6)))
@settings(max_examples=20)
def test_order_of_arrival_changes_no_bit(rule: RuleName, order: list[int]) -> None:
    random = np.random.default_rng(3)
    submissions = [
        Contribution(SubmissionIndex(i), i + 1, {"w": random.normal(size=99).astype(np.float32)}) for i in range(6)
    ]
    expected = aggregate(submissions, Rule(rule))["w"].tobytes()
    assert aggregate([submissions[i] for i in order], Rule(rule))["w"].tobytes() == expected


@pytest.mark.parametrize("rule", RULES)
def test_size_of_pieces_changes_no_bit(rule: RuleName, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    shapes: dict[str, tuple[int, ...]] = {"a": (3 * CHUNK + 17,), "b": (5, 7), "c": ()}
    submissions = [
        Contribution(
            SubmissionIndex(i), 2, {n: np.asarray(random.normal(size=s), np.float32) for n, s in shapes.items()}
        )
        for i in range(5)
    ]
    whole = aggregate(submissions, Rule(rule))
    monkeypatch.setattr(aggregation, "BUFFER_BYTES", 1)
    small = Aggregate(submissions, Rule(rule))
    assert small.piece == CHUNK < piece_size(1) * CHUNK
    assert {name: array.tobytes() for name, array in gather(small, CHUNK).items()} == {
        name: array.tobytes() for name, array in whole.items()
    }


@pytest.mark.parametrize("rule", RULES)
def test_update_that_is_not_finite_is_refused(rule: RuleName) -> None:
    with pytest.raises(MalformedUpdate, match="submission 1 is not finite"):
        aggregate([submission(0, 1.0), submission(1, np.nan)], Rule(rule))


@pytest.mark.parametrize(
    "settings",
    [{"name": "mode"}, {"clip_norm_ratio": 0.0}, {"hostile_share": 0.5}, {"hostile_share": -0.1}],
)
def test_rules_that_are_none_are_refused(settings: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="rule"):
        Rule(**settings)


@given(st.integers(1, 5), st.integers(1, 2 * CHUNK + 5), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_inner_products_are_exact_to_a_few_roundings(submissions: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(submissions, size)).astype(np.float32)
    found = np.zeros((submissions, submissions))
    add_inner_products(found, values)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(found, np.triu(wide @ wide.T), atol=1e-9 * size)


RULES_PROGRAM = """
import hashlib, json, sys
import numpy as np
from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.rules import Rule

random = np.random.default_rng(11)
shapes = {"embed": (257, 96), "head": (96, 257), "norm": (96,)}
updates = [
    {name: (random.normal(size=shape) * 10.0**-(i % 3)).astype(np.float32) for name, shape in shapes.items()}
    for i in range(7)
]
submissions = [Contribution(i, 3 * i + 1, updates[i]) for i in json.loads(sys.argv[1])]
found = {}
for rule in json.loads(sys.argv[2]):
    result = aggregate(submissions, Rule(rule))
    found[rule] = hashlib.sha256(b"".join(result[name].tobytes() for name in sorted(result))).hexdigest()
print(json.dumps(found))
"""
NO_WIDE_VECTORS = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V3 X86_V4"


def test_two_processes_find_the_same_bits_by_each_rule_and_other_bits_by_another() -> None:
    """With other thread counts, another order of arrival, and without the wide vector units."""
    found: list[dict[str, str]] = []
    for threads, order, vectors in (("1", [0, 1, 2, 3, 4, 5, 6], ""), ("4", [3, 0, 4, 2, 6, 1, 5], NO_WIDE_VECTORS)):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "NPY_DISABLE_CPU_FEATURES": vectors,
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        command = [sys.executable, "-W", "ignore", "-c", RULES_PROGRAM, json.dumps(order), json.dumps(RULES)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(ended.stdout))
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(RULES)
