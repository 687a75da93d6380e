"""What a share of the seats of a pool is worth in a panel drawn from it. Exact: no draw is simulated.

A panel is drawn seat by seat without repetition. From a large pool the attacker's seats follow the binomial
distribution, from one of so many seats the hypergeometric one.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import comb

from assay_core.protocol.types import BPS, PANEL_QUORUM_BPS

SIZES = (3, 5, 7, 9, 15, 31)
SHARES_PERCENT = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)


@dataclass(frozen=True, slots=True)
class Capture:
    """Probabilities that an attacker has so much of a panel of `size` seats.

    `quorum`: enough to call fraud and to blame verifiers, two thirds. `majority`: more than half, enough for any score
    that pays or not. `veto`: enough to keep a fraud from being called one.
    """

    size: int
    share_percent: int
    quorum: float
    majority: float
    veto: float


def quorum_seats(size: int) -> int:
    """Seats that make a fraud, as the contracts count them."""
    return -(-size * PANEL_QUORUM_BPS // BPS)


def majority_seats(size: int) -> int:
    """Seats that decide a payment."""
    return size // 2 + 1


def veto_seats(size: int) -> int:
    """Seats without which the others are no quorum."""
    return size - quorum_seats(size) + 1


def at_least(seats: int, size: int, share: Fraction, pool: int | None = None) -> Fraction:
    """Probability that at least `seats` of `size` are the attacker's, who holds `share` of the pool's seats.

    `pool` None: a pool so large that draws do not deplete it. Raises ValueError: the pool is smaller than the panel.
    """
    if pool is None:
        chances = (comb(size, k) * share**k * (1 - share) ** (size - k) for k in range(seats, size + 1))
        return sum(chances, Fraction(0))
    if pool < size:
        raise ValueError(f"a pool of {pool} seats fills no panel of {size}")
    own = int(share * pool)
    ways = sum(comb(own, k) * comb(pool - own, size - k) for k in range(seats, size + 1))
    return Fraction(ways, comb(pool, size))


def capture(size: int, share_percent: int, pool: int | None = None) -> Capture:
    """Raises ValueError: the pool is smaller than the panel."""
    share = Fraction(share_percent, 100)
    quorum, majority, veto = (
        float(at_least(seats(size), size, share, pool)) for seats in (quorum_seats, majority_seats, veto_seats)
    )
    return Capture(size, share_percent, quorum, majority, veto)


def captures(pool: int | None = None) -> tuple[Capture, ...]:
    """Every size of panel that the pool fills, at every share."""
    sizes = [size for size in SIZES if pool is None or size <= pool]
    return tuple(capture(size, share, pool) for size in sizes for share in SHARES_PERCENT)
