"""From the two populations, honest submissions and the best cheats, to thresholds between them.

The rule. Every measure grows with badness. *Room* is how many times larger than anything we measured an honest
machine's noise may be: 30 where all compute in float32 (noise of 1e-7, which other processors and libraries order
otherwise), 1.5 where bfloat16 is allowed (its noise is that of a format, alike everywhere, and near the cheats').
The floor is room × the largest honest value, which is taken to be at least the measure's resolution. Cheats whose
smallest value is above the floor are told apart; the threshold is the geometric mean of the floor and the smallest of
them, but never wider than the spec's default unless the floor is. Where no cheat is told apart it is the default, or
the floor if that is wider.

Three measures are no rounding noise, so a default is kept unless the floor is wider. How long an update is beside its
epoch's others, and how like, changes while a policy learns. The error over an update's largest elements jumps where the
sign of a single small gradient turns, which a few submissions need not show.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay_core.protocol.spec import CheckSpec, TaskSpec, ToplocSpec

HONEST = "honest"
Table = Literal["toploc", "checks"]


@dataclass(frozen=True, slots=True)
class Regime:
    """What precision the task's trainers and verifiers may compute in. Measures of noise get `room` in thresholds."""

    name: str
    room: float


FLOAT32_ONLY = Regime("float32", 30.0)
MIXED = Regime("mixed", 1.5)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a check measures in a submission, and the threshold that it is held against.

    `resolution` is the least that an honest maximum is taken to be. `room` overrides the regime's for what is no
    rounding noise. `is_cosine`: the spec states 1 - error.
    """

    name: str
    table: Table
    field: str
    label: str
    resolution: float
    room: float | None = None
    is_trained: bool = False  # training is in float32 in every regime, and its noise has that room
    is_cosine: bool = False
    is_count: bool = False

    def room_in(self, regime: Regime) -> float:
        return self.room or (FLOAT32_ONLY.room if self.is_trained else regime.room)

    @property
    def is_statistical(self) -> bool:
        return self.room is not None

    def default(self) -> float:
        """The spec's default, as an error."""
        part = ToplocSpec() if self.table == "toploc" else CheckSpec()
        value = float(getattr(part, self.field))
        return 1 - value if self.is_cosine else value


def quantities(spec: TaskSpec) -> tuple[Quantity, ...]:
    """All that is calibrated but the sampling test's model of noise (`sampling_noise.py`)."""
    one = 1 / spec.toploc.topk  # one activation of a proof off by one unit of its mantissa
    proofs = spec.rollout.groups * spec.rollout.group_size
    return (
        Quantity(
            "exponent_mismatches", "toploc", "max_exponent_mismatches", "exponents off in a proof", 1, is_count=True
        ),
        Quantity("mantissa_mean", "toploc", "max_mantissa_mean", "mantissas off in a proof, mean", one),
        Quantity("mantissa_median", "toploc", "max_mantissa_median", "mantissas off in a proof, median", 2 * one),
        Quantity(
            "submission_mantissa_mean",
            "toploc",
            "max_submission_mantissa_mean",
            "mantissas off in a submission, mean",
            one / proofs,
        ),
        Quantity("logprob_error", "checks", "max_logprob_error", "logprobs off in a completion, mean", 1e-7),
        Quantity(
            "replay_turn", "checks", "min_replay_cosine", "replay: 1 - cosine", 1e-7, is_trained=True, is_cosine=True
        ),
        Quantity(
            "replay_norm_error", "checks", "max_replay_norm_error", "replay: difference of norms", 1e-7, is_trained=True
        ),
        Quantity(
            "replay_topk_error", "checks", "max_replay_topk_error", "replay: largest elements, error", 1e-6, room=3.0
        ),
        Quantity("update_norm_ratio", "checks", "max_update_norm_ratio", "update against the median", 1.0, room=3.0),
        Quantity("update_cosine", "checks", "max_update_cosine", "update against another's: cosine", 0.1, room=1.5),
    )


