"""A policy is the step that leads to it: anyone who has the version before makes the same bytes."""

from pathlib import Path

import numpy as np
import pytest

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME, outer_step, read_momentum
from assay_core.aggregation.policy_delta import PolicyRebuilder, Terms, terms_of
from assay_core.aggregation.updates import read_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.named_tensors import Float32File, gather
from assay_core.bundle.rebuild import Rebuild
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed, Rejected
from assay_core.protocol.spec import OuterSpec
from tests.unit.aggregation.steps import SHAPES, Version, first_version, next_version, numbers

CODECS = ["fp32", "bf16", "int8", "int4", "topk20"]


def terms(codec: str = "int8") -> Terms:
    return Terms(codec_named(codec), 0.7, 0.6)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return first_version(tmp_path_factory.mktemp("first"))


@pytest.mark.parametrize("codec", CODECS)
def test_step_is_taken_from_what_the_codec_has_kept(codec: str, first: Version, tmp_path: Path) -> None:
    folder, manifest = next_version(tmp_path / "next", first, terms(codec))
    kept = read_update(folder, manifest, SHAPES, codec_named(codec))
    weights, zeros = numbers(0), {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    state = outer_step(weights, zeros, kept, lr=0.7, momentum_decay=0.6)
    written = gather(Float32File(folder / WEIGHTS_NAME), 2**16)
    momentum = read_momentum(folder, manifest, SHAPES)
    for name in SHAPES:
        assert np.array_equal(written[name], state.weights[name]) and not np.array_equal(written[name], weights[name])
        assert np.array_equal(momentum[name], state.momentum[name])


@pytest.mark.parametrize("codec", CODECS)
def test_anyone_who_has_the_version_before_makes_the_same_bytes(codec: str, first: Version, tmp_path: Path) -> None:
    second = next_version(tmp_path / "2", first, terms(codec))
    folder, manifest = next_version(tmp_path / "3", second, terms(codec))  # this one has a momentum to start from
    rebuilder = PolicyRebuilder()
    assert rebuilder.plan(manifest) == Rebuild(second[1].root, frozenset((WEIGHTS_NAME, MOMENTUM_NAME)))
    rebuilder.make(manifest, folder, second[0], tmp_path / "made")
    for name in (WEIGHTS_NAME, MOMENTUM_NAME):
        assert (tmp_path / "made" / name).read_bytes() == (folder / name).read_bytes()


def test_full_precision_changes_nothing_in_a_policy(first: Version, tmp_path: Path) -> None:
    folder, _ = next_version(tmp_path / "next", first, terms("fp32"))
    zeros = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    state = outer_step(numbers(0), zeros, numbers(7, 0.01), lr=0.7, momentum_decay=0.6)
    written = gather(Float32File(folder / WEIGHTS_NAME), 2**16)
    assert all(np.array_equal(written[name], state.weights[name]) for name in SHAPES)


def test_task_says_how_its_policies_travel() -> None:
    assert terms_of(OuterSpec()) is None
    found = terms_of(OuterSpec(broadcast="int4", lr=0.5, momentum=0.25))
    assert found is not None
    assert found.fields() == {"step": {"codec": "int4", "lr": "0.5", "momentum": "0.25"}}


def test_other_bundles_are_fetched(first: Version, tmp_path: Path) -> None:
    assert PolicyRebuilder().plan(first[1]) is None
    (tmp_path / "x").write_bytes(b"x")
    submission = build_bundle(tmp_path, BundleKind.SUBMISSION, {"step": {}, "parent": "00" * 32})
    assert PolicyRebuilder().plan(submission) is None


@pytest.mark.parametrize("parent", [None, 7, "", "0x" + "00" * 32, "../" + "0" * 61])
def test_parent_that_is_no_root_is_malformed(parent: Json, first: Version, tmp_path: Path) -> None:
    _, manifest = next_version(tmp_path / "next", first, terms(), parent=parent)
    with pytest.raises(Malformed, match="parent"):
        PolicyRebuilder().plan(manifest)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({}, id="empty"),
        pytest.param("int8", id="no object"),
        pytest.param({"codec": "whole", "lr": "0.7", "momentum": "0.6"}, id="no codec"),
        pytest.param({"codec": "zip", "lr": "0.7", "momentum": "0.6"}, id="unknown codec"),
        pytest.param({"codec": "int4", "lr": "0.7", "momentum": "0.6"}, id="another codec"),
        pytest.param({"codec": "int8", "lr": "much", "momentum": "0.6"}, id="no number"),
        pytest.param({"codec": "int8", "lr": "nan", "momentum": "0.6"}, id="not a number"),
        pytest.param({"codec": "int8", "lr": "1e39", "momentum": "0.6"}, id="beyond float32"),
        pytest.param({"codec": "int8", "lr": "0.7", "momentum": "0.6", "more": "1"}, id="surplus"),
    ],
)
def test_impossible_step_is_refused(step: Json, first: Version, tmp_path: Path) -> None:
    folder, manifest = next_version(tmp_path / "next", first, terms(), step=step)
    with pytest.raises(Rejected):
        PolicyRebuilder().make(manifest, folder, first[0], tmp_path / "made")


def test_parent_that_is_no_policy_is_refused(first: Version, tmp_path: Path) -> None:
    folder, manifest = next_version(tmp_path / "next", first, terms())
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_bytes(b"x")
    build_bundle(other, BundleKind.SUBMISSION, {})
    with pytest.raises(Rejected, match=WEIGHTS_NAME):
        PolicyRebuilder().make(manifest, folder, other, tmp_path / "made")
