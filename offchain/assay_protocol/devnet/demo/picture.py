"""The reward curve as a picture."""

from collections.abc import Sequence
from pathlib import Path


def draw_rewards(path: Path, rewards: Sequence[float], slashes: Sequence[tuple[int, str]], title: str) -> None:
    """Draw the mean held-out reward over policy versions; `slashes` are (policy version then newest, who)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(rewards)), rewards, marker="o", markersize=4, color="#1f6f5c", linewidth=2)
    for place, (who, version) in enumerate(sorted(_first_slashes(slashes).items())):
        axes.axvline(version, color="#b3362b", linestyle="--", linewidth=1)
        axes.annotate(
            f"{who} slashed", (version, 1.0), xytext=(4, -2 - 12 * place), textcoords="offset points",
            color="#b3362b", fontsize=9, va="top",
        )  # fmt: skip
    axes.set(xlabel="policy version (outer steps)", ylabel="mean reward on held-out prompts", ylim=(0, 1.02))
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=130)


def _first_slashes(slashes: Sequence[tuple[int, str]]) -> dict[str, int]:
    """Each cheat's first slash: who, and the policy version that was newest then."""
    first: dict[str, int] = {}
    for version, who in slashes:
        first[who] = min(version, first.get(who, version))
    return first
