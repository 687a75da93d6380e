"""Which groups each inner step trains on."""

from collections.abc import Sequence

from assay_core.protocol.encoding import derive
from assay_core.protocol.types import Seed
from assay_core.training.seeding import permutation


def batch_order(groups: Sequence[int], steps: int, groups_per_step: int, seed: Seed) -> list[tuple[int, ...]]:
    """One tuple of groups per inner step; none at all when there are no groups.

    Each pass over the groups is a new permutation drawn from `seed`, cut into batches of `groups_per_step`. What is
    left over at the end of a pass is dropped, unless it is all there is.
    """
    if not groups:
        return []
    per_pass = max(1, len(groups) // groups_per_step)
    order: list[tuple[int, ...]] = []
    for step in range(steps):
        number, position = divmod(step, per_pass)
        shuffled = permutation(derive(seed, "batches", number), groups)
        order.append(tuple(shuffled[position * groups_per_step : (position + 1) * groups_per_step]))
    return order
