"""What is fuzzed: a reader of strangers' bytes, and what it may do with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from assay_core.protocol.errors import Rejected

MEMORY_BYTES = 64 * 2**20
MEMORY_FACTOR = 64


@dataclass(frozen=True)
class Target:
    """`read` takes one input and returns, or raises one of `typed`; anything else is a fault of the reader.

    `always` are inputs that are tried first, every time.
    The memory allowed is `memory_bytes` and MEMORY_FACTOR times the input. `cost` is roughly how many times dearer an
    example is than one of a small document.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    valid: Sequence[Any]
    always: Sequence[Any] = ()
    typed: tuple[type[Exception], ...] = (Rejected,)
    memory_bytes: int = MEMORY_BYTES
    cost: int = field(default=1)

    def allowed_bytes(self, value: Any) -> int:
        return self.memory_bytes + MEMORY_FACTOR * (len(value) if isinstance(value, (bytes, str)) else 0)


Makers = dict[str, Callable[[Path], Target]]
