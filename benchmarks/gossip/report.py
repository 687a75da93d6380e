"""What simulations found, as a table, as JSON and as a picture."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gossip.scenario import Scenario
from benchmarks.gossip.simulate import Outcome

COLOURS = {"ring": "#b3362b", "expander": "#1f6f5c", "small-world": "#c98a1b", "complete": "#4a5a8a"}
MEGA = 1e6


def table(outcomes: Iterable[Outcome], scenario: Scenario) -> list[str]:
    """Lines of a Markdown table; a dash is what was not reached before the run ended."""
    measure = scenario.measure
    heads = [
        "topology",
        "peers",
        "spectral gap",
        f"spread to {measure.spread_share:.0%}, s",
        "MB per peer until then",
        f"error ≤ {measure.target_error:g}, s",
        "MB per peer until then",
        f"error at {measure.error_at_s:g} s",
        "drift of the mean",
    ]
    return [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)]), *(_row(_cells(each)) for each in outcomes)]


def write_report(folder: Path, scenario: Scenario, outcomes: Sequence[Outcome], name: str = "gossip") -> list[Path]:
    """`<name>.json`, `<name>.md` and `<name>.svg`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"scenario": scenario.model_dump(mode="json"), "outcomes": [outcome.row() for outcome in outcomes]}
    files = [folder / f"{name}.{kind}" for kind in ("json", "md", "svg")]
    files[0].write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    files[1].write_text("\n".join(table(outcomes, scenario)) + "\n", encoding="utf-8")
    draw(files[2], scenario, outcomes)
    return files


def draw(path: Path, scenario: Scenario, outcomes: Sequence[Outcome]) -> None:
    """Time to spread, bytes per peer and consensus error against the number of peers, both axes logarithmic."""
    from matplotlib.figure import Figure

    panels: list[tuple[str, Callable[[Outcome], float | None]]] = [
        (f"seconds until {scenario.measure.spread_share:.0%} have some of an update", lambda each: each.spread_s),
        ("MB sent per peer until then", lambda each: _mega(each.bytes_per_node_to_spread)),
        (f"consensus error after {scenario.measure.error_at_s:g} s", lambda each: each.error),
    ]
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    for axes, (title, value) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for kind in dict.fromkeys(outcome.topology for outcome in outcomes):
            points = [(each.nodes, value(each)) for each in outcomes if each.topology == kind]
            known = [(nodes, y) for nodes, y in points if y is not None]
            axes.plot(*zip(*known, strict=True) if known else ((), ()), marker="o", color=COLOURS[kind], label=kind)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set(xscale="log", yscale="log", xlabel="peers")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.topology,
        f"{outcome.nodes:,}",
        f"{outcome.spectral_gap:.2g}",
        _number(outcome.spread_s),
        _number(_mega(outcome.bytes_per_node_to_spread)),
        _number(outcome.target_s),
        _number(_mega(outcome.bytes_per_node_to_target)),
        _number(outcome.error),
        _number(outcome.drift),
    ]


def _row(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(cells)} |"


def _mega(size: float | None) -> float | None:
    return None if size is None else size / MEGA


def _number(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1e-3 else f"{value:.1e}"
