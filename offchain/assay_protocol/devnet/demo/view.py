"""The live terminal view: what the chain says, redrawn twice a second; plain lines where there is no terminal."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assay_core.protocol.types import SCORE_FRAUD

ETHER = 10**18
SUBMISSIONS_SHOWN = 14
CHART_ROWS = 6
SCREEN_COLUMNS = 110


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What may be killed: a relay, a board, an assistant; `killed_at_s`: None while it runs."""

    name: str
    killed_at_s: float | None


@dataclass(frozen=True, slots=True)
class TrainerRow:
    """`scores`: one entry per epoch that this trainer committed to, None until settled."""

    name: str
    honest: bool
    scores: tuple[int | None, ...]
    bonded_wei: int
    slashed_wei: int
    earned_wei: int
    balance_wei: int
    bytes_per_step: float | None  # of its updates, as far as they have been measured


@dataclass(frozen=True, slots=True)
class VerifierRow:
    """`committed` and `revealed` count epochs."""

    name: str
    committed: int
    revealed: int
    bonded_wei: int
    fees_wei: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one look at the network shows."""

    elapsed_s: float
    stage: str
    epoch: int
    phases: tuple[tuple[int, str], ...]  # epochs that are not final yet
    policy_version: int
    rewards: tuple[float, ...]
    trainers: tuple[TrainerRow, ...]
    verifiers: tuple[VerifierRow, ...]
    carriers: tuple[ProcessState, ...]
    carrier_note: str
    assistants: tuple[ProcessState, ...]
    news: tuple[str, ...]


def render(snapshot: Snapshot) -> RenderableType:
    """The whole screen."""
    head = Text.assemble(
        ("Assay demo", "bold"), f"  {snapshot.elapsed_s:5.0f} s   {snapshot.stage}   policy version ",
        (str(snapshot.policy_version), "bold green"), "   ",
        "  ".join(f"epoch {epoch}: {phase}" for epoch, phase in snapshot.phases[-3:]),
    )  # fmt: skip
    return Group(
        head,
        Panel(_chart(snapshot.rewards), title="mean reward on held-out prompts, by policy version", title_align="left"),
        _trainers(snapshot.trainers),
        _verifiers(snapshot.verifiers),
        _processes(snapshot.carriers, snapshot.carrier_note),
        *(_processes((each,), "shares the inner steps of its trainer") for each in snapshot.assistants),
        Panel("\n".join(snapshot.news[-6:]) or "…", title="news", title_align="left"),
    )


def print_line(console: Console, snapshot: Snapshot) -> None:
    """One line a look, for logs."""
    reward = f"{snapshot.rewards[-1]:.3f}" if snapshot.rewards else "-"
    console.print(
        f"{snapshot.elapsed_s:6.1f} s  {snapshot.stage}  epoch {snapshot.epoch}  "
        f"policy {snapshot.policy_version}  reward {reward}",
        highlight=False,
    )


def save_screen(path: Path, snapshot: Snapshot) -> None:
    """The screen as a picture."""
    console = Console(record=True, width=SCREEN_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(render(snapshot))
    own_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # none from the network
    console.save_svg(str(path), title="assay demo", code_format=own_fonts)


def _chart(rewards: Sequence[float]) -> Text:
    """Columns of eighths of a block: one per policy version, 0 at the bottom, 1 at the top."""
    if not rewards:
        return Text("waiting for the first policy …", style="dim")
    shown = rewards[-60:]
    rows: list[str] = []
    for row in reversed(range(CHART_ROWS)):
        label = f"{(row + 1) / CHART_ROWS:4.2f} ┤" if row in (CHART_ROWS - 1, CHART_ROWS // 2 - 1) else "     │"
        cells = (min(8, max(0, round(reward * CHART_ROWS * 8) - row * 8)) for reward in shown)
        rows.append(label + "".join(" ▁▂▃▄▅▆▇█"[cell] * 2 for cell in cells))
    rows.append(f"     └ {rewards[0]:.3f} → {rewards[-1]:.3f}")
    return Text("\n".join(rows), style="green")


def _trainers(rows: Sequence[TrainerRow]) -> Table:
    table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    for column in ("trainer", "submissions (✓ paid  ✗ fraud  ○ unpaid  · pending)"):
        table.add_column(column)
    for column in ("sent per step", "bond", "slashed", "earned", "balance"):
        table.add_column(column, justify="right")
    for row in rows:
        name = Text(row.name, style="" if row.honest else "red")
        submissions = Text.assemble(*(_mark(score) for score in row.scores[-SUBMISSIONS_SHOWN:]))
        amounts = (row.bonded_wei, row.slashed_wei, row.earned_wei, row.balance_wei)
        sent = "" if row.bytes_per_step is None else kilobytes(row.bytes_per_step)
        table.add_row(name, submissions, sent, *(tokens(amount) for amount in amounts))
    return table


def _mark(score: int | None) -> tuple[str, str]:
    if score is None:
        return "· ", "dim"
    if score == SCORE_FRAUD:
        return "✗ ", "bold red"
    return ("✓ ", "green") if score else ("○ ", "yellow")


def _verifiers(rows: Sequence[VerifierRow]) -> Table:
    table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    for column in ("verifier", "attestations committed", "revealed", "bond", "fees claimed"):
        table.add_column(column, justify="left" if column == "verifier" else "right")
    for row in rows:
        table.add_row(row.name, str(row.committed), str(row.revealed), tokens(row.bonded_wei), tokens(row.fees_wei))
    return table


def _processes(processes: Sequence[ProcessState], note: str) -> Text:
    parts: list[str | tuple[str, str]] = []
    for each in processes:
        if each.killed_at_s is None:
            parts.append((f"● {each.name}   ", "green"))
        else:
            parts.append((f"✗ {each.name}, killed at {each.killed_at_s:.0f} s   ", "bold red"))
    return Text.assemble(*parts, (note, "dim"))


def kilobytes(size: float) -> str:
    """For reading only."""
    return f"{size / 1e3:,.1f} kB"


def tokens(wei: int) -> str:
    """Amount in whole tokens, to two places, for reading only."""
    return f"{wei / ETHER:,.2f}"
