"""`assay economics`: what a task file costs and pays, and whether cheating would pay, before any money moves."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import duration, fields
from assay_core.protocol.amounts import Money, parse_amount, parse_rate, plain
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation
from assay_protocol.economics.objections import least_sampling_bps, meaningless, objection

if TYPE_CHECKING:
    from assay_core.protocol.types import TaskParams
    from assay_protocol.economics.assumptions import Assumptions
    from assay_protocol.economics.trials import SlashTrial

GWEI, COIN = 9, 18  # decimal places
PICTURES = (".svg", ".png")


@command(
    "economics",
    example="assay economics examples/sorting.toml\n"
    "assay economics examples/sorting.toml --work-cost 0.2 --check-cost 0.1 --simulate --plot economics.svg\n"
    "assay economics --panel --pool 40",
)
@click.argument("spec_file", metavar="[SPEC.TOML]", type=existing_file, required=False)
@click.option("--decimals", default=18, show_default=True, help="Decimal places of the token.")
@click.option("--work-cost", default="0", show_default=True, help="What an honest work costs its trainer, in tokens.")
@click.option("--read-cost", default="0", show_default=True, help="To fetch and prefill a work, for a verifier.")
@click.option("--check-cost", default="0", show_default=True, help="To replay a work that was drawn, for a verifier.")
@click.option("--plant-cost", default="0", show_default=True, help="To make a planted fraud.")
@click.option(
    "--gas-price", metavar="GWEI", default="0", show_default=True, help="What gas costs, in the chain's coin."
)
@click.option("--coin-price", default="1", show_default=True, help="Tokens that one of the chain's coins is worth.")
@click.option("--verifiers", type=click.IntRange(1, 64), default=3, show_default=True, help="Of equal stake.")
@click.option("--weight", help="What each verifier locks, in tokens.  [default: verifier_bond]")
@click.option(
    "--epoch-time", metavar="SECONDS", type=click.IntRange(1), help="From seal to seal.  [default: commit_window]"
)
@click.option("--reporter-share", default="0.1", show_default=True, help="Part of a slash that its reporter gets.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: a .svg or .png file.")
@click.option("--simulate", "is_simulated", is_flag=True, help="Play it out, with cheats and lazy verifiers.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulation.")
@click.option("--epochs", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Of the simulation.")
@click.option("--panel", "is_panel", is_flag=True, help="Show what a share of the jurors' seats is worth, and stop.")
@click.option("--pool", type=click.IntRange(3), help="Seats of the jurors' pool.  [default: many]")
@pass_invocation
def economics(
    invocation: Invocation, spec_file: Path | None, is_panel: bool, pool: int | None, plot: Path | None, **options: Any
) -> None:
    """Show what a task file costs and pays, what cheating and honesty earn, and what is safe. Needs no network.

    What works, checks and gas cost is 0 unless you say so. Exits with 1 when the contracts would refuse the terms.
    """
    if is_panel:
        return _tell_panels(invocation, pool)
    if spec_file is None:
        raise Stop("name a task file, or ask for --panel")
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise Stop(f"{plot}: the picture must be a .svg or .png file")
    _tell_terms(invocation, spec_file, plot, **options)


def _tell_panels(invocation: Invocation, pool: int | None) -> None:
    from assay_protocol.economics.panel import captures
    from assay_protocol.economics.tables import panel_lines

    found = captures(pool)
    invocation.emit({"pool": pool, "panels": found}, panel_lines(found, pool))


def _tell_terms(
    invocation: Invocation,
    spec_file: Path,
    plot: Path | None,
    *,
    decimals: int,
    is_simulated: bool,
    seed: int,
    epochs: int,
    **costs: Any,
) -> None:
    from assay_protocol.economics.outlook import look
    from assay_protocol.economics.picture import draw_economics
    from assay_protocol.economics.tables import describe
    from assay_protocol.task_file import load_task_file

    task = load_task_file(spec_file)
    params, budget = task.params(decimals), task.budget_wei(decimals)
    if problem := meaningless(params):
        raise Stop(f"{spec_file}: {problem}")
    if is_simulated and params.sampling_bps == 0:
        raise Stop(f"{spec_file}: terms.sampling is 0: there is nothing to simulate")
    assumed, money = _assumptions(decimals, **costs), Money("", decimals)
    outlook = look(params, assumed)
    facts = weigh(params, budget) | {"outlook": outlook, "assumed": stated(assumed)}
    lines = [*_lines(params, facts, money), *describe(params, outlook, assumed, money)]
    trials: tuple[SlashTrial, ...] = ()
    if is_simulated:
        trials, told, more = _simulate(params, assumed, seed, epochs)
        facts, lines = facts | told, [*lines, *more]
    if plot is not None:
        try:
            draw_economics(plot, params, assumed, decimals, trials)
        except OSError as error:
            raise Stop(f"{plot}: {error.strerror}") from error
    invocation.emit(facts, lines)
    if problem := objection(params, budget, money):
        raise Stop(f"{spec_file}: {problem}")


def _simulate(
    params: "TaskParams", assumed: "Assumptions", seed: int, epochs: int
) -> tuple[tuple["SlashTrial", ...], dict[str, Any], list[str]]:
    """Trials of slashes, all trials for --json, and all of them as tables."""
    from assay_protocol.economics import tables as tables
    from assay_protocol.economics.trials import collusion_trials, lazy_trials, plant_trials, slash_trials

    slashes = slash_trials(params, assumed, seed=seed, epochs=epochs)
    lazies = lazy_trials(params, assumed, seed=seed, epochs=epochs)
    plants, collusions = plant_trials(params, assumed, seed=seed), collusion_trials(params, assumed, seed=seed)
    facts = {
        "slash_trials": [asdict(each) | {"deviation": each.deviation} for each in slashes],
        "lazy_trials": lazies,
        "plant_trials": [asdict(each) | {"deviation": each.deviation} for each in plants],
        "collusion_trials": collusions,
    }
    lines = [
        *tables.slash_trial_lines(slashes, seed),
        *tables.lazy_trial_lines(lazies),
        *tables.plant_trial_lines(plants, assumed.verifiers),
        *tables.collusion_trial_lines(collusions),
    ]
    return slashes, facts, lines


def stated(assumed: "Assumptions") -> dict[str, Any]:
    """What the numbers rest on, for --json."""
    return asdict(assumed) | {"gas_price": float(assumed.gas_price)}


def _assumptions(decimals: int, **costs: Any) -> "Assumptions":
    """Raises Stop: an option is no amount, or no rate."""
    from assay_protocol.economics.assumptions import Assumptions

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
        fake_wei=amount("plant_cost", decimals),
        gas_price=gas_price,
        verifiers=costs["verifiers"],
        weight_wei=None if costs["weight"] is None else amount("weight", decimals),
        epoch_s=costs["epoch_time"],
        reporter_bps=reporter_bps,
    )


def weigh(params: "TaskParams", budget_wei: int) -> dict[str, Any]:
    """The numbers behind a task's terms."""
    from assay_core.protocol.economics import epoch_cost, greatest_gain, judging_s, needed_slash_of

    gain, cost = greatest_gain(params), epoch_cost(params)
    return {
        "work_pays_wei": gain,
        "epoch_costs_wei": cost,
        "budget_wei": budget_wei,
        "epochs_paid_for": budget_wei // cost if cost else 0,
        "fraud_slash_wei": params.fraud_slash,
        "needed_slash_wei": needed_slash_of(params) if params.sampling_bps else None,
        "needed_sampling_bps": least_sampling_bps(params),
        "sampling_bps": params.sampling_bps,
        "longest_epoch_s": params.commit_window + judging_s(params),
    }


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
