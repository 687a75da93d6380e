"""What a calibration found in one regime: thresholds, the model of sampling noise, and what they catch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay_protocol.calibration.sampling_noise import NoiseModel
from assay_protocol.calibration.thresholds import Regime, Table, Threshold


@dataclass(frozen=True, slots=True)
class Caught:
    """Submissions of one kind that fail under the suggested thresholds, and how often by which measure."""

    kind: str
    submissions: int
    failed: int
    by: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`honest_doubt` and `cheat_doubt`: what the sampling test says under `noise`, at most and at least; it fails
    above `doubt_limit`. `other_honest`: honest submissions of the other regime under these thresholds."""

    regime: Regime
    thresholds: tuple[Threshold, ...]
    noise: NoiseModel
    honest_doubt: float
    cheat_doubt: Mapping[str, float]
    doubt_limit: float
    honest: Caught
    other_honest: Caught
    cheats: tuple[Caught, ...]

    def toml(self) -> str:
        """The two tables, to be pasted into a task file, without what is a default anyway."""
        tables: dict[Table, list[str]] = {"toploc": [], "checks": []}
        for each in self.thresholds:
            if each.is_default:
                continue
            value = str(int(each.value)) if each.quantity.is_count else f'"{_decimal(each.value)}"'
            tables[each.quantity.table].append(f"{each.quantity.field} = {value}")
        tables["checks"] += [
            f'cdf_noise_share = "{_decimal(self.noise.share)}"',
            f'cdf_noise_scale = "{_decimal(self.noise.scale)}"',
        ]
        return "\n".join(
            line for name, lines in tables.items() if lines for line in (f"[task.{name}]", *lines, "")
        ).strip()

    def json(self) -> dict[str, Any]:
        return {
            "regime": self.regime.name,
            "room": self.regime.room,
            "thresholds": [each.row() for each in self.thresholds],
            "sampling": {
                "cdf_noise_share": self.noise.share,
                "cdf_noise_scale": self.noise.scale,
                "floor": self.noise.floor,
                "widest": self.noise.widest,
                "tokens": self.noise.tokens,
                "outside": self.noise.outside,
                "largest_distance": self.noise.largest,
                "honest_doubt": self.honest_doubt,
                "cheat_doubt": dict(self.cheat_doubt),
                "doubt_limit": self.doubt_limit,
            },
            "caught": [asdict(each) for each in (self.honest, self.other_honest, *self.cheats)],
        }


def tally(kind: str, failures: Sequence[Sequence[str]]) -> Caught:
    """`failures`: for each submission, the measures by which it fails."""
    by: dict[str, int] = {}
    for each in failures:
        for name in each:
            by[name] = by.get(name, 0) + 1
    return Caught(kind, len(failures), sum(bool(each) for each in failures), by)


def _decimal(value: float) -> str:
    """Without an exponent and without the noise of binary fractions."""
    text = f"{value:.12f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
