"""`assay stake seats`: seats in the pools of jurors, of which the panels of disputes are drawn."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from assay_core.inspect.formatting import table
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Role
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import address_options, group, pass_invocation, task_option, transaction_options
from assay_protocol.cli.transact import transact
from assay_protocol.network import require_task

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.protocol.types import PanelClass

MAX_AT_ONCE = 64  # seats taken or left in one transaction
class_option = click.option("--class", "class_name", metavar="NAME", help="Pool, by the name that tasks call it by.")
pool_task_option = task_option("Pool of this task.  [instead of --class]")


@group("seats")
def seats() -> None:
    """Take seats as a juror, who judges disputes for a fee.

    A dispute about a submission is judged by a panel of 15 seats, drawn from the pool of the task's class. Each seat
    locks a part of your verifier bond, and is at risk of nothing but being lost if you do not vote: run a verifier,
    with --juror-only if you want to do nothing else.
    """


@seats.action("take", example="assay stake seats take 3 --task 1 --keystore judge")
@click.argument("count", type=click.IntRange(1, MAX_AT_ONCE))
@class_option
@pool_task_option
@transaction_options
@pass_invocation
def take(invocation: Invocation, count: int, class_name: str | None, task_id: int | None) -> None:
    """Take COUNT seats. Each locks a part of your verifier bond."""
    from assay_core.chain.events import SeatsTaken

    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    money, operator = chain.money(), invocation.operator_of()
    needed = count * chain.panels.seat_bond_wei()
    free = chain.staking.free_bond(Role.VERIFIER, operator).amount_wei
    if free < needed:
        raise Stop(
            f"{count} seats lock {money.show(needed)}, and {money.show(free)} of the verifier bond of {operator} are "
            f"free: bond the missing {money.show(needed - free)} with `assay stake bond --role verifier`"
        )
    outcome = transact(invocation, [chain.panels.take_seats(pool, count)])
    event = outcome.event(SeatsTaken)
    taken = event and event.seats
    done = f"{operator} took seats {_listed(taken or ())}; they lock {money.show(needed)}"
    outcome.tell(done, juror=operator, seats=taken, locked_wei=needed)


@seats.action("leave", example="assay stake seats leave --task 1 --keystore judge")
@click.option("--count", type=click.IntRange(min=1), help="How many.  [default: all of that pool]")
@class_option
@pool_task_option
@transaction_options
@pass_invocation
def leave(invocation: Invocation, count: int | None, class_name: str | None, task_id: int | None) -> None:
    """Leave seats and free what they lock. Panels already drawn still want your vote."""
    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    operator = invocation.operator_of()
    # From the highest: the last seat of a pool takes the place of one that is left.
    held = sorted(chain.panels.seats_by_juror(pool).get(operator, []), reverse=True)
    leaving = held[:count]
    if not leaving:
        raise Stop(f"{operator} has no seat in that pool: see `assay stake seats show`")
    parts = [leaving[first : first + MAX_AT_ONCE] for first in range(0, len(leaving), MAX_AT_ONCE)]
    outcome = transact(invocation, [chain.panels.leave_seats(pool, part) for part in parts])
    done = f"{operator} left {len(leaving)} of {len(held)} seats"
    outcome.tell(done, juror=operator, left=len(leaving), kept=len(held) - len(leaving))


@seats.action("show", example="assay stake seats show --task 1 --keystore judge")
@class_option
@pool_task_option
@address_options
@pass_invocation
def show(invocation: Invocation, class_name: str | None, task_id: int | None, address: str | None) -> None:
    """Show the seats of a pool: who has how many, and which are yours."""
    chain = invocation.chain()
    pool = _pool(chain, class_name, task_id)
    is_named = address is not None or invocation.has_key
    mine = invocation.operator_of(address) if is_named else None
    held = chain.panels.seats_by_juror(pool)
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

    if class_name is not None and task_id is None:
        return panel_class(class_name)
    if class_name is not None or task_id is None:
        raise Stop("which pool? add --task ID, or --class NAME")
    return chain.registry.params_of(require_task(chain, task_id)).panel_class


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
