"""How large the parts of an encoded tensor are, and where in them a range of its elements lies."""

from collections.abc import Mapping
from dataclasses import dataclass

from assay_core.bundle.numbers import Shape
from assay_core.bundle.tensor_files import TensorSpec, element_count


@dataclass(frozen=True, slots=True)
class PartLayout:
    """`items` numbers of type `dtype` for every `elements` elements of the tensor begun."""

    dtype: str
    items: int = 1
    elements: int = 1

    def count(self, elements: int) -> int:
        return -(-elements // self.elements) * self.items

    def spec(self, shape: Shape) -> TensorSpec:
        """A part with one number per element has the tensor's shape, others have one dimension."""
        if self.items == self.elements == 1:
            return TensorSpec(self.dtype, shape)
        return TensorSpec(self.dtype, (self.count(element_count(shape)),))


Layout = Mapping[str, PartLayout]  # by suffix to the tensor's name


def part_specs(layout: Layout, name: str, shape: Shape) -> dict[str, TensorSpec]:
    """What a file must hold for a tensor."""
    return {name + suffix: part.spec(shape) for suffix, part in layout.items()}


def encoded_bytes(layout: Layout, shape: Shape) -> int:
    """What a tensor takes in a file, without its share of the header."""
    return sum(part.spec(shape).size_bytes for part in layout.values())
