"""Policies as files: what is saved is loaded, and nothing that a stranger writes there does harm."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.weights import FROZEN_NAME, POLICY_NAME, Tensors
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import SamplerSpec
from assay_core.protocol.types import Seed
from tests.unit.policy.successor import write_successor

SEED = Seed(bytes(range(32)))
START = {
    "kind": "tiny",
    "layers": 1,
    "width": 8,
    "heads": 2,
    "warmup": {"steps": 0},
    "trainable": ["blocks.*", "head.*"],
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save_policy(initial_policy(START, SEED), tmp_path / "policy")
    return tmp_path / "policy"


def config_of(directory: Path) -> dict[str, Any]:
    return json.loads((directory / POLICY_NAME).read_bytes())


def write_config(directory: Path, config: Any) -> None:
    (directory / POLICY_NAME).write_bytes(canonical_json(config))


def generated(directory: Path) -> list[tuple[int, ...]]:
    policy = load_policy(directory)
    uniforms_BT = np.random.default_rng(0).random((8, 6))
    generations = policy.generate([policy.encode("3142=")] * 8, uniforms_BT, SamplerSpec(max_new_tokens=6))
    return [generation.token_ids for generation in generations]


def test_loaded_policy_is_the_saved_one(directory: Path) -> None:
    policy, loaded = initial_policy(START, SEED), load_policy(directory)

    assert loaded.config == policy.config
    assert list(loaded.trainable()) == list(policy.trainable())
    for name, parameter in {**policy.trainable(), **policy.frozen()}.items():
        assert torch.equal(parameter, {**loaded.trainable(), **loaded.frozen()}[name])


def test_saving_again_gives_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    save_policy(load_policy(directory), tmp_path / "again")

    names = sorted(path.name for path in directory.iterdir())
    assert names == sorted([POLICY_NAME, WEIGHTS_NAME, FROZEN_NAME])
    assert all((directory / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_policy_that_trains_everything_has_no_frozen_file(tmp_path: Path) -> None:
    save_policy(initial_policy({**START, "trainable": ["*"]}, SEED), tmp_path)

    assert not (tmp_path / FROZEN_NAME).exists()
    assert load_policy(tmp_path).frozen() == {}


def test_successor_differs_in_its_trainable_weights_alone(directory: Path, tmp_path: Path) -> None:
    weights = {name: array + np.float32(0.5) for name, array in load_file(directory / WEIGHTS_NAME).items()}

    write_successor(directory, weights, tmp_path / "next")

    successor = load_policy(tmp_path / "next")
    for name, parameter in successor.trainable().items():
        assert np.array_equal(parameter.detach().numpy(), weights[name])
    assert (tmp_path / "next" / FROZEN_NAME).read_bytes() == (directory / FROZEN_NAME).read_bytes()
    assert generated(tmp_path / "next") != generated(directory)


# ---- hostile bundles


@pytest.mark.parametrize("name", [POLICY_NAME, WEIGHTS_NAME, FROZEN_NAME])
def test_missing_file_is_malformed(directory: Path, name: str) -> None:
    (directory / name).unlink()

    with pytest.raises(Malformed, match=f"no file {name}"):
        load_policy(directory)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"kind": "tiny"}',
        b'{"kind":"tiny","kind":"tiny"}',
        b'{"kind":"llama"}',
        b'{"kind":["tiny"]}',
        b"\xff\xfe",
        b'"' + b"x" * 2**20 + b'"',
    ],
    ids=lambda data: data[:20].decode("latin1"),
)
def test_config_that_is_no_config_is_malformed(directory: Path, data: bytes) -> None:
    (directory / POLICY_NAME).write_bytes(data)

    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", 0),
        ("layers", -1),
        ("layers", "1"),
        ("layers", True),
        ("layers", None),
        ("layers", 10**9),
        ("layers", 2),
        ("width", 10**9),
        ("width", 4_096),
        ("width", [8]),
        ("heads", 3),
        ("heads", 0),
        ("context", 2**40),
        ("context", 16),
        ("alphabet", ""),
        ("alphabet", "aa"),
        ("alphabet", 7),
        ("alphabet", "0123"),
        ("alphabet", "".join(map(chr, range(5_000)))),
        ("colour", "red"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_impossible_architecture_is_malformed(directory: Path, field: str, value: Any) -> None:
    config = config_of(directory)
    config["architecture"][field] = value
    write_config(directory, config)

    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize("value", ["a string", [], {"width": 8}, None], ids=str)
def test_architecture_that_is_no_architecture_is_malformed(directory: Path, value: Any) -> None:
    write_config(directory, {**config_of(directory), "architecture": value})

    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize(
    "value",
    [None, "*", [], [7], ["no.such.*"], [""], ["x" * 201], ["*"] * 65, ["(a+)+$"], ["*a*a*a*a*a*"]],
    ids=lambda value: str(value)[:20],
)
def test_impossible_trainable_patterns_are_malformed(directory: Path, value: Any) -> None:
    write_config(directory, {**config_of(directory), "trainable": value})

    with pytest.raises(Malformed):
        load_policy(directory)


def test_surplus_field_is_malformed(directory: Path) -> None:
    write_config(directory, {**config_of(directory), "code": "import os"})

    with pytest.raises(Malformed, match="exactly"):
        load_policy(directory)


def rename(tensors: Tensors) -> dict[str, Any]:
    return {f"{name}.": array for name, array in tensors.items()}


def add(tensors: Tensors) -> dict[str, Any]:
    return {**tensors, "zzz": np.zeros(3, np.float32)}


def drop(tensors: Tensors) -> dict[str, Any]:
    return dict(list(tensors.items())[1:])


def reshape(tensors: Tensors) -> dict[str, Any]:
    return {name: array.reshape(-1) for name, array in tensors.items()}


def halve(tensors: Tensors) -> dict[str, Any]:
    return {name: array.astype(np.float16) for name, array in tensors.items()}


def integers(tensors: Tensors) -> dict[str, Any]:
    return {name: array.view(np.int32) for name, array in tensors.items()}


def poison(value: float) -> Callable[[Tensors], dict[str, Any]]:
    def change(tensors: Tensors) -> dict[str, Any]:
        first = min(tensors)
        tensors[first] = tensors[first].copy()
        tensors[first].reshape(-1)[0] = value
        return dict(tensors)

    return change


@pytest.mark.parametrize("name", [WEIGHTS_NAME, FROZEN_NAME])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(drop, "lacks", id="missing"),
        pytest.param(add, "too many", id="surplus"),
        pytest.param(rename, "lacks", id="renamed"),
        pytest.param(reshape, "shape", id="other shape"),
        pytest.param(halve, "F16", id="float16"),
        pytest.param(integers, "I32", id="integers"),
        pytest.param(poison(float("nan")), "finite", id="nan"),
        pytest.param(poison(float("inf")), "finite", id="inf"),
    ],
)
def test_wrong_tensors_are_malformed(
    directory: Path, name: str, change: Callable[[Tensors], dict[str, Any]], message: str
) -> None:
    save_file(change(load_file(directory / name)), directory / name)

    with pytest.raises(Malformed, match=message):
        load_policy(directory)


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"\xff" * 64, (2**60).to_bytes(8, "little") + b"{}"])
def test_file_that_is_not_safetensors_is_malformed(directory: Path, data: bytes) -> None:
    (directory / WEIGHTS_NAME).write_bytes(data)

    with pytest.raises(Malformed, match="not a safetensors file"):
        load_policy(directory)


def test_truncated_weights_are_malformed(directory: Path) -> None:
    data = (directory / WEIGHTS_NAME).read_bytes()
    (directory / WEIGHTS_NAME).write_bytes(data[:-4])

    with pytest.raises(Malformed, match="not a safetensors file"):
        load_policy(directory)
