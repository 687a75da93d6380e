#!/usr/bin/env python3
"""What the contracts cost, as forge measured it, beside the bounds and the figures of the nearest peer's contracts.

Exits with 1 when a bound is crossed, or a figure has moved, appeared or gone. `forge test` leaves what it measures in
`.build/gas`; with --write that becomes the committed snapshot, and with it the tables and the picture in docs.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / ".build" / "gas"
KEPT = ROOT / "tests" / "contracts" / "gas"
DOCUMENT = ROOT / "docs" / "protocol.md"
PICTURE = ROOT / "docs" / "gas.svg"
GROUPS = ("GasTest", "GasPerEpochTest", "GasBounds")

TOLERANCE = 0.005  # either way; gas is deterministic, but a comment must not be able to break the build
SUBMISSIONS = (1, 10, 100, 1000)
PARTS = ("commit", "claim", "attest", "claim fees", "seal, settle, publish, finalise")
COLORS = ("#1f6f5c", "#5fae96", "#d98b3a", "#e8bf8c", "#666666")
RED = "#b3362b"

# Prime Intellect's contracts, the nearest peer's: measured with the same compiler, optimizer on.
PEER: Mapping[str, tuple[int, int]] = {
    "bond": (223_849, 223_849),
    "openTask": (1_764_930, 1_764_930),
    "commitSubmission": (226_819, 226_819),
    "claim: one submission": (100_833, 158_677),
    "slashFraud": (335_224, 335_224),
}
PEER_SUBMISSION = PEER["commitSubmission"][0] + PEER["claim: one submission"][0]


@dataclass(frozen=True, slots=True)
class Figures:
    """Gas by operation; by number of submissions and part of an epoch; bounds by operation."""

    operations: Mapping[str, int]
    epochs: Mapping[str, int]
    bounds: Mapping[str, int]

    def of_epoch(self, submissions: int, part: str) -> int:
        return self.epochs[f"{submissions}: {part}"]

    def per_submission(self, submissions: int) -> float:
        return sum(self.of_epoch(submissions, part) for part in PARTS) / submissions

    @property
    def digest(self) -> str:
        """Names these figures, so that a picture can say which it shows."""
        return hashlib.sha256(json.dumps([self.epochs, PEER_SUBMISSION], sort_keys=True).encode()).hexdigest()


def read_figures(folder: Path) -> Figures:
    """Raises FileNotFoundError: nothing was measured."""
    groups = [json.loads((folder / f"{name}.json").read_text()) for name in GROUPS]
    operations, epochs, bounds = ({key: int(value) for key, value in group.items()} for group in groups)
    return Figures(operations, epochs, bounds)


def problems(measured: Figures, kept: Figures) -> list[str]:
    """What is wrong with what was measured; empty if nothing is."""
    found: list[str] = []
    for name, bound in measured.bounds.items():
        used = measured.operations.get(name, 0)
        if used > bound:
            found.append(f"{name}: {used:,} gas crosses its bound of {bound:,}")
    found += _moved(measured.operations, kept.operations, "gas")
    found += _moved(measured.epochs, kept.epochs, "gas in an epoch")
    if measured.bounds != kept.bounds:
        found.append("the bounds are not those of the snapshot")
    return found


def _moved(measured: Mapping[str, int], kept: Mapping[str, int], unit: str) -> list[str]:
    found = [f"{name}: no longer measured" for name in kept.keys() - measured.keys()]
    found += [f"{name}: not in the snapshot" for name in measured.keys() - kept.keys()]
    for name in measured.keys() & kept.keys():
        if abs(measured[name] - kept[name]) > TOLERANCE * kept[name]:
            found.append(f"{name}: {measured[name]:,} {unit}, the snapshot has {kept[name]:,}")
    return sorted(found)


def operation_rows(figures: Figures) -> list[tuple[str, str, str, str]]:
    """Name, gas, bound, peer; those with a bound first."""

    def peer(name: str) -> str:
        least, most = PEER.get(name, (0, 0))
        return "" if not most else f"{least:,}" if least == most else f"{least:,} to {most:,}"

    names = sorted(figures.operations, key=lambda name: (name not in figures.bounds, name.lower()))
    return [
        (
            name,
            f"{figures.operations[name]:,}",
            f"{figures.bounds[name]:,}" if name in figures.bounds else "",
            peer(name),
        )
        for name in names
    ]


def epoch_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Number of submissions, gas per submission of each part, of all."""
    return [
        (
            f"{submissions:,}",
            *(f"{figures.of_epoch(submissions, part) / submissions:,.0f}" for part in PARTS),
            f"{figures.per_submission(submissions):,.0f}",
        )
        for submissions in SUBMISSIONS
    ]


