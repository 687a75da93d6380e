"""`assay … status`: what a daemon last said of itself, and whether it lives."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import duration, fields, moment
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.lazy import EXIT_FAILED
from assay_protocol.cli.options import task_option

if TYPE_CHECKING:
    from assay_core.daemon.heartbeat import Account, Beat

all_or_one_task = task_option("Only the daemon of this task.  [default: all there are]")


@dataclass(frozen=True, slots=True)
class Daemon:
    """`is_held`: whether a process holds its lock; None: that cannot be told from here."""

    beat: "Beat"
    is_held: bool | None

    def state(self, now: float, stale_after_s: float) -> str:
        """running, standing still, not running or ended."""
        if self.beat.has_ended:
            return "ended"
        if self.is_held is False:
            return "not running"
        if self.beat.is_stale(now, stale_after_s):
            return "standing still" if self.is_held else "not running"
        return "running"


def task_folders(state: Path, task_id: int | None) -> list[Path]:
    """A trainer's folders, one for each of its tasks."""
    if task_id is not None:
        return [state / f"task-{task_id}"]
    return sorted(state.glob("task-*"), key=lambda path: (len(path.name), path.name))


def show_daemons(invocation: Invocation, role: str, daemons: Sequence[Daemon], stale_after_s: float | None) -> None:
    """Print each. Ends with 1 where one does not run, or there is none."""
    from assay_core.daemon.health import STALE_AFTER_S

    now, after_s = time.time(), stale_after_s or STALE_AFTER_S
    states = [daemon.state(now, after_s) for daemon in daemons]
    lines = [line for pair in zip(daemons, states, strict=True) for line in _lines(*pair, now)]
    data = [_data(*pair, now) for pair in zip(daemons, states, strict=True)]
    invocation.emit(
        data, lines or [f"no {role} has run here: start one with `assay {role} run`, or name its --state-dir"]
    )
    if not daemons or not {"running", "ended"}.issuperset(states):
        click.get_current_context().exit(EXIT_FAILED)


def _data(daemon: Daemon, state: str, now: float) -> dict[str, Any]:
    beat = daemon.beat
    ages = {"alive_age_s": round(now - beat.alive_at, 1), "look_age_s": round(now - beat.looked_at, 1)}
    return {"state": state, **ages, **asdict(beat)}


def _lines(daemon: Daemon, state: str, now: float) -> Iterator[str]:
    beat = daemon.beat
    of_task = "" if beat.task_id is None else f" of task {beat.task_id}"
    yield f"{beat.role}{of_task}: {_state_words(beat, state, now)}"
    pairs = [("does" if state == "running" else "did", beat.doing), ("since", _ago(beat.since, now))]
    if beat.deadline is not None:
        pairs.append(("deadline", _in(beat.deadline, now)))
    if beat.block is not None:
        pairs.append(("block", f"{beat.block}, {beat.lag_s:.0f} s old at the last look"))
    if beat.account is not None:
        pairs += _of_account(beat.account)
    yield from (f"  {line}" for line in fields(pairs))


def _state_words(beat: "Beat", state: str, now: float) -> str:
    if state == "running":
        return f"running, gave a sign of life {duration(int(now - beat.alive_at))} ago"
    if state == "ended":
        return f"ended with its task, {_ago(beat.alive_at, now)}"
    if state == "standing still":
        return f"running, but standing still since {_ago(beat.alive_at, now)}"
    return f"not running since {_ago(beat.alive_at, now)}"


def _of_account(account: "Account") -> Iterator[tuple[str, str]]:
    from assay_core.protocol.amounts import COIN_DECIMALS, Money

    show, balances = Money(account.symbol, account.decimals).show, account.balances
    yield "earned", show(account.earned_wei)
    yield "slashed", show(account.slashed_wei)
    yield "missed", f"{account.missed_epochs} epochs"
    if account.differing_reports:
        yield "differed", f"in {account.differing_reports} reports, {account.differing_scores} scores"
    yield "could lose", account.would_lose
    if balances is not None:
        free, locked = show(balances.free_wei), show(balances.locked_wei)
        yield "bond", f"{show(balances.bond_wei)}: {free} free, {locked} locked for this task"
        yield "gas", Money("coin", COIN_DECIMALS).show(balances.coin_wei)


def _ago(at: float, now: float) -> str:
    return f"{moment(int(at))}, {duration(max(0, int(now - at)))} ago"


def _in(at: int, now: float) -> str:
    left_s = at - int(now)
    return f"{moment(at)}, {f'in {duration(left_s)}' if left_s >= 0 else f'{duration(-left_s)} ago'}"
