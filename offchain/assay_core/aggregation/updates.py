"""The pseudo-gradient of a submission as files of its bundle: `update/0000.safetensors` and so on.

There is one way to spread an update's tensors over files, so one update has one encoding.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from assay_core.aggregation.codecs import Codec
from assay_core.aggregation.exact import CHUNK
from assay_core.aggregation.layout import encoded_bytes, part_specs
from assay_core.bundle.manifest import Manifest
from assay_core.bundle.named_tensors import InMemory, Tensors, gather_one
from assay_core.bundle.numbers import Array, Float32, Shape
from assay_core.bundle.tensor_files import TensorFile, TensorSpec, element_count, max_file_bytes, write_tensors
from assay_core.protocol.errors import MalformedManifest, MalformedUpdate

FOLDER = "update"
FILE_BYTES = 64 * 2**20  # a file is closed once it holds this much
PIECE = 64 * CHUNK  # elements that are read at a time


def write_update(folder: Path, tensors: Mapping[str, Float32] | Tensors, codec: Codec) -> None:
    """Write `<bundle>/update`'s files. Raises MalformedUpdate: NaN or infinity, so there is nothing to submit.

    Of tensors that are computed when they are read, those of one file (and at least one) are in memory at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    update = InMemory(tensors) if isinstance(tensors, Mapping) else tensors
    for number, names in enumerate(_layout(update.shapes, codec)):
        parts: dict[str, Array] = {}
        for name in names:
            try:
                encoded = codec.encode(gather_one(update, name, PIECE))
            except MalformedUpdate as error:
                raise MalformedUpdate(f"tensor {name!r}: {error}") from error
            parts |= {name + suffix: part for suffix, part in encoded.items()}
        write_tensors(folder / _file_name(number), parts)


class UpdateReader:
    """The update of a verified bundle, decoded in pieces: nothing is kept in memory. See `readable.Tensors`."""

    def __init__(self, directory: Path, manifest: Manifest | None, shapes: Mapping[str, Shape], codec: Codec) -> None:
        """`shapes` are the policy's trainable parameters: the update must have exactly these.

        Sizes, types and shapes are checked before numbers are read. Raises MalformedUpdate. Files that we have just
        written have no manifest yet.
        """
        layout = _layout(shapes, codec)
        if manifest is not None:
            _check_files(manifest, layout, shapes, codec)
        self.shapes = dict(shapes)
        self._codec = codec
        self._files: dict[str, TensorFile] = {}
        for number, names in enumerate(layout):
            file = TensorFile(directory / FOLDER / _file_name(number), _specs(names, shapes, codec))
            self._files |= dict.fromkeys(names, file)

    def read(self, name: str, start: int, stop: int) -> Float32:
        """Elements start to stop of a tensor in C order; start is a multiple of SLICE_UNIT. Raises MalformedUpdate."""
        file = self._files[name]
        parts = {
            suffix: file.read(name + suffix, part.count(start), part.count(stop))
            for suffix, part in self._codec.layout.items()
        }
        try:
            return self._codec.decode(parts, (stop - start,))
        except MalformedUpdate as error:
            raise MalformedUpdate(f"tensor {name!r}: {error}") from error


def read_update(directory: Path, manifest: Manifest, shapes: Mapping[str, Shape], codec: Codec) -> dict[str, Float32]:
    """All of the update of a verified bundle, in order of name. Raises MalformedUpdate, as UpdateReader does."""
    reader = UpdateReader(directory, manifest, shapes, codec)
    return {name: reader.read(name, 0, element_count(shapes[name])).reshape(shapes[name]) for name in sorted(shapes)}


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
        size = encoded_bytes(codec.layout, shapes[name])
        if not files or size > room:
            files.append([])
            room = FILE_BYTES
        files[-1].append(name)
        room -= size
    return files


def _specs(names: Sequence[str], shapes: Mapping[str, Shape], codec: Codec) -> dict[str, TensorSpec]:
    specs: dict[str, TensorSpec] = {}
    for name in names:
        specs |= part_specs(codec.layout, name, shapes[name])
    return specs


def _file_name(number: int) -> str:
    return f"{number:04d}.safetensors"
