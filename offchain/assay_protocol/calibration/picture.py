"""The two populations of each measure, honest noise and the best cheats, and the threshold between them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay_protocol.calibration.result import Calibration
from assay_protocol.calibration.thresholds import Threshold

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREEN, RED, GREY = "#1f6f5c", "#b3362b", "#666666"
DECADES_BELOW = 1.0  # zeros are drawn so far left of the resolution


def draw_calibrations(path: Path, calibrations: Sequence[Calibration], title: str) -> None:
    """Write an SVG or PNG, by the path's ending; one column per regime. Equal arguments give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = len(calibrations[0].thresholds)
    figure = Figure(figsize=(6.2 * len(calibrations), 1.25 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, len(calibrations), squeeze=False)
    generator = np.random.default_rng(0)  # spreads the dots, means nothing
    for column, calibration in enumerate(calibrations):
        for row, threshold in enumerate(calibration.thresholds):
            _draw(grid[row][column], threshold, generator)
        grid[0][column].set_title(
            f"{calibration.regime.name}\n{calibration.thresholds[0].quantity.label}", loc="left", fontsize=9
        )
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    is_svg = path.suffix.lower() == ".svg"
    with matplotlib.rc_context({"svg.hashsalt": "assay calibrate", "svg.fonttype": "none"}):
        figure.savefig(path, dpi=130, metadata={"Date": None} if is_svg else None)


def _draw(axes: "Axes", threshold: Threshold, generator: np.random.Generator) -> None:
    population, least = threshold.population, threshold.quantity.resolution / 10**DECADES_BELOW

    def dots(values: Sequence[float], height: float, color: str, label: str) -> None:
        shown = np.maximum(np.minimum(values, 1e9), least)
        spread = height + generator.uniform(-0.25, 0.25, len(shown))
        axes.plot(shown, spread, ".", color=color, markersize=4, alpha=0.6, label=label)

    dots(population.honest, 0.0, GREEN, "honest submissions")
    dots([value for values in population.cheats.values() for value in values], 1.0, RED, "cheats")
    if threshold.margin is not None and threshold.cheat_min is not None:
        axes.axvspan(threshold.floor, threshold.cheat_min, color=GREY, alpha=0.12, linewidth=0)
    axes.axvline(threshold.floor, color=GREY, linestyle=":", linewidth=1, label="honest maximum × room")
    axes.axvline(threshold.suggested, color="black", linewidth=1.2, label="suggested threshold")
    axes.set(xscale="log", ylim=(-0.6, 1.6), yticks=[0, 1], yticklabels=["honest", "cheats"])
    axes.set_title(threshold.quantity.label, loc="left", fontsize=9)
    axes.minorticks_off()
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
