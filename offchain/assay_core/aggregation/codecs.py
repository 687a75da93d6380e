"""How a pseudo-gradient travels: as it is, rounded, as small integers with a scale per block, or its largest elements.

Parts of an encoding have sizes that follow from the tensor's shape alone, so a stranger's file is measured before it is
read.
What a decoder takes is what the encoder writes: no NaN, no infinity, and no second encoding of the same numbers.
Decoding is element-wise, so it gives the same bits everywhere. Tensors are flattened in C order; a slice of a tensor
that begins at a multiple of SLICE_UNIT elements decodes by itself.
"""

from collections.abc import Mapping
from typing import Protocol, get_args

from assay_core.aggregation.dense import Bfloat16, Fp32
from assay_core.aggregation.integers import BLOCK, LEVELS, Int4, Int8
from assay_core.aggregation.layout import Layout
from assay_core.aggregation.sparse import TopK
from assay_core.bundle.numbers import Array, Float32, Shape
from assay_core.protocol.spec import CodecName

__all__ = ["BLOCK", "LEVELS", "Bfloat16", "Codec", "Float32", "Fp32", "Int4", "Int8", "Shape", "TopK", "codec_named"]

SLICE_UNIT = 4_096  # every codec's block divides it


class Codec(Protocol):
    """Parts are named by a suffix to the tensor's name; every codec has the part ""."""

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> Layout: ...

    @property
    def is_sparse(self) -> bool:
        """Whether it keeps some elements and drops the others."""
        ...

    def encode(self, tensor: Float32) -> dict[str, Array]:
        """Raises MalformedUpdate: not finite, or beyond MAX_MAGNITUDE."""
        ...

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        """`parts` are as `layout` says. Raises MalformedUpdate: no encoder writes such numbers."""
        ...


def codec_named(name: str) -> Codec:
    """Raises ValueError: there is no such codec."""
    match name:
        case "fp32":
            return Fp32()
        case "bf16":
            return Bfloat16()
        case "int8":
            return Int8()
        case "int4":
            return Int4()
        case "topk64" | "topk20" | "topk4":
            return TopK(int(name.removeprefix("topk")))
        case _:
            raise ValueError(f"no codec is named {name!r}: {', '.join(get_args(CodecName))} are")
