"""The reward curve as a picture."""

from collections.abc import Sequence
from pathlib import Path


def draw_rewards(path: Path, rewards: Sequence[float], slashes: Sequence[tuple[int, str]], title: str) -> None:
    """Draw the mean held-out reward over policy versions; `slashes` are (policy version then newest, who)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(rewards)), rewards, marker="o", markersize=4, color="#1f6f5c", linewidth=2)
    by_version: dict[int, list[str]] = {}
    for version, who in slashes:
        by_version.setdefault(version, []).append(who)
    for version, names in by_version.items():
        axes.axvline(version, color="#b3362b", linestyle="--", linewidth=1)
        axes.annotate(
            f"slashed: {', '.join(names)}", (version, 1.0), xytext=(4, -2), textcoords="offset points",
            color="#b3362b", fontsize=9, va="top",
        )  # fmt: skip
    axes.set(xlabel="policy version (outer steps)", ylabel="mean reward on held-out prompts", ylim=(0, 1.02))
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=130)
