"""A step that the members of a synchronous group divide: whose turn it is, and what comes of it. Needs no engine.

`SyncGroup` (collective.py, on torchft) is the group of several; `Alone` that of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from assay_core.aggregation.codecs import Float32


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: share `rank` of `peers` of the work of step `step`."""

    step: int
    rank: int
    peers: int


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """The sum [D] of all shares of a step.

    `lost_s`: seconds that went into attempts that did not count, and into waiting for peers that turned out to be gone.
    """

    total: Float32
    peers: int
    attempts: int = 1
    lost_s: float = 0.0


class Adder(Protocol):
    """Adds up what each member contributes to a step; see `SyncGroup.add_up`."""

    def add_up(
        self, share: Callable[[Turn], Float32], is_whole: Callable[[Float32], bool], keep_on: Callable[[], None]
    ) -> Added: ...


class Alone:
    """A group of one, which is always whole. `step`: at which it stands."""

    def __init__(self, step: Callable[[], int]) -> None:
        self._step = step

    def add_up(
        self, share: Callable[[Turn], Float32], is_whole: Callable[[Float32], bool], keep_on: Callable[[], None]
    ) -> Added:
        keep_on()
        return Added(share(Turn(self._step(), 0, 1)), 1)
