"""How often a daemon looks at the chain: as often as blocks come while something happens, less while nothing does."""

from collections.abc import Callable

from assay_core.chain.networks import LOCAL_CHAINS

LEAST_S = 0.5
LOCAL_S = 0.5  # of a chain of our own, whose blocks may come only when something is sent
UNKNOWN_S = 2.0  # while it is not known how fast blocks come
MOST_BLOCK_S = 12.0
MOST_S = 36.0
SLOWER = 1.5  # with each look that finds nothing


def pace_of(chain_id: int, block_s: Callable[[], float | None], wanted_s: float | None) -> "Pace":
    """What the operator wants, else what suits the chain."""
    return Pace(block_s, LOCAL_S if wanted_s is None and chain_id in LOCAL_CHAINS else wanted_s)


class Pace:
    """Seconds between two looks."""

    def __init__(self, block_s: Callable[[], float | None], fixed_s: float | None = None) -> None:
        """`block_s`: seconds from block to block, of late. `fixed_s`: what the operator wants; None: by blocks."""
        self._block_s, self._fixed_s = block_s, fixed_s
        self._quiet = 0

    def next_s(self, *, is_news: bool) -> float:
        """How long to wait after a look that found something new, or did not."""
        if self._fixed_s is not None:
            return self._fixed_s
        self._quiet = 0 if is_news else self._quiet + 1
        block_s = self._block_s() or UNKNOWN_S
        least_s = min(max(block_s, LEAST_S), MOST_BLOCK_S)
        return min(least_s * SLOWER ** min(self._quiet, 16), MOST_S)
