"""What cheating and honesty earn, and the smallest safe slash, over the sampling rate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay_core.protocol.economics import MARGIN_BPS, greatest_gain, needed_slash_of
from assay_core.protocol.types import BPS, TaskParams
from assay_protocol.economics.assumptions import Assumptions
from assay_protocol.economics.outlook import honest_earns, most_tempting
from assay_protocol.economics.simulation import ALWAYS
from assay_protocol.economics.trials import SlashTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREEN, ORANGE, RED, GREY = "#1f6f5c", "#d98b3a", "#b3362b", "#666666"
FINEST_BPS, STEP_BPS = 100, 50


def draw_economics(
    path: Path,
    params: TaskParams,
    assumed: Assumptions,
    decimals: int,
    trials: Sequence[SlashTrial] = (),
) -> None:
    """Write an SVG or PNG, by the path's ending. Equal arguments give equal bytes. `trials` become dots."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_earnings(left, params, assumed, decimals)
    _draw_slashes(right, params, decimals, trials)
    for axes in (left, right):
        axes.axvline(params.sampling_bps / BPS, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="sampling rate: part of the works that are replayed", xlim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    is_svg = path.suffix.lower() == ".svg"
    with matplotlib.rc_context({"svg.hashsalt": "assay economics"}):
        figure.savefig(path, dpi=130, metadata={"Date": None} if is_svg else None)


def _draw_earnings(axes: "Axes", params: TaskParams, assumed: Assumptions, decimals: int) -> None:
    rates = range(FINEST_BPS, BPS + 1, STEP_BPS)
    token = 10**decimals
    honest = float(honest_earns(params, assumed)) / token
    earned = [float(most_tempting(params, bps, assumed)) / token for bps in rates]
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot([0, 1], [honest, honest], color=GREEN, linewidth=2, label="honest")
    axes.plot([bps / BPS for bps in rates], earned, color=RED, linewidth=2, label="cheat")
    axes.set(ylabel="tokens earned per work, on average")
    axes.set_title("Under these terms", loc="left")


def _draw_slashes(axes: "Axes", params: TaskParams, decimals: int, trials: Sequence[SlashTrial]) -> None:
    rates = range(FINEST_BPS, BPS - STEP_BPS + 1, STEP_BPS)
    gain, token, margin = greatest_gain(params), 10**decimals, MARGIN_BPS / BPS
    needed = [needed_slash_of(replace(params, sampling_bps=bps)) / token for bps in rates]
    axes.plot([bps / BPS for bps in rates], needed, color=ORANGE, linewidth=2, label="for each work in flight")
    found = [trial for trial in trials if trial.strategy == ALWAYS.name]
    for works, style in zip(sorted({trial.in_flight for trial in found}), ("o", "x"), strict=False):
        dots = [trial for trial in found if trial.in_flight == works]
        axes.plot(
            [trial.sampling_bps / BPS for trial in dots],
            [trial.measured * margin * gain / token for trial in dots],
            style, color=ORANGE, markersize=6, markerfacecolor="white", linestyle="none",
            label=f"as simulated, with the margin: {works} in flight",
        )  # fmt: skip
    rate, slash = params.sampling_bps / BPS, params.fraud_slash / token
    axes.plot([rate], [slash], "*", color=GREEN, markersize=12, linestyle="none", label="these terms")
    axes.set(ylabel="tokens", yscale="log")
    axes.set_title("Smallest safe slash", loc="left")
