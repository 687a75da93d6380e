"""`assay economics`: what a task file costs and pays, and whether cheating would pay, before any money moves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offchain.cli.amounts import Money, plain
from offchain.cli.invocation import Invocation
from offchain.cli.options import command, existing_file, pass_invocation
from offchain.cli.output import duration, fields
from offchain.protocol.errors import Stop

if TYPE_CHECKING:
    from offchain.protocol.types import TaskParams


@command("economics", example="assay economics examples/sorting.toml")
@click.argument("spec_file", metavar="SPEC.TOML", type=existing_file)
@click.option("--decimals", default=18, show_default=True, help="Decimal places of the token.")
@pass_invocation
def economics(invocation: Invocation, spec_file: Path, decimals: int) -> None:
    """Show what a task file costs, what it pays, and whether cheating would pay. Needs no network.

    Exits with 1 when the contracts would refuse the terms.
    """
    from offchain.cli.taskfile import read_task_file

    task = read_task_file(spec_file)
    params, budget = task.params(decimals), task.budget_wei(decimals)
    facts = weigh(params, budget)
    money = Money("", decimals)
    invocation.emit(facts, _lines(params, facts, money))
    if problem := objection(params, budget, money):
        raise Stop(f"{spec_file}: {problem}")


def weigh(params: "TaskParams", budget_wei: int) -> dict[str, Any]:
    """The numbers behind a task's terms."""
    from offchain.protocol.economics import epoch_cost, greatest_gain, needed_sampling_bps, needed_slash

    gain, cost = greatest_gain(params), epoch_cost(params)
    windows = ("commit", "attest", "reveal", "challenge", "appeal")
    return {
        "work_pays_wei": gain,
        "epoch_costs_wei": cost,
        "budget_wei": budget_wei,
        "epochs_paid_for": budget_wei // cost if cost else 0,
        "fraud_slash_wei": params.fraud_slash,
        "needed_slash_wei": needed_slash(gain, params.sampling_bps) if params.sampling_bps else None,
        "needed_sampling_bps": needed_sampling_bps(gain, params.fraud_slash),
        "sampling_bps": params.sampling_bps,
        "longest_epoch_s": sum(getattr(params, f"{name}_window") for name in windows),
    }


def objection(params: "TaskParams", budget_wei: int, money: Money) -> str | None:
    """Why the contracts would refuse these terms and what to change; None when they would not (as far as is known)."""
    from offchain.protocol.economics import epoch_cost, greatest_gain, needed_slash

    if params.sampling_bps == 0:
        return "terms.sampling is 0: nothing would ever be replayed, so cheating always pays; set it above 0"
    needed = needed_slash(greatest_gain(params), params.sampling_bps)
    if params.fraud_slash < needed:
        return cheating_pays(params, needed, money)
    if params.trainer_bond < params.fraud_slash:
        return "terms.trainer_bond must be at least terms.fraud_slash: a slash is taken from the bond"
    if params.verifier_bond < params.absence_slash:
        return "terms.verifier_bond must be at least terms.absence_slash: a slash is taken from the bond"
    if params.max_epoch_units < params.max_work_units:
        return "terms.max_epoch_units must be at least terms.max_work_units: no work would fit into an epoch"
    if params.quorum_bps <= 5_000:
        return "terms.quorum must be above one half"
    cost = epoch_cost(params)
    if budget_wei < cost:
        return (
            f"the budget of {money.show(budget_wei)} does not pay for one epoch, which may cost {money.show(cost)}: "
            "raise budget, or lower terms.max_epoch_units"
        )
    return None


def cheating_pays(params: "TaskParams", needed_wei: int, money: Money) -> str:
    """What to change in the terms so that cheating does not pay."""
    from offchain.protocol.economics import greatest_gain, needed_sampling_bps

    gain = greatest_gain(params)
    rate = plain(needed_sampling_bps(gain, params.fraud_slash), 4)
    return (
        f"cheating would pay: a work can earn {money.show(gain)} and is replayed with probability "
        f"{plain(params.sampling_bps, 4)}, yet a cheat loses only {money.show(params.fraud_slash)}. Raise "
        f"terms.fraud_slash (and terms.trainer_bond) to {money.show(needed_wei)}, or terms.sampling to {rate}, "
        "or lower terms.unit_price or terms.max_work_units"
    )


def _lines(params: "TaskParams", facts: dict[str, Any], money: Money) -> list[str]:
    needed = facts["needed_slash_wei"]
    margin = "never enough" if needed is None else f"at least {money.show(needed)} needed"
    return fields(
        [
            ("a work earns at most", money.show(facts["work_pays_wei"])),
            ("an epoch costs at most", money.show(facts["epoch_costs_wei"])),
            ("the budget pays for", f"{facts['epochs_paid_for']} such epochs"),
            ("a cheat loses", f"{money.show(params.fraud_slash)} ({margin})"),
            ("works replayed", f"{plain(params.sampling_bps * 100, 4)} %"),
            ("an epoch takes at most", duration(facts["longest_epoch_s"])),
        ]
    )
