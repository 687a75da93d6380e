"""What an entry of the catalogue is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from offchain.protocol.errors import Reason
from offchain.protocol.types import SCORE_FRAUD, SCORE_UNPAID
from tests.cheats.scene import Draft, Scene


class Seen(StrEnum):
    """Which works the check that catches a cheat looks at."""

    ALWAYS = "every work"
    PREFILL = "drawn completions"
    REPLAY = "drawn works"


@dataclass(frozen=True)
class Cheat:
    """One way to deviate; everything else is as an honest trainer does it.

    `checks` are those that may decide, `reason` and `score` what the verdict must say. `steals` is a colleague's or an
    earlier epoch's work that the verifier knows of, too.
    """

    name: str
    what: str
    make: Callable[[Scene, int], Draft]
    checks: tuple[str, ...]
    reason: Reason | None
    score: int
    seen: Seen
    steals: Callable[[Scene, int], Draft] | None = None


class Catalogue:
    """Collects cheats; the docstring of each says what it does."""

    def __init__(self) -> None:
        self.cheats: list[Cheat] = []

    def fraud(
        self,
        name: str,
        reason: Reason,
        *checks: str,
        seen: Seen = Seen.ALWAYS,
        steals: Callable[[Scene, int], Draft] | None = None,
    ) -> Callable[[Callable[[Scene, int], Draft]], Callable[[Scene, int], Draft]]:
        """A lie about what was run: costs the bond."""
        return self._add(name, reason, SCORE_FRAUD, checks, seen, steals)

    def refused(
        self, name: str, reason: Reason, *checks: str, seen: Seen = Seen.ALWAYS
    ) -> Callable[[Callable[[Scene, int], Draft]], Callable[[Scene, int], Draft]]:
        """Breaks the form, or names something else: earns nothing."""
        return self._add(name, reason, SCORE_UNPAID, checks, seen, None)

    def _add(
        self,
        name: str,
        reason: Reason,
        score: int,
        checks: tuple[str, ...],
        seen: Seen,
        steals: Callable[[Scene, int], Draft] | None,
    ) -> Callable[[Callable[[Scene, int], Draft]], Callable[[Scene, int], Draft]]:
        def keep(make: Callable[[Scene, int], Draft]) -> Callable[[Scene, int], Draft]:
            what = " ".join((make.__doc__ or "").split())
            self.cheats.append(Cheat(name, what, make, checks, reason, score, seen, steals))
            return make

        return keep
