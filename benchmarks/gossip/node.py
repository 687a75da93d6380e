"""One peer of a gossip: its state, what has arrived from its neighbours, and how it mixes.

No socket and no clock: the simulator and the real peer drive this same class. D is the length of a state, the flat
concatenation of an update's tensors.

A peer never waits. It mixes what has arrived, x ← x + Σ_j w_j clip(x_j - x), over the neighbours heard of since its
last mix; the weight of the silent ones stays with itself. With Metropolis-Hastings weights the expected matrix of such
a mix is symmetric as long as messages get lost alike in both directions, so the mean of all peers is kept in
expectation; how far it drifts in fact is measured by the simulator.

Clipping what one neighbour can move bounds a hostile one: at most w_j · clip_norm per mix, whatever it sends.
Source: Boyd et al. 2006, "Randomized gossip algorithms"; Lian et al. 2018, arXiv:1710.06952 (asynchronous); He et al.
2022, arXiv:2202.01545 (clipped gossip).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NewType

import numpy as np
import numpy.typing as npt

from assay_core.protocol.errors import Malformed, Rejected

Vector = npt.NDArray[np.floating[Any]]
MAX_MAGNITUDE = 2.0**64  # as in codecs: differences of such numbers stay finite
Seat = NewType("Seat", int)  # a peer's position in the graph


@dataclass(frozen=True, slots=True)
class Message:
    """A peer's state as it was when sent. `round` counts the sender's mixes, so that old news is told from new."""

    sender: Seat
    round: int
    state_D: Vector


class GossipNode:
    """Memory: one state, and the latest message of each neighbour."""

    def __init__(
        self,
        seat: Seat,
        neighbours: Sequence[int],
        weights: Sequence[float],
        state_D: Vector,
        *,
        clip_norm: float | None = None,
        fanout: int | None = None,
        is_new: bool = False,
    ) -> None:
        """`state_D` is written in place. `fanout`: neighbours told per mix, in turn; None: all.

        `is_new`: it has nothing worth mixing yet, so its first mix takes over what its neighbours have.
        """
        self.seat = seat
        self.state_D = state_D
        self.round = 0
        self._weights = {Seat(j): weight for j, weight in zip(neighbours, weights, strict=True)}
        self._clip_norm = clip_norm
        self._fanout = len(neighbours) if fanout is None else min(fanout, len(neighbours))
        self._is_new = is_new
        self._turn = list(self._weights)
        self._due: list[Seat] = []
        self._arrived: dict[Seat, Message] = {}
        self._newest: dict[Seat, int] = {}

    def contribute(self, update_D: Vector) -> None:
        """Add an update of our own, e.g. the pseudo-gradient of the inner steps just done."""
        self.state_D += update_D

    def awaits(self, sender: Seat, round_: int) -> bool:
        """Whether such a message would be news. Raises Rejected: it is not a neighbour's."""
        if sender not in self._weights:
            raise Rejected(f"peer {sender} is not a neighbour of peer {self.seat}")
        return round_ > self._newest.get(sender, -1)

    def receive(self, message: Message) -> bool:
        """Keep a neighbour's message for the next mix; False when it is no newer than what we had from it.

        Raises Rejected: not a neighbour's. Raises Malformed: of another length, or impossible numbers.
        """
        if not self.awaits(message.sender, message.round):
            return False
        if message.state_D.shape != self.state_D.shape:
            raise Malformed(f"a state of shape {message.state_D.shape}, not {self.state_D.shape}")
        if not (np.abs(message.state_D) <= MAX_MAGNITUDE).all():  # NaN is not <= anything
            raise Malformed(f"peer {message.sender} sent a state with NaN, infinity or absurdly large numbers")
        self._newest[message.sender] = message.round
        self._arrived[message.sender] = message
        return True

    def mix(self) -> int:
        """Mix what has arrived since the last time, in order of seat; returns of how many neighbours."""
        arrived = [self._arrived[seat] for seat in sorted(self._arrived)]
        self._arrived.clear()
        if arrived and self._is_new:
            self._adopt(arrived)
        else:
            before_D = self.state_D.copy()
            for message in arrived:
                self.state_D += self._weights[message.sender] * self._clipped(message.state_D - before_D)
        self.round += 1
        self._plan()
        return len(arrived)

    def next_due(self) -> Seat | None:
        """The neighbour to tell now; None: all that are due have been told."""
        return self._due.pop(0) if self._due else None

    def message(self) -> Message:
        return Message(self.seat, self.round, self.state_D.copy())

    def restart(self, state_D: Vector | None = None) -> None:
        """Come back after an absence, with the old state or, given one, as a new peer."""
        self._arrived.clear()
        self._due.clear()
        if state_D is not None:
            self.state_D[...] = state_D
            self._is_new = True

    def _adopt(self, arrived: Sequence[Message]) -> None:
        total = sum(self._weights[message.sender] for message in arrived)
        self.state_D[...] = 0
        for message in arrived:
            self.state_D += self._weights[message.sender] / total * message.state_D
        self._is_new = False

    def _clipped(self, difference_D: Vector) -> Vector:
        if self._clip_norm is None:
            return difference_D
        norm = float(np.linalg.norm(difference_D.astype(np.float64)))  # squares would overflow float32
        return difference_D * (self._clip_norm / norm) if norm > self._clip_norm else difference_D

    def _plan(self) -> None:
        """Those that the last round did not get to come first, then the others in turn: a slow uplink starves none."""
        fresh = self._turn[: self._fanout]
        self._turn = self._turn[self._fanout :] + fresh
        self._due = [*self._due, *(seat for seat in fresh if seat not in self._due)]
