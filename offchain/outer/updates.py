"""The pseudo-gradient of a work as files of its bundle: `update/0000.safetensors` and so on.

There is one way to spread an update's tensors over files, so one update has one encoding.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from offchain.outer.codecs import Codec, Float32, Shape
from offchain.outer.tensor_files import Array, TensorSpec, max_file_bytes, read_tensors, write_tensors
from offchain.protocol.errors import MalformedManifest, MalformedUpdate
from offchain.protocol.manifest import Manifest

FOLDER = "update"
FILE_BYTES = 64 * 2**20  # a file is closed once it holds this much; what a reader has in memory besides the result


def write_update(folder: Path, tensors: Mapping[str, Float32], codec: Codec) -> None:
    """Write `<bundle>/update`'s files. Raises MalformedUpdate: NaN or infinity, so there is nothing to submit."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {name: tuple(array.shape) for name, array in tensors.items()}
    for number, names in enumerate(_layout(shapes, codec)):
        parts: dict[str, Array] = {}
        for name in names:
            try:
                encoded = codec.encode(tensors[name])
            except MalformedUpdate as error:
                raise MalformedUpdate(f"tensor {name!r}: {error}") from error
            parts |= {name + suffix: part for suffix, part in encoded.items()}
        write_tensors(folder / _file_name(number), parts)


def read_update(directory: Path, manifest: Manifest, shapes: Mapping[str, Shape], codec: Codec) -> dict[str, Float32]:
    """Decode the update of a verified bundle, in order of name.

    `shapes` are the policy's trainable parameters: the update must have exactly these. Sizes, types and shapes are
    checked before numbers are read. Raises MalformedUpdate.
    """
    layout = _layout(shapes, codec)
    _check_files(manifest, layout, shapes, codec)
    update: dict[str, Float32] = {}
    for number, names in enumerate(layout):
        path = directory / FOLDER / _file_name(number)
        parts = dict(read_tensors(path, _specs(names, shapes, codec)))
        for name in names:
            suffixes = codec.parts(shapes[name])
            try:
                update[name] = codec.decode({suffix: parts[name + suffix] for suffix in suffixes}, shapes[name])
            except MalformedUpdate as error:
                raise MalformedUpdate(f"tensor {name!r}: {error}") from error
    return update


def _check_files(
    manifest: Manifest, layout: Sequence[Sequence[str]], shapes: Mapping[str, Shape], codec: Codec
) -> None:
    found = {entry.name for entry in manifest.files if entry.name.startswith(f"{FOLDER}/")}
    expected = {f"{FOLDER}/{_file_name(number)}" for number in range(len(layout))}
    if found != expected:
        raise MalformedUpdate(f"update lacks the file, or has as surplus, {sorted(found ^ expected)[0]!r}")
    for number, names in enumerate(layout):
        try:
            entry = manifest.entry(f"{FOLDER}/{_file_name(number)}")
        except MalformedManifest as error:
            raise MalformedUpdate(str(error)) from error
        if entry.size_bytes > (most := max_file_bytes(_specs(names, shapes, codec))):
            raise MalformedUpdate(f"file {entry.name!r} has {entry.size_bytes} bytes, at most {most} are right")


def _layout(shapes: Mapping[str, Shape], codec: Codec) -> list[list[str]]:
    """Names of tensors per file, in ascending order throughout; an update without tensors has no files."""
    files: list[list[str]] = []
    room = 0
    for name in sorted(shapes):
        size = sum(spec.size_bytes for spec in codec.parts(shapes[name]).values())
        if not files or size > room:
            files.append([])
            room = FILE_BYTES
        files[-1].append(name)
        room -= size
    return files


def _specs(names: Sequence[str], shapes: Mapping[str, Shape], codec: Codec) -> dict[str, TensorSpec]:
    return dict(_parts(names, shapes, codec))


def _parts(names: Sequence[str], shapes: Mapping[str, Shape], codec: Codec) -> Iterator[tuple[str, TensorSpec]]:
    for name in names:
        for suffix, spec in codec.parts(shapes[name]).items():
            yield name + suffix, spec


def _file_name(number: int) -> str:
    return f"{number:04d}.safetensors"
