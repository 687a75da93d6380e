"""`assay economics`: what a task file costs and pays, and whether cheating would pay, before any money moves."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offchain.cli.amounts import Money, parse_amount, parse_rate, plain
from offchain.cli.invocation import Invocation
from offchain.cli.options import command, existing_file, pass_invocation
from offchain.cli.output import duration, fields
from offchain.protocol.errors import Stop

if TYPE_CHECKING:
    from offchain.economics.outlook import Assumptions
    from offchain.economics.trials import SlashTrial
    from offchain.protocol.types import TaskParams

GWEI, COIN = 9, 18  # decimal places
PICTURES = (".svg", ".png")


@command(
    "economics",
    example="assay economics examples/sorting.toml\n"
    "assay economics examples/sorting.toml --work-cost 0.2 --check-cost 0.1 --simulate --plot economics.svg",
)
@click.argument("spec_file", metavar="SPEC.TOML", type=existing_file)
@click.option("--decimals", default=18, show_default=True, help="Decimal places of the token.")
@click.option("--work-cost", default="0", show_default=True, help="What an honest work costs its trainer, in tokens.")
@click.option("--read-cost", default="0", show_default=True, help="To fetch and prefill a work, for a verifier.")
@click.option("--check-cost", default="0", show_default=True, help="To replay a work that was drawn, for a verifier.")
@click.option(
    "--gas-price", metavar="GWEI", default="0", show_default=True, help="What gas costs, in the chain's coin."
)
@click.option("--coin-price", default="1", show_default=True, help="Tokens that one of the chain's coins is worth.")
@click.option("--verifiers", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Of equal stake.")
@click.option(
    "--epoch-time", metavar="SECONDS", type=click.IntRange(1), help="From seal to seal.  [default: commit_window]"
)
@click.option("--reporter-share", default="0.1", show_default=True, help="Part of a slash that its reporter gets.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: a .svg or .png file.")
@click.option("--simulate", "is_simulated", is_flag=True, help="Play it out, with cheats and lazy verifiers.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulation.")
@click.option("--epochs", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Of the simulation.")
@pass_invocation
def economics(
    invocation: Invocation,
    spec_file: Path,
    decimals: int,
    plot: Path | None,
    is_simulated: bool,
    seed: int,
    epochs: int,
    **costs: Any,
) -> None:
    """Show what a task file costs and pays, what cheating and honesty earn, and what is safe. Needs no network.

    What works, checks and gas cost is 0 unless you say so. Exits with 1 when the contracts would refuse the terms.
    """
    from offchain.cli.economics_tables import describe, lazy_trial_lines, slash_trial_lines
    from offchain.cli.taskfile import read_task_file
    from offchain.economics.outlook import look
    from offchain.economics.picture import draw_economics
    from offchain.economics.trials import lazy_trials, slash_trials

    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise Stop(f"{plot}: the picture must be a .svg or .png file")
    task = read_task_file(spec_file)
    params, budget = task.params(decimals), task.budget_wei(decimals)
    if problem := meaningless(params):
        raise Stop(f"{spec_file}: {problem}")
    if is_simulated and params.sampling_bps == 0:
        raise Stop(f"{spec_file}: terms.sampling is 0: there is nothing to simulate")
    assumed, money = _assumptions(decimals, **costs), Money("", decimals)
    outlook = look(params, budget, assumed)
    facts = weigh(params, budget) | {"outlook": outlook, "assumed": stated(assumed)}
    lines = [*_lines(params, facts, money), *describe(params, outlook, assumed, money)]
    trials: tuple[SlashTrial, ...] = ()
    if is_simulated:
        trials = slash_trials(params, outlook.in_flight, assumed, seed=seed, epochs=epochs)
        lazies = lazy_trials(params, assumed, seed=seed, epochs=epochs)
        facts["slash_trials"] = [asdict(each) | {"deviation": each.deviation} for each in trials]
        facts["lazy_trials"] = lazies
        lines += [*slash_trial_lines(trials, seed), *lazy_trial_lines(lazies)]
    if plot is not None:
        try:
            draw_economics(plot, params, outlook.in_flight, assumed, decimals, trials)
        except OSError as error:
            raise Stop(f"{plot}: {error.strerror}") from error
    invocation.emit(facts, lines)
    if problem := objection(params, budget, money):
        raise Stop(f"{spec_file}: {problem}")


def stated(assumed: "Assumptions") -> dict[str, Any]:
    """What the numbers rest on, for --json."""
    return asdict(assumed) | {"gas_price": float(assumed.gas_price)}


def meaningless(params: "TaskParams") -> str | None:
    """Terms about which there is nothing to calculate, and what to change; None where there is."""
    if params.unit_price == 0:
        return "terms.unit_price is 0: works would earn nothing; set it above 0"
    for name in ("commit_window", "attest_window", "reveal_window"):
        if getattr(params, name) == 0:
            return f"terms.{name} is 0: nobody could act in it; set it above 0"
    if params.max_epoch_units < params.max_work_units:
        return "terms.max_epoch_units must be at least terms.max_work_units: no work would fit into an epoch"
    return None


def _assumptions(decimals: int, **costs: Any) -> "Assumptions":
    """Raises Stop: an option is no amount, or no rate."""
    from offchain.economics.outlook import Assumptions

    def amount(name: str, places: int) -> int:
        try:
            return parse_amount(costs[name], places)
        except Stop as error:
            raise Stop(f"--{name.replace('_', '-')}: {error}") from error

    # coin per gas x wei of the token per coin
    gas_price = Fraction(amount("gas_price", GWEI), 10**COIN) * amount("coin_price", decimals)
    try:
        reporter_bps = parse_rate(costs["reporter_share"])
    except Stop as error:
        raise Stop(f"--reporter-share: {error}") from error
    return Assumptions(
        work_wei=amount("work_cost", decimals),
        read_wei=amount("read_cost", decimals),
        check_wei=amount("check_cost", decimals),
        gas_price=gas_price,
        verifiers=costs["verifiers"],
        epoch_s=costs["epoch_time"],
        reporter_bps=reporter_bps,
    )


def weigh(params: "TaskParams", budget_wei: int) -> dict[str, Any]:
    """The numbers behind a task's terms."""
    from offchain.protocol.economics import (
        epoch_cost,
        greatest_gain,
        judging_s,
        needed_sampling_bps,
        needed_slash,
    )

    gain, cost = greatest_gain(params), epoch_cost(params)
    return {
        "work_pays_wei": gain,
        "epoch_costs_wei": cost,
        "budget_wei": budget_wei,
        "epochs_paid_for": budget_wei // cost if cost else 0,
        "fraud_slash_wei": params.fraud_slash,
        "needed_slash_wei": needed_slash(gain, params.sampling_bps) if params.sampling_bps else None,
        "needed_sampling_bps": needed_sampling_bps(gain, params.fraud_slash),
        "sampling_bps": params.sampling_bps,
        "longest_epoch_s": params.commit_window + judging_s(params),
    }