OPERATION_HEAD = ("operation", "gas", "at most", "nearest peer")
EPOCH_HEAD = ("submissions in an epoch", *PARTS, "all")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]

    def padded(line: Sequence[str]) -> str:
        first, *rest = zip(line, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]).rstrip()

    return "\n".join(padded(line) for line in (head, *rows))


def written_into(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers of that name. Raises ValueError: the markers are missing."""
    begin, end = f"<!-- {name}: written by tools/gas.py -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no place for the table: {begin} … {end}")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def documented(text: str, figures: Figures) -> str:
    """The document with the tables of these figures."""
    text = written_into(text, "gas", markdown(OPERATION_HEAD, operation_rows(figures)))
    return written_into(text, "gas per submission", markdown(EPOCH_HEAD, epoch_rows(figures)))


def draw(path: Path, figures: Figures) -> None:
    """What one submission costs all who take part, over the number of submissions in an epoch.

    Equal figures give equal bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_fall(left, figures)
    _draw_parts(right, figures)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, axis="y")
    with matplotlib.rc_context({"svg.hashsalt": "assay gas"}):
        figure.savefig(path, metadata={"Date": None, "Description": f"figures {figures.digest}"})


def _draw_fall(axes: "Axes", figures: Figures) -> None:
    for part, color in zip(PARTS, COLORS, strict=True):
        gas = [figures.of_epoch(submissions, part) / submissions for submissions in SUBMISSIONS]
        axes.plot(SUBMISSIONS, gas, "o-", color=color, markersize=4, linewidth=1.5, label=part)
    totals = [figures.per_submission(submissions) for submissions in SUBMISSIONS]
    axes.plot(SUBMISSIONS, totals, "o-", color="black", linewidth=2.5, label="all of it")
    for submissions, total in zip(SUBMISSIONS, totals, strict=True):
        axes.annotate(f"{total:,.0f}", (submissions, total), textcoords="offset points", xytext=(4, 7), fontsize=8)
    axes.axhline(
        PEER_SUBMISSION, color=RED, linestyle="--", linewidth=1, label="nearest peer: submit and claim, one validator"
    )
    axes.set(
        xscale="log", yscale="log", xlabel="submissions in an epoch", ylabel="gas per submission", ylim=(60, 2_500_000)
    )
    axes.set_xticks(SUBMISSIONS, [f"{submissions:,}" for submissions in SUBMISSIONS])
    axes.set_title("An epoch with three verifiers, claimed ten epochs at a time", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=7, ncols=2)


def _draw_parts(axes: "Axes", figures: Figures) -> None:
    shown = SUBMISSIONS[1:]
    below = [0.0] * len(shown)
    for part, color in zip(PARTS, COLORS, strict=True):
        gas = [figures.of_epoch(submissions, part) / submissions for submissions in shown]
        axes.bar(range(len(shown)), gas, bottom=below, color=color, width=0.6, label=part)
        below = [low + more for low, more in zip(below, gas, strict=True)]
    axes.set_xticks(range(len(shown)), [f"{submissions:,}" for submissions in shown])
    axes.set(xlabel="submissions in an epoch", ylabel="gas per submission")
    axes.set_title("… of which", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def write(measured: Figures) -> None:
    KEPT.mkdir(exist_ok=True)
    for name in GROUPS:
        shutil.copyfile(MEASURED / f"{name}.json", KEPT / f"{name}.json")
    DOCUMENT.write_text(documented(DOCUMENT.read_text(), measured))
    draw(PICTURE, measured)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make this the snapshot; write tables and picture")
    chosen: Any = parser.parse_args(arguments)
    try:
        measured = read_figures(MEASURED)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: run `make gas`", file=sys.stderr)
        return 2
    print(plain(OPERATION_HEAD, operation_rows(measured)))
    print("\ngas per submission, three verifiers, claimed ten epochs at a time")
    print(plain(EPOCH_HEAD, epoch_rows(measured)))
    if chosen.write:
        write(measured)
    found = problems(measured, read_figures(KEPT))
    for problem in found:
        print(problem, file=sys.stderr)
    if found and not chosen.write:
        print("if that is meant: `.venv/bin/python tools/gas.py --write`, and commit what it writes", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
