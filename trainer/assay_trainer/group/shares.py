"""How the members of a group divide an inner step, and what each of them adds to the sum. Pure arithmetic.

Shapes: B samples of one batch, D elements of all parameters together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from assay_core.aggregation.codecs import Float32

COUNTERS = 4  # tokens, loss, leaders, marks


def share_of(costs_B: Sequence[int], rank: int, peers: int) -> range:
    """Positions of the samples that member `rank` of `peers` takes: consecutive ones, of about equal cost together.

    A sample belongs to whose part of the whole cost its middle lies in, so the shares of all members are a partition.
    """
    total = sum(costs_B)
    owners = [
        min(peers - 1, peers * (2 * after - cost) // (2 * total)) if total else 0
        for cost, after in zip(costs_B, accumulate(costs_B), strict=True)
    ]
    mine = [position for position, owner in enumerate(owners) if owner == rank]
    return range(mine[0], mine[-1] + 1) if mine else range(0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What goes with a gradient: tokens of the samples behind it, their loss, and how many leaders had a part in it.

    `marks`: the sum of the members' marks, each that of the submission it is at.
    """

    tokens: int
    loss: float
    leaders: int
    marks: int


def pack(gradients: Mapping[str, Tensor], counted: Counted) -> Float32:
    """[D + 4]: the gradients in order of name, then the counters. Sums add up by element."""
    counters = np.array([counted.tokens, counted.loss, counted.leaders, counted.marks], np.float32)
    parts = [gradients[name].detach().to("cpu", torch.float32).reshape(-1).numpy() for name in sorted(gradients)]
    return np.concatenate([*parts, counters])


def unpack(total: Float32, like: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Counted]:
    """The sum of all members' gradients, on the devices and in the shapes of `like`."""
    gradients: dict[str, Tensor] = {}
    offset = 0
    for name in sorted(like):
        parameter = like[name]
        piece = torch.from_numpy(total[offset : offset + parameter.numel()])
        gradients[name] = piece.view(parameter.shape).to(parameter.device, parameter.dtype)
        offset += parameter.numel()
    return gradients, counted_in(total)


def counted_in(total: Float32) -> Counted:
    """The counters alone; -1 where a member sent no number."""
    tokens, loss, leaders, marks = (float(value) for value in total[-COUNTERS:])
    return Counted(_whole(tokens), loss, _whole(leaders), _whole(marks))


def mark_of(submission: bytes) -> int:
    """A number that other submissions hardly share, small enough for float32 to add up those of 256 members exactly."""
    return int.from_bytes(submission[:2], "big")


def _whole(value: float) -> int:
    return round(value) if abs(value) < 2**31 else -1
