"""What cheating and honesty earn, and the smallest safe slash, over the sampling rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offchain.economics.outlook import Assumptions, dishonest_earns, honest_earns
from offchain.economics.simulation import ALWAYS
from offchain.economics.trials import SlashTrial
from offchain.protocol.economics import MARGIN_BPS, greatest_gain, needed_slash_in_flight
from offchain.protocol.types import BPS, TaskParams

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREEN, ORANGE, RED, GREY = "#1f6f5c", "#d98b3a", "#b3362b", "#666666"
FINEST_BPS, STEP_BPS = 100, 50


def draw_economics(
    path: Path,
    params: TaskParams,
    in_flight: int,
    assumed: Assumptions,
    decimals: int,
    trials: Sequence[SlashTrial] = (),
) -> None:
    """Write an SVG or PNG, by the path's ending. Equal arguments give equal bytes. `trials` become dots."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_earnings(left, params, in_flight, assumed, decimals)
    _draw_slashes(right, params, in_flight, decimals, trials)
    for axes in (left, right):
        axes.axvline(params.sampling_bps / BPS, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="sampling rate: part of the works that are replayed", xlim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    is_svg = path.suffix.lower() == ".svg"
    with matplotlib.rc_context({"svg.hashsalt": "assay economics"}):
        figure.savefig(path, dpi=130, metadata={"Date": None} if is_svg else None)


def _draw_earnings(axes: "Axes", params: TaskParams, in_flight: int, assumed: Assumptions, decimals: int) -> None:
    rates = range(FINEST_BPS, BPS + 1, STEP_BPS)
    token = 10**decimals
    honest = float(honest_earns(params, assumed)) / token
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot([0, 1], [honest, honest], color=GREEN, linewidth=2, label="honest")
    for works in sorted({1, in_flight}):
        earned = [float(dishonest_earns(params, bps, works, assumed)) / token for bps in rates]
        label = "cheat, each work judged before the next" if works == 1 else f"cheat, {works} works in flight"
        axes.plot([bps / BPS for bps in rates], earned, color=_color(works), linewidth=2, label=label)
    axes.set(ylabel="tokens earned per work, on average")
    axes.set_title("Under these terms", loc="left")


def _draw_slashes(
    axes: "Axes", params: TaskParams, in_flight: int, decimals: int, trials: Sequence[SlashTrial]
) -> None:
    rates = range(FINEST_BPS, BPS - STEP_BPS + 1, STEP_BPS)
    gain, token, margin = greatest_gain(params), 10**decimals, MARGIN_BPS / BPS
    for works in sorted({1, in_flight}):
        needed = [needed_slash_in_flight(gain, bps, works) / token for bps in rates]
        label = "one work at a time" if works == 1 else f"{works} works in flight behind one bond of that size"
        axes.plot([bps / BPS for bps in rates], needed, color=_color(works), linewidth=2, label=label)
        found = [trial for trial in trials if trial.in_flight == works and trial.strategy == ALWAYS.name]
        axes.plot(
            [trial.sampling_bps / BPS for trial in found],
            [trial.measured * margin * gain / token for trial in found],
            "o", color=_color(works), markersize=5, markerfacecolor="white",
            label="as simulated, with the margin" if found else None,
        )  # fmt: skip
    rate, slash = params.sampling_bps / BPS, params.fraud_slash / token
    axes.plot([rate], [slash], "*", color=GREEN, markersize=12, linestyle="none", label="these terms")
    axes.set(ylabel="tokens", yscale="log")
    axes.set_title("Smallest safe slash", loc="left")


def _color(works: int) -> str:
    return ORANGE if works == 1 else RED
