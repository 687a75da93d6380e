"""A calibration for people: tables, files and a picture."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assay_core.inspect.formatting import jsonable, table
from assay_core.protocol.errors import Stop
from assay_protocol.calibration.picture import draw_calibrations
from assay_protocol.calibration.result import Calibration, Caught


def write(found: Sequence[Calibration], title: str, plot: Path | None, out: Path | None) -> list[Path]:
    """Files into `out`, the picture into `plot`; tells which. Raises Stop: one cannot be written."""
    written: list[Path] = []
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for each in found:
                written.append(out / f"{each.regime.name}.toml")
                written[-1].write_text(each.toml() + "\n", encoding="utf-8")
            written.append(out / "calibration.json")
            written[-1].write_text(
                json.dumps(jsonable([each.json() for each in found]), indent=2) + "\n", encoding="utf-8"
            )
        for path in [*([out / "calibration.svg"] if out else []), *([plot] if plot else [])]:
            draw_calibrations(path, found, f"{title}: honest noise, the best cheats, thresholds")
            written.append(path)
    except (OSError, ValueError) as error:  # a folder that cannot be written, an ending that is no picture's
        raise Stop(f"cannot write the result: {error}") from error
    return written


def to_lines(found: Sequence[Calibration]) -> Iterator[str]:
    """Each regime's thresholds, what they catch, and the tables to paste."""

    for each in found:
        everybody = "float32 alone" if each.regime.name == "float32" else "bfloat16 and float16 allowed"
        yield f"{each.regime.name}: {everybody}; room {each.regime.room:g} above the honest maximum"
        yield from table(
            [_row(row) for row in (one.row() for one in each.thresholds)], HEAD, frozenset({1, 2, 4, 5, 6, 7})
        )
        yield from _noise_lines(each)
        yield ""
    yield from _caught_lines(found)
    yield ""
    for each in found:
        yield f"# {each.regime.name}"
        yield from each.toml().splitlines()
        yield ""
    yield (
        "Not calibrated: min_eos_probability, reward_tolerance, false_positive_rate, topk, chunk_tokens, "
        "max_replay_topk_error, max_replay_moment_error."
    )


HEAD = ("measure", "honest max", "floor", "nearest cheat told apart", "its min", "margin", "suggested", "default")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    def number(name: str) -> str:
        return "-" if row[name] is None else f"{row[name]:.3g}"

    exact = f"{row['suggested']:.7g}"
    margin = "-" if row["margin"] is None else f"{row['margin']:.3g}x"
    nearest = row["nearest_cheat"] or "none"
    return (
        row["threshold"], number("honest_max"), number("floor"), nearest, number("cheat_min"), margin, exact,
        f"{row['default']:.4g}",
    )  # fmt: skip


def _noise_lines(each: Calibration) -> Iterator[str]:
    noise = each.noise
    yield (
        f"sampling: {noise.outside} of {noise.tokens} honest uniforms outside of their intervals, by "
        f"{noise.largest:.3g} at most; share {noise.share:g}, scale {noise.scale:g} (floor {noise.floor:.2g})"
    )
    cheats = ", ".join(f"{kind} {doubt:.3g}" for kind, doubt in each.cheat_doubt.items())
    yield f"  doubt: honest at most {each.honest_doubt:.3g}, limit {each.doubt_limit:.3g}, cheats at least: {cheats}"


def _caught_lines(found: Sequence[Calibration]) -> Iterator[str]:
    def cell(each: Caught) -> str:
        by = f" ({', '.join(sorted(each.by))})" if each.by else ""
        return f"{each.failed} of {each.submissions}{by}"

    rows = [("honest submissions of the regime", *(cell(each.honest) for each in found))]
    rows += [("honest submissions of the other regime", *(cell(each.other_honest) for each in found))]
    rows += [
        (kinds[0].kind, *(cell(kind) for kind in kinds)) for kinds in zip(*(each.cheats for each in found), strict=True)
    ]
    yield from table(rows, ("rejected under the suggested thresholds", *(each.regime.name for each in found)))
