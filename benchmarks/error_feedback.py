"""Error feedback: what a codec drops of one update is added to the next, so that nothing is lost, only late.

For exchanges between those who trust each other: a submission of a task is judged from itself alone and has no residual
(see docs/decisions/0018-error-feedback-stays-out-of-submissions.md). Source: Seide et al. 2014; SparseLoCo, Sarfi et
al. 2025, arXiv:2508.15706 algorithm 1.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from assay_core.aggregation.codecs import Codec
from assay_core.bundle.numbers import Float32, Shape
from assay_core.bundle.tensor_files import TensorSpec, read_tensors, write_tensors
from assay_core.protocol.errors import MalformedUpdate, Stop

NAME = re.compile(r"residual-(\d{8})\.safetensors")


class ErrorFeedback:
    """One sender's residual, kept in files that a crash does not harm.

    The residual of the round before is kept too, so a round that was interrupted can be repeated: the same update gives
    the same bytes again. `decay` below 1 forgets old residuals, which stand in for an outer momentum.
    """

    def __init__(self, folder: Path, codec: Codec, shapes: Mapping[str, Shape], *, decay: float = 1.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._codec, self._decay = folder, codec, np.float32(decay)
        self._specs = {name: TensorSpec("F32", shape) for name, shape in shapes.items()}

    def compress(self, round_number: int, update: Mapping[str, Float32]) -> dict[str, Float32]:
        """What readers will decode in this round: the update and the residual of the round before, through the codec.

        Rounds are taken one after the other; a residual that is missing, as in the first round, counts as zero.
        Raises MalformedUpdate: not finite. Stop: the folder is damaged.
        """
        residual = self._read(round_number - 1)
        sent: dict[str, Float32] = {}
        left: dict[str, Float32] = {}
        for name, tensor in update.items():
            wanted = np.add(tensor, np.multiply(residual[name], self._decay)) if residual else tensor
            sent[name] = self._codec.decode(self._codec.encode(wanted), wanted.shape)
            left[name] = np.subtract(wanted, sent[name])
        self._write(round_number, left)
        return sent

    def _read(self, round_number: int) -> dict[str, Float32]:
        path = self._path(round_number)
        if round_number < 0 or not path.is_file():
            return {}
        try:
            return dict(read_tensors(path, self._specs))
        except MalformedUpdate as error:
            raise Stop(f"{path} is damaged, delete it and start without a residual: {error}") from error

    def _write(self, round_number: int, residual: Mapping[str, Float32]) -> None:
        """Under its final name only when it is whole; those of all rounds but this and the last are dropped."""
        path = self._path(round_number)
        half = path.with_suffix(".part")
        write_tensors(half, residual)
        half.replace(path)
        for other in self._folder.iterdir():
            match = NAME.fullmatch(other.name)
            if match and int(match[1]) not in (round_number, round_number - 1):
                other.unlink()

    def _path(self, round_number: int) -> Path:
        return self._folder / f"residual-{round_number:08d}.safetensors"
