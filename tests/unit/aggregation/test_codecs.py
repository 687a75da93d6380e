"""Codecs and the files of an update: what goes in comes out, and nothing else is taken."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay_core.aggregation.codecs import (
    BLOCK,
    LEVELS,
    SLICE_UNIT,
    Bfloat16,
    Codec,
    CodecName,
    Fp32,
    Int4,
    Int8,
    TopK,
    codec_named,
)
from assay_core.aggregation.layout import encoded_bytes
from assay_core.aggregation.updates import FILE_BYTES, UpdateReader, read_update, write_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.named_tensors import Float32File, gather
from assay_core.bundle.tensor_files import DTYPES, Float32Writer, TensorFile, TensorSpec, read_tensors, write_tensors
from assay_core.protocol.errors import MalformedUpdate, Reason
from tests.examples import examples

CODECS = [codec_named(name) for name in get_args(CodecName)]
SMALL = TopK(4)
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


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(
    tensor=tensors | hnp.arrays(np.float32, hnp.array_shapes(max_dims=1, min_side=250, max_side=600), elements=numbers)
)
@settings(max_examples=examples(40))
def test_what_was_decoded_is_encoded_to_the_same_bytes(codec: Codec, tensor: Any) -> None:
    """So an update has one encoding, and a second pass through the codec changes nothing."""
    parts = codec.encode(tensor)
    decoded = codec.decode(parts, tensor.shape)
    assert decoded.shape == tensor.shape and decoded.dtype == np.float32
    if codec.name != "int8":  # 127 times a scale is rounded
        again = codec.encode(decoded)
        assert {suffix: part.tobytes() for suffix, part in again.items()} == {
            suffix: part.tobytes() for suffix, part in parts.items()
        }


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(tensor=tensors)
@settings(max_examples=examples(40))
def test_parts_have_the_types_and_sizes_of_the_layout(codec: Codec, tensor: Any) -> None:
    parts = codec.encode(tensor)
    assert parts.keys() == codec.layout.keys() and "" in parts
    for suffix, part in parts.items():
        spec = codec.layout[suffix].spec(tensor.shape)
        assert (part.dtype, part.shape) == (DTYPES[spec.dtype], spec.shape)
    assert sum(part.nbytes for part in parts.values()) == encoded_bytes(codec.layout, tensor.shape)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(tensor=tensors)
@settings(max_examples=examples(40))
def test_no_codec_makes_anything_larger_than_the_largest(codec: Codec, tensor: Any) -> None:
    """The bound on what inner steps can move holds after the codec too, but for one rounding."""
    peak = np.abs(tensor).max(initial=0.0)
    assert np.abs(codec.decode(codec.encode(tensor), tensor.shape)).max(initial=0.0) <= peak * np.float32(1 + 2**-8)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_slice_decodes_to_its_part_of_the_whole(codec: Codec) -> None:
    tensor = some_update({"w": (3 * SLICE_UNIT + 77,)})["w"]
    parts, whole = codec.encode(tensor), codec.decode(codec.encode(tensor), tensor.shape)
    for start, stop in ((0, SLICE_UNIT), (SLICE_UNIT, 3 * SLICE_UNIT), (3 * SLICE_UNIT, tensor.size)):
        cut = {s: parts[s][part.count(start) : part.count(stop)] for s, part in codec.layout.items()}
        np.testing.assert_array_equal(codec.decode(cut, (stop - start,)), whole[start:stop])


@given(tensors)
def test_bf16_is_off_by_a_256th_at_most(tensor: Any) -> None:
    decoded = Bfloat16().decode(Bfloat16().encode(tensor), tensor.shape)
    assert (np.abs(decoded.astype(np.float64) - tensor) <= np.maximum(np.abs(tensor) * 2.0**-8, 2.0**-134)).all()


@pytest.mark.parametrize(("value", "bits"), [(1.0, 0x3F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (-2.5, 0xC020)])
def test_bf16_ties_go_to_even(value: float, bits: int) -> None:
    assert Bfloat16().encode(np.array([value], np.float32))[""][0] == bits


@given(tensors)
def test_int4_is_off_by_little_more_than_half_a_level(tensor: Any) -> None:
    parts = Int4().encode(tensor)
    decoded = Int4().decode(parts, tensor.shape)
    peak = float(np.abs(tensor).max(initial=0.0))
    tolerance = peak / 7 * 0.5001 if parts["#scale"].any() else 7 * 2.0**-125
    assert np.abs(decoded.astype(np.float64) - tensor).max(initial=0.0) <= tolerance


@given(hnp.arrays(np.float32, st.integers(1, 700), elements=numbers))
def test_topk_keeps_the_largest_of_each_chunk_with_their_signs(tensor: Any) -> None:
    decoded = SMALL.decode(SMALL.encode(tensor), tensor.shape)
    for start in range(0, tensor.size, 256):
        chunk, kept = tensor[start : start + 256], decoded[start : start + 256] != 0
        expected = sorted(range(chunk.size), key=lambda i: -abs(chunk[i]))[:4]
        assert set(np.nonzero(kept)[0]) == {i for i in expected if abs(chunk[i]) >= 2.0**-126}
        np.testing.assert_array_equal(np.signbit(decoded[start : start + 256][kept]), np.signbit(chunk[kept]))


def test_topk_gives_small_and_large_their_own_means() -> None:
    decoded = SMALL.decode(SMALL.encode(np.array([0, 9, -1, 7, 3], np.float32)), (5,))
    np.testing.assert_array_equal(decoded, [0, 8, -2, 8, 2])


def test_zeros_are_never_kept() -> None:
    """A row of an embedding that no batch touched stays where it is."""
    tensor = np.zeros(1_024, np.float32)
    tensor[300] = 5.0
    np.testing.assert_array_equal(SMALL.decode(SMALL.encode(tensor), tensor.shape), tensor)


@pytest.mark.parametrize("kept", [0, 3, -4, 256])
def test_topk_keeps_no_other_numbers(kept: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        TopK(kept)


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


@pytest.mark.parametrize("bits", [0x7FC0, 0x7F80, 0xFF80, 0x7149])
def test_bf16_decoder_refuses_nan_and_infinity(bits: int) -> None:
    with pytest.raises(MalformedUpdate):
        Bfloat16().decode({"": np.array([bits], np.uint16)}, (1,))


@pytest.mark.parametrize(
    ("packed", "scale"),
    [
        pytest.param([0x17], 0x7FC0, id="scale NaN"),
        pytest.param([0x17], 0x7F80, id="scale infinite"),
        pytest.param([0x17], 0xBF80, id="scale negative"),
        pytest.param([0x00], 0x8000, id="scale minus zero"),
        pytest.param([0x17], 0x0001, id="scale subnormal"),
        pytest.param([0x17], 0x7F00, id="product absurd"),
        pytest.param([0x16], 0x3F80, id="scale larger than the encoder's"),
        pytest.param([0x00], 0x3F80, id="scale of an empty block"),
        pytest.param([0x17], 0x0000, id="levels without a scale"),
        pytest.param([0x87], 0x3F80, id="level out of range"),
    ],
)
def test_int4_tricks_are_refused(packed: list[int], scale: int) -> None:
    with pytest.raises(MalformedUpdate):
        Int4().decode({"": np.array(packed, np.uint8), "#scale": np.array([scale], np.uint16)}, (2,))


def test_half_byte_behind_the_end_must_be_zero() -> None:
    good = {"": np.array([0x07], np.uint8), "#scale": np.array([0x3F80], np.uint16)}
    np.testing.assert_array_equal(Int4().decode(good, (1,)), [7.0])
    with pytest.raises(MalformedUpdate, match="behind the last"):
        Int4().decode({**good, "": np.array([0x17], np.uint8)}, (1,))


def _sparse(
    count: int = 2, index: Sequence[int] = (1, 5, 0, 0), codes: int = 0b0100, small: int = 0x3F80, large: int = 0x4000
) -> dict[str, Any]:
    """One chunk: +1 at index 1, +2 at index 5."""
    return {
        "": np.array([codes], np.uint8),
        "#count": np.array([count], np.uint8),
        "#index": np.array(index, np.uint8),
        "#magnitudes": np.array([small, large], np.uint16),
    }


def test_a_sparse_chunk_is_what_it_says() -> None:
    decoded = SMALL.decode(_sparse(), (8,))
    np.testing.assert_array_equal(decoded, [0, 1, 0, 0, 0, 2, 0, 0])


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        pytest.param(_sparse(count=5), "more than 4", id="more than there are slots"),
        pytest.param(_sparse(count=1), "not used", id="index in an empty slot"),
        pytest.param(_sparse(codes=0b0100_0100), "not used", id="code in an empty slot"),
        pytest.param(_sparse(index=(5, 5, 0, 0)), "ascending", id="an element twice"),
        pytest.param(_sparse(index=(5, 1, 0, 0)), "ascending", id="another order"),
        pytest.param(_sparse(index=(1, 8, 0, 0)), "behind the end", id="index out of range"),
        pytest.param(_sparse(small=0x7FC0), "not a number", id="magnitude NaN"),
        pytest.param(_sparse(large=0x7F80), "not a number", id="magnitude infinite"),
        pytest.param(_sparse(large=0x7149), "absurdly", id="magnitude absurd"),
        pytest.param(_sparse(small=0xBF80), "not a number", id="magnitude negative"),
        pytest.param(_sparse(small=0x0001), "subnormal", id="magnitude subnormal"),
        pytest.param(_sparse(small=0x0000), "has none", id="kept without a magnitude"),
        pytest.param(_sparse(count=0, index=(0, 0, 0, 0), codes=0), "without kept", id="magnitude of an empty block"),
        pytest.param(_sparse(small=0x4000, large=0x3F80), "not those", id="small above large"),
        pytest.param(_sparse(large=0x3F80), "not those", id="large where both are equal"),
        pytest.param(_sparse(codes=0), "not those", id="large magnitude that nothing uses"),
        pytest.param(_sparse(codes=0b0101), "not those", id="small magnitude that nothing uses"),
    ],
)
def test_sparse_tricks_are_refused(parts: dict[str, Any], why: str) -> None:
    with pytest.raises(MalformedUpdate, match=why):
        SMALL.decode(parts, (8,))


@pytest.mark.parametrize("codec", [Bfloat16(), Int4(), SMALL], ids=lambda codec: codec.name)
@given(data=st.data())
def test_random_bytes_are_refused_or_canonical(codec: Codec, data: st.DataObject) -> None:
    """Whatever a stranger writes, the decoder refuses it or it is what the encoder would have written."""
    shape = (data.draw(st.integers(1, 12)),)
    parts = {
        suffix: data.draw(
            hnp.arrays(
                DTYPES[part.dtype],
                part.spec(shape).shape,
                elements=st.integers(0, 255) if part.dtype == "U8" else st.sampled_from([0, 0x3F80, 0x4000, 0x7F80, 1]),
                fill=st.nothing(),
            )
        )
        for suffix, part in codec.layout.items()
    }
    try:
        decoded = codec.decode(parts, shape)
    except MalformedUpdate:
        return
    again = codec.encode(decoded)
    assert all(again[suffix].tobytes() == part.tobytes() for suffix, part in parts.items())


def test_unknown_codec_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="int3"):
        codec_named("int3")


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_update_survives_the_bundle(codec: Codec, tmp_path: Path) -> None:
    update = some_update()
    write_update(tmp_path / "update", update, codec)
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})

    read = read_update(tmp_path, manifest, SHAPES, codec)

    assert list(read) == sorted(SHAPES)
    for name, tensor in update.items():
        np.testing.assert_array_equal(read[name], codec.decode(codec.encode(tensor), tensor.shape))
        assert read[name].shape == tensor.shape


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_update_is_read_in_pieces(codec: Codec, tmp_path: Path) -> None:
    shapes = {"a": (3, SLICE_UNIT), "b": (77,), "c": ()}
    write_update(tmp_path / "update", some_update(shapes), codec)
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})
    reader = UpdateReader(tmp_path, manifest, shapes, codec)
    assert {name: array.tobytes() for name, array in gather(reader, SLICE_UNIT).items()} == {
        name: array.tobytes() for name, array in read_update(tmp_path, manifest, shapes, codec).items()
    }


def test_bad_number_is_found_in_its_piece_and_named(tmp_path: Path) -> None:
    shapes = {"a": (2 * SLICE_UNIT,)}
    update = some_update(shapes)
    write_update(tmp_path / "update", update, Fp32())
    update["a"][SLICE_UNIT] = np.inf
    write_tensors(tmp_path / "update" / "0000.safetensors", update)
    reader = UpdateReader(tmp_path, build_bundle(tmp_path, BundleKind.SUBMISSION, {}), shapes, Fp32())
    reader.read("a", 0, SLICE_UNIT)
    with pytest.raises(MalformedUpdate, match="tensor 'a'"):
        reader.read("a", SLICE_UNIT, 2 * SLICE_UNIT)


def test_large_update_is_spread_over_files(tmp_path: Path) -> None:
    shapes = {name: (FILE_BYTES // 8 + 1,) for name in ("a", "b")}  # each a little more than half a file
    write_update(tmp_path / "update", {name: np.ones(shape, np.float32) for name, shape in shapes.items()}, Fp32())
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})
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
    manifest = build_bundle(tmp_path, BundleKind.SUBMISSION, {})
    with pytest.raises(MalformedUpdate) as refusal:
        read_update(tmp_path, manifest, SHAPES, Fp32())
    assert refusal.value.reason is Reason.BAD_UPDATE


MIXED: dict[str, Any] = {
    **some_update(),
    "a.levels": np.arange(-3, 4, dtype=np.int8),
    "a.bytes": np.arange(5, dtype=np.uint8),
    "z.bits": np.arange(5, dtype=np.uint16),
    "ö": np.zeros((0, 2), np.float32),
}
MIXED_SPECS = {
    name: TensorSpec(next(code for code, dtype in DTYPES.items() if dtype == a.dtype), a.shape)
    for name, a in MIXED.items()
}


def test_tensor_files_are_those_of_the_library(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", MIXED)
    assert (tmp_path / "ours").read_bytes() == safetensors.numpy.save(MIXED)
    for name, array in read_tensors(tmp_path / "ours", MIXED_SPECS):
        np.testing.assert_array_equal(array, MIXED[name])


def test_tensors_are_read_in_pieces(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", MIXED)
    file = TensorFile(tmp_path / "ours", MIXED_SPECS)
    for name, array in MIXED.items():
        np.testing.assert_array_equal(file.read(name), array.reshape(-1))
        np.testing.assert_array_equal(
            file.read(name, array.size // 2, array.size), array.reshape(-1)[array.size // 2 :]
        )


def test_file_cut_short_behind_our_back_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", MIXED)
    file = TensorFile(tmp_path / "ours", MIXED_SPECS)
    (tmp_path / "ours").write_bytes((tmp_path / "ours").read_bytes()[:-30])
    with pytest.raises(MalformedUpdate, match="ends within"):
        [file.read(name) for name in MIXED]


def test_file_of_other_numbers_is_no_file_of_float32(tmp_path: Path) -> None:
    write_tensors(tmp_path / "bytes", {"w": np.zeros(3, np.uint8)})
    with pytest.raises(MalformedUpdate, match="U8"):
        Float32File(tmp_path / "bytes")


def test_pieces_make_the_same_file(tmp_path: Path) -> None:
    update = some_update()
    write_tensors(tmp_path / "whole", update)
    with Float32Writer(tmp_path / "pieces", SHAPES) as writer:
        for name in sorted(update):
            for piece in np.array_split(update[name].reshape(-1), 3):
                writer.append(piece)
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
    with pytest.raises(ValueError, match="not written"), Float32Writer(tmp_path / "pieces", SHAPES):
        pass
