"""How many examples a test tries that says so itself: a share of them in quick runs, as the profile has it."""

from hypothesis import settings

MOST_TRY = 100  # with the profile `full`


def examples(count: int) -> int:
    """`count` with the profile `full`, and a share of them in quick runs."""
    return max(1, count * settings().max_examples // MOST_TRY)
