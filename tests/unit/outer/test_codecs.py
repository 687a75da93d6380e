"""Codecs and the files of an update: what goes in comes out, and nothing else is taken."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offchain.outer.codecs import BLOCK, LEVELS, Codec, Fp32, Int8, codec_named
from offchain.outer.tensor_files import TensorSpec, read_tensors, write_tensors
from offchain.outer.updates import FILE_BYTES, read_update, write_update
from offchain.protocol.errors import MalformedUpdate, Reason
from offchain.protocol.manifest import BundleKind
from offchain.shardcast.store import build_bundle

CODECS = [Fp32(), Int8()]
SHAPES = {"a.weight": (3, 5), "b": (2 * BLOCK + 7,), "c.scalar": ()}

numbers = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=True)
tensors = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9), elements=numbers)


def some_update(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(7)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@given(tensors)
def test_fp32_loses_nothing(tensor: Any) -> None:
    decoded = Fp32().decode(Fp32().encode(tensor), tensor.shape)
    assert decoded.tobytes() == tensor.tobytes()


@given(tensors)
def test_int8_is_off_by_half_a_level_at_most(tensor: Any) -> None:
    parts = Int8().encode(tensor)
    decoded = Int8().decode(parts, tensor.shape)
    peak = float(np.abs(tensor).max(initial=0.0))
    tolerance = peak / LEVELS * 0.5001 if parts["#scale"].any() else LEVELS * 2.0**-126
    assert decoded.shape == tensor.shape and decoded.dtype == np.float32
    assert np.abs(decoded.astype(np.float64) - tensor).max(initial=0.0) <= tolerance


@given(hnp.arrays(np.float32, BLOCK + 3, elements=numbers, fill=st.just(0.0)))
def test_each_block_has_its_own_scale(tensor: Any) -> None:
    parts = Int8().encode(tensor)
    for start, scale in zip((0, BLOCK), parts["#scale"], strict=True):
        peak = np.abs(tensor[start : start + BLOCK]).max()
        assert scale == (np.float32(peak) / np.float32(127) if peak / 127 >= 2.0**-126 else 0)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_encoder_refuses_what_no_update_holds(codec: Codec, bad: float) -> None:
    with pytest.raises(MalformedUpdate):
        codec.encode(np.array([1.0, bad], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_decoder_refuses_nan_and_infinity(bad: float) -> None:
    with pytest.raises(MalformedUpdate):
        Fp32().decode({"": np.array([bad], np.float32)}, (1,))


@pytest.mark.parametrize(
    ("levels", "scale"),
    [
        pytest.param([127, 1], np.nan, id="scale NaN"),
        pytest.param([127, 1], np.inf, id="scale infinite"),
        pytest.param([127, 1], -1.0, id="scale negative"),
        pytest.param([0, 0], -0.0, id="scale minus zero"),
        pytest.param([127, 1], 1e-40, id="scale subnormal"),
        pytest.param([127, 1], 1e38, id="product overflows"),
        pytest.param([127, 1], 1e20, id="product absurd"),
        pytest.param([3, 1], 1.0, id="scale larger than the encoder's"),
        pytest.param([0, 0], 1.0, id="scale of an empty block"),
        pytest.param([127, 1], 0.0, id="levels without a scale"),
        pytest.param([-128, 1], 1.0, id="level out of range"),
    ],
)
def test_scale_tricks_are_refused(levels: list[int], scale: float) -> None:
    parts = {"": np.array(levels, np.int8), "#scale": np.array([scale], np.float32)}
    with pytest.raises(MalformedUpdate):
        Int8().decode(parts, (2,))


def test_unknown_codec_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="int3"):
        codec_named("int3")


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_update_survives_the_bundle(codec: Codec, tmp_path: Path) -> None:
    update = some_update()
    write_update(tmp_path / "update", update, codec)
    manifest = build_bundle(tmp_path, BundleKind.WORK, {})

    read = read_update(tmp_path, manifest, SHAPES, codec)

    assert list(read) == sorted(SHAPES)
    for name, tensor in update.items():
        np.testing.assert_allclose(read[name], tensor, atol=0 if codec.name == "fp32" else 0.02)
        assert read[name].shape == tensor.shape


def test_large_update_is_spread_over_files(tmp_path: Path) -> None:
    shapes = {name: (FILE_BYTES // 8 + 1,) for name in ("a", "b")}  # each a little more than half a file
    write_update(tmp_path / "update", {name: np.ones(shape, np.float32) for name, shape in shapes.items()}, Fp32())
    manifest = build_bundle(tmp_path, BundleKind.WORK, {})
    assert [entry.name for entry in manifest.files] == ["update/0000.safetensors", "update/0001.safetensors"]
    assert set(read_update(tmp_path, manifest, shapes, Fp32())) == set(shapes)


def test_writing_nan_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MalformedUpdate, match=r"c\.scalar"):
        write_update(tmp_path / "update", {"c.scalar": np.array(np.nan, np.float32)}, Int8())


def _spoil(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "0000.safetensors"
        parts = dict(safetensors.numpy.load_file(path))
        change(parts)
        path.unlink()
        safetensors.numpy.save_file(parts, path)

    return spoil


def _surplus_file(folder: Path) -> None:
    (folder / "0001.safetensors").write_bytes((folder / "0000.safetensors").read_bytes())


def _padded(folder: Path) -> None:
    with (folder / "0000.safetensors").open("ab") as stream:
        stream.write(bytes(1))


def _huge_header(folder: Path) -> None:
    (folder / "0000.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")


def _no_file(folder: Path) -> None:
    (folder / "0000.safetensors").unlink()


def _empty(folder: Path) -> None:
    (folder / "0000.safetensors").write_bytes(b"")


def _pickle(folder: Path) -> None:
    (folder / "0000.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")


def _bloated(folder: Path) -> None:
    with (folder / "0000.safetensors").open("ab") as stream:
        stream.write(bytes(100_000))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_spoil(lambda parts: parts.pop("b")), id="tensor missing"),
        pytest.param(_spoil(lambda parts: parts.update(z=np.zeros(1, np.float32))), id="surplus tensor"),
        pytest.param(_spoil(lambda parts: parts.update(b=parts["b"][:-1].copy())), id="shape differs"),
        pytest.param(_spoil(lambda parts: parts.update({"a.weight": parts["a.weight"].T.copy()})), id="transposed"),
        pytest.param(_spoil(lambda parts: parts.update(b=parts["b"].astype(np.float64))), id="type differs"),
        pytest.param(_spoil(lambda parts: parts["b"].__setitem__(5, np.nan)), id="NaN"),
        pytest.param(_no_file, id="file missing"),
        pytest.param(_surplus_file, id="surplus file"),
        pytest.param(_padded, id="bytes behind the end"),
        pytest.param(_bloated, id="too large"),
        pytest.param(_huge_header, id="header longer than the file"),
        pytest.param(_empty, id="empty file"),
        pytest.param(_pickle, id="pickle"),
    ],
)
def test_spoiled_update_is_refused(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    write_update(tmp_path / "update", some_update(), Fp32())
    spoil(tmp_path / "update")
    manifest = build_bundle(tmp_path, BundleKind.WORK, {})
    with pytest.raises(MalformedUpdate) as refusal:
        read_update(tmp_path, manifest, SHAPES, Fp32())
    assert refusal.value.reason is Reason.BAD_UPDATE


def test_tensor_files_are_those_of_the_library(tmp_path: Path) -> None:
    mixed = {**some_update(), "a.levels": np.arange(-3, 4, dtype=np.int8), "ö": np.zeros((0, 2), np.float32)}
    write_tensors(tmp_path / "ours", mixed)
    assert (tmp_path / "ours").read_bytes() == safetensors.numpy.save(mixed)
    specs = {name: TensorSpec("I8" if a.dtype == np.int8 else "F32", a.shape) for name, a in mixed.items()}
    for name, array in read_tensors(tmp_path / "ours", specs):
        np.testing.assert_array_equal(array, mixed[name])
