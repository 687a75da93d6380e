"""The sampling test's model of honest noise, derived from submissions: a uniform lies x or more outside of its token's
interval with probability share * exp(-x / scale) at most.

Where precision is low, distances are plenty and are bounded as they were measured. In float32 hardly any uniform ever
leaves its interval; then the share is what so many tokens can exclude (3 in n at 95 %), and the scale follows from how
far the probabilities of the drawn tokens differ, since an interval's ends move no further than that in kind.

Room is as in thresholds.py, and the scale between its floor and the largest at which the cheats are still told apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay_core.protocol.spec import CheckSpec
from assay_protocol.calibration.thresholds import Regime

FEW = 10  # distances above zero of which no distribution can be read
CONFIDENT = 3.0  # with 95 % confidence a rate is below 3 / n when nothing was seen in n
BISECTIONS = 24

Doubts = Callable[[CheckSpec], Sequence[float]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """`floor` is the smallest scale that the honest submissions allow; `widest` the largest that still tells the cheats
    apart, None where none was."""

    share: float
    scale: float
    floor: float
    widest: float | None
    tokens: int
    outside: int
    largest: float

    def applied(self, checks: CheckSpec) -> CheckSpec:
        return checks.model_copy(update={"cdf_noise_share": self.share, "cdf_noise_scale": self.scale})


def fit(
    distances_N: Floats, largest_shift: float, regime: Regime, checks: CheckSpec, doubts: Doubts | None = None
) -> NoiseModel:
    """Derive the model from honest distances (one per token, 0 inside of the interval).

    Args:
        largest_shift: how far the probability of a drawn token differed at most between the two parties.
        doubts: of the cheats' submissions that concern this check, under given parameters; the larger the clearer.
    """
    above = np.sort(distances_N[distances_N > 0])[::-1]
    tokens = max(len(distances_N), 1)
    share = min(1.0, regime.room * (len(above) + CONFIDENT) / tokens)
    # survival i / n at the i-th largest distance must lie below share * exp(-x / scale)
    ranks = np.arange(1, len(above) + 1)
    seen = float(np.max(above / np.maximum(np.log(share * tokens / ranks), 1.0))) if len(above) else 0.0
    if len(above) < FEW:
        seen = max(seen, largest_shift)
    share, floor = _up(share), regime.room * max(seen, 1e-9)
    widest = _widest(share, floor, checks, doubts) if doubts else None
    default = CheckSpec().cdf_noise_scale
    scale = max(floor, default if widest is None else min(default, math.sqrt(floor * widest)))
    return NoiseModel(
        share, min(_up(scale), 1.0), floor, widest, tokens, len(above), float(above[0]) if len(above) else 0.0
    )


def _widest(share: float, floor: float, checks: CheckSpec, doubts: Doubts) -> float | None:
    """The largest scale at which every cheat that the floor catches is still caught; None if it catches none."""
    threshold = -math.log10(checks.false_positive_rate)

    def caught(scale: float) -> list[bool]:
        model = checks.model_copy(update={"cdf_noise_share": share, "cdf_noise_scale": scale})
        return [doubt > threshold for doubt in doubts(model)]

    wanted = caught(floor)
    if not any(wanted):
        return None
    low, high = math.log(floor), 0.0
    if low >= high:
        return floor
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        now = caught(math.exp(middle))
        if all(still for still, before in zip(now, wanted, strict=True) if before):
            low = middle
        else:
            high = middle
    return math.exp(low)


def _up(value: float) -> float:
    """Upwards to two significant digits."""
    digits = 1 - math.floor(math.log10(value))
    return round(math.ceil(round(value * 10**digits, 6)) / 10**digits, max(digits, 0))
