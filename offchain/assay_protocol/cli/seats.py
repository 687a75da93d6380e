"""`assay stake seats`: seats in the pools of jurors, of which the panels of disputes are drawn."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from assay_core.inspect.formatting import table
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    address_option,
    chain_options,
    group,
    key_options,
    pass_invocation,
    transaction_options,
)
from assay_protocol.cli.transact import transact

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.protocol.types import Address, PanelClass

MAX_AT_ONCE = 64  # seats taken or left in one transaction
class_option = click.option("--class", "class_name", metavar="NAME", help="Pool, by the name that tasks call it by.")
task_option = click.option(
    "--task", "task_id", metavar="ID", type=click.IntRange(min=1), help="Pool of this task.  [instead of --class]"
)


@group("seats")
def seats() -> None:
    """Take seats as a juror, who judges disputes for a fee.

    A dispute about a work is judged by a panel of 15 seats, drawn from the pool of the task's class. Each seat locks a
    part of your verifier bond, and is at risk of nothing but being lost if you do not vote: run a verifier, with
    --juror-only if you want to do nothing else.
    """


@seats.action("take", example="assay stake seats take 3 --task 1 --keystore judge")
@click.argument("count", type=click.IntRange(1, MAX_AT_ONCE))
@class_option
@task_option
@transaction_options
@pass_invocation
def take(invocation: Invocation, count: int, class_name: str | None, task_id: int | None) -> None:
    """Take COUNT seats. Each locks a part of your verifier bond."""
    from assay_core.chain.events import SeatsTaken
    from assay_core.protocol.types import Role

    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    money, operator = chain.money(), chain.staking.operator_of(invocation.address_of(None))
    needed = count * chain.panels.seat_bond_wei()
    free = chain.staking.free_bond(Role.VERIFIER, operator).amount_wei
    if free < needed:
        raise Stop(
            f"{count} seats lock {money.show(needed)}, and {money.show(free)} of the verifier bond of {operator} are "
            f"free: bond the missing {money.show(needed - free)} with `assay stake bond --role verifier`"
        )
    outcome = transact(invocation, chain, [chain.panels.take_seats(pool, count)])
    taken = None if outcome.last is None else list(outcome.last.event(SeatsTaken).seats)
    done = f"{operator} took seats {_listed(taken or ())}; they lock {money.show(needed)}"
    invocation.emit(outcome.json(juror=operator, seats=taken, locked_wei=needed), outcome.lines(done))


@seats.action("leave", example="assay stake seats leave --task 1 --keystore judge")
@click.option("--count", type=click.IntRange(min=1), help="How many.  [default: all of that pool]")
@class_option
@task_option
@transaction_options
@pass_invocation
def leave(invocation: Invocation, count: int | None, class_name: str | None, task_id: int | None) -> None:
    """Leave seats and free what they lock. Panels already drawn still want your vote."""
    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    operator = chain.staking.operator_of(invocation.address_of(None))
    # From the highest: the last seat of a pool takes the place of one that is left.
    held = sorted(_held(chain, pool).get(operator, []), reverse=True)
    leaving = held[:count]
    if not leaving:
        raise Stop(f"{operator} has no seat in that pool: see `assay stake seats show`")
    parts = [leaving[first : first + MAX_AT_ONCE] for first in range(0, len(leaving), MAX_AT_ONCE)]
    outcome = transact(invocation, chain, [chain.panels.leave_seats(pool, part) for part in parts])
    result = {"juror": operator, "left": len(leaving), "kept": len(held) - len(leaving)}
    invocation.emit(outcome.json(**result), outcome.lines(f"{operator} left {len(leaving)} of {len(held)} seats"))


@seats.action("show", example="assay stake seats show --task 1 --keystore judge")
@class_option
@task_option
@address_option
@chain_options
@key_options
@pass_invocation
def show(invocation: Invocation, class_name: str | None, task_id: int | None, address: str | None) -> None:
    """Show the seats of a pool: who has how many, and which are yours."""
    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    is_named = address is not None or invocation.keystore is not None
    mine = chain.staking.operator_of(invocation.address_of(address)) if is_named else None
    held = _held(chain, pool)
    rows = [
        (juror + (" (you)" if juror == mine else ""), str(len(numbers)), _listed(numbers))
        for juror, numbers in sorted(held.items(), key=lambda each: -len(each[1]))
    ]
    bond = chain.panels.seat_bond_wei()
    total = sum(map(len, held.values()))
    summary = f"{total} seats, each locks {chain.money().show(bond)}; a full panel has 15, of jurors who are no party"
    data = {"class": pool, "seat_bond_wei": bond, "jurors": held, "yours": held.get(mine, []) if mine else []}
    invocation.emit(data, [*table(rows, ("juror", "seats", "numbers"), frozenset({1})), "", summary])


def _pool(chain: "Chain", class_name: str | None, task_id: int | None) -> "PanelClass":
    """Raises Stop: neither a class nor a task is named, both are, or there is no such task."""
    from assay_core.protocol.encoding import panel_class
    from assay_core.protocol.types import TaskId
    from assay_protocol.network import require_task

    if class_name is not None and task_id is None:
        return panel_class(class_name)
    if class_name is not None or task_id is None:
        raise Stop("which pool? add --task ID, or --class NAME")
    require_task(chain, task_id)
    return chain.registry.params_of(TaskId(task_id)).panel_class


def _held(chain: "Chain", pool: "PanelClass") -> "dict[Address, list[int]]":
    """Numbers of the seats of a pool by juror."""
    held: dict[Address, list[int]] = {}
    for number in range(chain.panels.pool_size(pool)):
        if (seat := chain.panels.seat_of(pool, number)) is not None:
            held.setdefault(seat.juror, []).append(number)
    return held


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
