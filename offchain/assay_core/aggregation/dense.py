"""Codecs that keep every element in a floating-point format."""

from collections.abc import Mapping

import numpy as np

from assay_core.aggregation.layout import Layout, PartLayout
from assay_core.bundle.numbers import Array, Float32, Shape, bounded, from_bfloat16, to_bfloat16


class Fp32:
    """Nothing lost, 4 bytes per element."""

    name = "fp32"
    is_sparse = False

    def __init__(self) -> None:
        self.layout: Layout = {"": PartLayout("F32")}

    def encode(self, tensor: Float32) -> dict[str, Array]:
        return {"": bounded(np.asarray(tensor, dtype=np.float32))}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        return bounded(parts[""]).reshape(shape)


class Bfloat16:
    """Rounded to 8 significant bits, ties to even: off by 1/256 of each element at most; 2 bytes per element."""

    name = "bf16"
    is_sparse = False

    def __init__(self) -> None:
        self.layout: Layout = {"": PartLayout("U16")}  # bit patterns: numpy knows no bfloat16

    def encode(self, tensor: Float32) -> dict[str, Array]:
        return {"": to_bfloat16(bounded(np.asarray(tensor, dtype=np.float32))).reshape(tensor.shape)}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        return bounded(from_bfloat16(parts[""])).reshape(shape)