@dataclass(frozen=True, slots=True)
class Population:
    """One measure in all submissions: honest values, and those of each cheat that it concerns."""

    quantity: Quantity
    honest: tuple[float, ...]
    cheats: Mapping[str, tuple[float, ...]]

    @property
    def honest_max(self) -> float:
        return max(self.honest, default=0.0)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A suggested threshold, as an error. `margin` is the nearest cheat told apart over the honest maximum."""

    population: Population
    regime: Regime
    floor: float
    suggested: float
    nearest: str | None
    cheat_min: float | None

    @property
    def quantity(self) -> Quantity:
        return self.population.quantity

    @property
    def margin(self) -> float | None:
        honest = max(self.population.honest_max, self.quantity.resolution)
        return None if self.cheat_min is None else self.cheat_min / honest

    @property
    def missed(self) -> tuple[str, ...]:
        """Cheats of which at least one submission would pass: another check must see them."""
        return tuple(name for name, values in self.population.cheats.items() if min(values) <= self.suggested)

    @property
    def value(self) -> float:
        """As the spec states it."""
        return 1 - self.suggested if self.quantity.is_cosine else self.suggested

    @property
    def is_default(self) -> bool:
        return math.isclose(self.suggested, self.quantity.default(), rel_tol=1e-9)

    def row(self) -> dict[str, Any]:
        return {
            "check": self.quantity.name,
            "threshold": f"{self.quantity.table}.{self.quantity.field}",
            "regime": self.regime.name,
            "honest_submissions": len(self.population.honest),
            "honest_max": self.population.honest_max,
            "cheat_min": self.cheat_min,
            "nearest_cheat": self.nearest,
            "margin": self.margin,
            "floor": self.floor,
            "suggested": self.value,
            "default": 1 - self.quantity.default() if self.quantity.is_cosine else self.quantity.default(),
            "not_told_apart": list(self.missed),
            "cheats": {name: min(values) for name, values in self.population.cheats.items()},
        }


def exceeded(values: Mapping[str, float], thresholds: Sequence[Threshold]) -> tuple[str, ...]:
    """Names of the quantities by which a submission fails."""
    return tuple(each.quantity.name for each in thresholds if not values.get(each.quantity.name, 0.0) <= each.suggested)


def populations(spec: TaskSpec, samples: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[Population, ...]:
    """`samples`: for each kind of submission (`HONEST` or a cheat's name), what was measured in each by quantity's
    name.
    """
    found: list[Population] = []
    for quantity in quantities(spec):
        of_kind = {
            kind: tuple(submission[quantity.name] for submission in submissions if quantity.name in submission)
            for kind, submissions in samples.items()
        }
        honest = of_kind.pop(HONEST, ())
        found.append(Population(quantity, honest, {kind: values for kind, values in of_kind.items() if values}))
    return tuple(found)


def suggest(population: Population, regime: Regime) -> Threshold:
    """Apply the rule at the top of this file."""
    quantity = population.quantity
    room = quantity.room_in(regime)
    floor = room * max(population.honest_max, quantity.resolution)
    nearest = {name: min(values) for name, values in population.cheats.items() if min(values) > floor}
    default = quantity.default()
    if not nearest or quantity.is_statistical:
        name = min(nearest, key=lambda each: nearest[each]) if nearest else None
        cheat_min = nearest[name] if name else None
        return Threshold(population, regime, floor, _rounded(max(floor, default), quantity), name, cheat_min)
    name = min(nearest, key=lambda each: nearest[each])
    between = math.sqrt(floor * nearest[name]) if math.isfinite(nearest[name]) else floor * room
    suggested = _rounded(max(floor, min(default, between)), quantity)
    return Threshold(population, regime, floor, suggested, name, nearest[name])


def _rounded(value: float, quantity: Quantity) -> float:
    """Upwards to two significant digits, to a whole number where things are counted; a cosine bound stays below 1."""
    if quantity.is_count:
        return float(math.ceil(value))
    digits = 1 - math.floor(math.log10(value))
    rounded = round(math.ceil(round(value * 10**digits, 6)) / 10**digits, max(digits, 0))
    return min(rounded, 1.0) if quantity.is_cosine or quantity.name == "update_cosine" else rounded