def objection(params: "TaskParams", budget_wei: int, money: Money) -> str | None:
    """Why the contracts would refuse these terms and what to change; None when they would not (as far as is known)."""
    from offchain.protocol.economics import epoch_cost, greatest_gain, needed_slash

    if problem := meaningless(params):
        return problem
    if params.sampling_bps == 0:
        return "terms.sampling is 0: nothing would ever be replayed, so cheating always pays; set it above 0"
    needed = needed_slash(greatest_gain(params), params.sampling_bps)
    if params.fraud_slash < needed:
        return cheating_pays(params, needed, money)
    if params.trainer_bond < params.fraud_slash:
        return "terms.trainer_bond must be at least terms.fraud_slash: a slash is taken from the bond"
    for name in ("absence_slash", "verdict_slash"):
        if params.verifier_bond < getattr(params, name):
            return f"terms.verifier_bond must be at least terms.{name}: a slash is taken from the bond"
    if params.challenge_window and not params.challenge_bond:
        return "terms.challenge_bond is 0: challenging would cost nothing; set it, or terms.challenge_window to 0"
    if params.challenge_window and params.appeal_window < max(params.attest_window, params.reveal_window):
        return (
            "terms.appeal_window must be at least terms.attest_window and terms.reveal_window: "
            "who judges again looks closer"
        )
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
