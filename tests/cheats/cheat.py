"""What an entry of the catalogue is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from assay_core.protocol.errors import Reason
from assay_core.protocol.types import SCORE_FRAUD, SCORE_UNPAID
from tests.cheats.scene import Scene, make_scene, make_step_wise_scene
from tests.submissions import Draft


class Seen(StrEnum):
    """Which submissions the check that catches a cheat looks at."""

    ALWAYS = "every submission"
    PREFILL = "drawn completions"
    REPLAY = "drawn submissions"
    STEP = "drawn steps"


@dataclass(frozen=True)
class Cheat:
    """One way to deviate; everything else is as an honest trainer does it.

    `checks` are those that may decide, `reason` and `score` what the verdict must say. `steals` is a colleague's or an
    earlier epoch's submission that the verifier knows of, too. `is_step_wise`: in a task that replays submissions step
    by step.
    """

    name: str
    what: str
    make: Callable[[Scene, int], Draft]
    checks: tuple[str, ...]
    reason: Reason | None
    score: int
    seen: Seen
    steals: Callable[[Scene, int], Draft] | None = None
    is_step_wise: bool = False

    def scene(self, number: int = 0) -> Scene:
        """Where it is tried."""
        return make_step_wise_scene(number) if self.is_step_wise else make_scene(number)


class Catalogue:
    """Collects cheats; the docstring of each says what it does."""

    def __init__(self, *, is_step_wise: bool = False) -> None:
        self.cheats: list[Cheat] = []
        self._is_step_wise = is_step_wise

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
            self.cheats.append(Cheat(name, what, make, checks, reason, score, seen, steals, self._is_step_wise))
            return make

        return keep
