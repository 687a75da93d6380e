"""Aggregation and the outer step: the mathematics, the defence, and the same bits everywhere."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.exact import CHUNK, l2_norm
from assay_core.aggregation.optimizer import OuterState, outer_step, read_momentum, write_momentum
from assay_core.aggregation.rules import Rule
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.types import SubmissionIndex

MEAN = Rule(clip_norm_ratio=1e9)  # clips nothing


def submission(index: int, *values: float, weight: int = 1) -> Contribution:
    return Contribution(SubmissionIndex(index), weight, {"w": np.array(values, np.float32)})


def test_mean_is_weighted() -> None:
    mean = aggregate([submission(0, 1.0, 2.0, weight=3), submission(1, 5.0, 6.0)], MEAN)
    np.testing.assert_array_equal(mean["w"], np.array([2.0, 3.0], np.float32))


def test_one_huge_update_counts_for_no_more_than_the_clipping_ratio() -> None:
    mean = aggregate([submission(0, 1.0), submission(1, 1.0), submission(2, -1e15)], Rule(clip_norm_ratio=2.0))
    np.testing.assert_allclose(mean["w"], [0.0], atol=1e-6)


def test_update_at_the_median_is_not_touched() -> None:
    mean = aggregate([submission(0, 3.0, 4.0)], Rule(clip_norm_ratio=1.0))
    np.testing.assert_array_equal(mean["w"], np.array([3.0, 4.0], np.float32))


def test_updates_that_are_zero_do_not_clip_the_others_away() -> None:
    mean = aggregate(
        [submission(0, 0.0), submission(1, 0.0), submission(2, 1.0), submission(3, 3.0)], Rule(clip_norm_ratio=1.0)
    )
    np.testing.assert_array_equal(mean["w"], np.array([(1.0 + 2.0) / 4], np.float32))


def test_updates_that_are_all_zero_make_zero() -> None:
    mean = aggregate([submission(0, 0.0, 0.0), submission(1, -0.0, 0.0)], Rule(clip_norm_ratio=2.0))
    np.testing.assert_array_equal(mean["w"], np.zeros(2, np.float32))


@given(st.permutations(range(5)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    random = np.random.default_rng(3)
    submissions = [
        Contribution(SubmissionIndex(i), i + 1, {"w": random.normal(size=99).astype(np.float32)}) for i in range(5)
    ]
    expected = aggregate(submissions, Rule(clip_norm_ratio=1.1))
    shuffled = aggregate([submissions[i] for i in order], Rule(clip_norm_ratio=1.1))
    assert shuffled["w"].tobytes() == expected["w"].tobytes()


@pytest.mark.parametrize(
    "submissions",
    [
        pytest.param([], id="none"),
        pytest.param([submission(0, 1.0, weight=0)], id="no weight"),
        pytest.param([submission(0, 1.0, weight=3), submission(1, 1.0, weight=-1)], id="negative weight"),
        pytest.param([submission(0, 1.0), submission(0, 2.0)], id="index twice"),
    ],
)
def test_nothing_to_aggregate_is_the_callers_mistake(submissions: list[Contribution]) -> None:
    with pytest.raises(ValueError, match="submission"):
        aggregate(submissions, Rule(clip_norm_ratio=2.0))


def test_submission_with_other_tensors_is_named() -> None:
    with pytest.raises(MalformedUpdate, match="submission 4"):
        aggregate([submission(0, 1.0), submission(4, 1.0, 2.0)], Rule(clip_norm_ratio=2.0))


def test_mean_beyond_float32_is_refused() -> None:
    huge = float(np.finfo(np.float32).max)
    with pytest.raises(MalformedUpdate, match="not finite"):
        aggregate([submission(0, huge), submission(1, np.inf)], Rule(clip_norm_ratio=2.0))


@settings(max_examples=25)
@given(st.integers(0, 3 * CHUNK), st.integers(0, 2**32 - 1))
def test_norm_is_exact_to_a_few_roundings(size: int, seed: int) -> None:
    tensor = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    exact = math.sqrt(math.fsum((tensor.astype(np.float64) ** 2).tolist()))
    assert l2_norm([tensor]) == pytest.approx(exact, rel=1e-14)


def test_step_is_that_of_torch() -> None:
    random = np.random.default_rng(5)
    weights = {"w": random.normal(size=(4, 3)).astype(np.float32)}
    parameter = torch.nn.Parameter(torch.from_numpy(weights["w"].copy()))
    optimizer = torch.optim.SGD([parameter], lr=0.7, momentum=0.6, nesterov=True)
    state = OuterState(weights, {"w": np.zeros((4, 3), np.float32)})
    for _ in range(4):
        gradient = random.normal(size=(4, 3)).astype(np.float32)
        state = outer_step(state.weights, state.momentum, {"w": gradient}, lr=0.7, momentum_decay=0.6)
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(state.weights["w"], parameter.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_step_changes_nothing_in_place() -> None:
    weights, zeros, gradient = (np.full(2, value, np.float32) for value in (1.0, 0.0, 1.0))
    outer_step({"w": weights}, {"w": zeros}, {"w": gradient}, lr=0.5, momentum_decay=0.9)
    assert (weights == 1).all() and (zeros == 0).all() and (gradient == 1).all()


@pytest.mark.parametrize("other", [{}, {"w": np.zeros(3, np.float32)}, {"v": np.zeros(2, np.float32)}])
def test_step_over_other_tensors_is_refused(other: dict[str, Any]) -> None:
    good = {"w": np.zeros(2, np.float32)}
    with pytest.raises(MalformedUpdate, match=r"'[vw]'"):
        outer_step(good, good, other, lr=1.0, momentum_decay=0.5)


def test_step_that_leaves_float32_is_refused() -> None:
    huge = {"w": np.full(2, 3e38, np.float32)}
    with pytest.raises(MalformedUpdate, match="not finite"):
        outer_step(huge, huge, huge, lr=1.0, momentum_decay=0.9)


def test_momentum_survives_the_bundle_and_is_zero_at_first(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_bytes(b"{}")
    manifest = build_bundle(tmp_path, BundleKind.POLICY, {})
    assert not read_momentum(tmp_path, manifest, {"w": (2,)})["w"].any()

    write_momentum(tmp_path, {"w": np.array([1.0, 2.0], np.float32)})
    manifest = build_bundle(tmp_path, BundleKind.POLICY, {})
    np.testing.assert_array_equal(read_momentum(tmp_path, manifest, {"w": (2,)})["w"], [1.0, 2.0])
    with pytest.raises(MalformedUpdate):
        read_momentum(tmp_path, manifest, {"w": (3,)})


def test_momentum_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    write_momentum(tmp_path, {"w": np.array([1.0, np.nan], np.float32)})
    with pytest.raises(MalformedUpdate, match="not finite"):
        read_momentum(tmp_path, build_bundle(tmp_path, BundleKind.POLICY, {}), {"w": (2,)})


OUTER_STEP_PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.codecs import Int8
from assay_core.aggregation.optimizer import outer_step, read_momentum, write_momentum
from assay_core.aggregation.rules import Rule
from assay_core.bundle.tensor_files import write_tensors
from assay_core.aggregation.updates import read_update, write_update
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.directory import build_bundle

torch.set_num_threads(int(sys.argv[1]))
order, root = json.loads(sys.argv[2]), Path(sys.argv[3])
SHAPES = {"embed": (257, 96), "head": (96, 257), "mlp.weight": (384, 96), "norm": (96,)}
random = np.random.default_rng(11)
weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
updates = [
    {name: (random.normal(size=shape) * 10.0**-i).astype(np.float32) for name, shape in SHAPES.items()}
    for i in range(5)
]
contributions = []
for index in order:
    folder = root / str(index)
    write_update(folder / "update", updates[index], Int8())
    update = read_update(folder, build_bundle(folder, BundleKind.SUBMISSION, {}), SHAPES, Int8())
    contributions.append(Contribution(index, 3 * index + 1, update))
policy = root / "policy"
momentum = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
for _ in range(3):
    mean = aggregate(contributions, Rule(clip_norm_ratio=1.5))
    state = outer_step(weights, momentum, mean, lr=0.7, momentum_decay=0.6)
    weights, momentum = state.weights, state.momentum
write_tensors(policy / "weights.safetensors", weights)
write_momentum(policy, momentum)
print(build_bundle(policy, BundleKind.POLICY, {"version": 3}).root.hex())
"""
NO_WIDE_VECTORS = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V3 X86_V4"


@pytest.mark.slow  # two processes that import NumPy and torch
def test_two_processes_derive_the_same_policy_root(tmp_path: Path) -> None:
    """With other thread counts, another order of arrival, and without the wide vector units."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    roots = set[str]()
    for count, order, vectors in ((1, [0, 1, 2, 3, 4], ""), (4, [3, 0, 4, 2, 1], NO_WIDE_VECTORS)):
        environment = {**os.environ, **dict.fromkeys(threads, str(count)), "NPY_DISABLE_CPU_FEATURES": vectors}
        arguments = [str(count), json.dumps(order), str(tmp_path / str(count))]
        command = [sys.executable, "-W", "ignore", "-c", OUTER_STEP_PROGRAM, *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        roots.add(ended.stdout.strip())
    assert len(roots) == 1 and len(roots.pop()) == 64
