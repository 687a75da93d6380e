"""What cheating and honesty earn, and the smallest safe slash, over the sampling rate."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay_core.protocol.economics import needed_slash_of
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import BPS, TaskParams
from assay_protocol.economics.assumptions import Assumptions
from assay_protocol.economics.outlook import honest_earns, most_tempting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, ORANGE, RED, GREY = "#1f6f5c", "#d98b3a", "#b3362b", "#666666"
FINEST_BPS, STEP_BPS = 100, 50


def draw_economics(params: TaskParams, assumed: Assumptions, decimals: int) -> "Figure":
    """Earnings on the left, slashes on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_earnings(left, params, assumed, decimals)
    _draw_slashes(right, params, decimals)
    for axes in (left, right):
        axes.axvline(params.sampling_bps / BPS, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="sampling rate: part of the submissions that are replayed", xlim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    return figure


def write_picture(path: Path, figure: "Figure") -> None:
    """Write an SVG or PNG, by the path's ending; equal figures as equal bytes. Raises Stop: it cannot be written."""
    import matplotlib

    is_svg = path.suffix.lower() == ".svg"
    try:
        with matplotlib.rc_context({"svg.hashsalt": "assay economics"}):
            figure.savefig(path, dpi=130, metadata={"Date": None} if is_svg else None)
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error


def _draw_earnings(axes: "Axes", params: TaskParams, assumed: Assumptions, decimals: int) -> None:
    rates = range(FINEST_BPS, BPS + 1, STEP_BPS)
    token = 10**decimals
    honest = float(honest_earns(params, assumed)) / token
    earned = [float(most_tempting(params, bps, assumed)) / token for bps in rates]
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.plot([0, 1], [honest, honest], color=GREEN, linewidth=2, label="honest")
    axes.plot([bps / BPS for bps in rates], earned, color=RED, linewidth=2, label="cheat")
    axes.set(ylabel="tokens earned per submission, on average")
    axes.set_title("Under these terms", loc="left")


def _draw_slashes(axes: "Axes", params: TaskParams, decimals: int) -> None:
    rates = range(FINEST_BPS, BPS - STEP_BPS + 1, STEP_BPS)
    token = 10**decimals
    needed = [needed_slash_of(replace(params, sampling_bps=bps)) / token for bps in rates]
    axes.plot([bps / BPS for bps in rates], needed, color=ORANGE, linewidth=2, label="for each submission in flight")
    rate, slash = params.sampling_bps / BPS, params.fraud_slash / token
    axes.plot([rate], [slash], "*", color=GREEN, markersize=12, linestyle="none", label="these terms")
    axes.set(ylabel="tokens", yscale="log")
    axes.set_title("Smallest safe slash", loc="left")
