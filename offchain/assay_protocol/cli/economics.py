"""`assay economics`: what a task file costs and pays, and whether cheating would pay, before any money moves."""

from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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

F = TypeVar("F", bound=Callable[..., Any])
GWEI, COIN = 9, 18  # decimal places
PICTURES = (".svg", ".png")
ASSUMED = (
    click.option("--decimals", default=18, show_default=True, help="Decimal places of the token."),
    click.option(
        "--submission-cost",
        default="0",
        show_default=True,
        help="What an honest submission costs its trainer, in tokens.",
    ),
    click.option(
        "--read-cost", default="0", show_default=True, help="To fetch and prefill a submission, for a verifier."
    ),
    click.option(
        "--check-cost", default="0", show_default=True, help="To replay a submission that was drawn, for a verifier."
    ),
    click.option("--plant-cost", default="0", show_default=True, help="To make a planted fraud."),
    click.option(
        "--gas-price", metavar="GWEI", default="0", show_default=True, help="What gas costs, in the chain's coin."
    ),
    click.option("--coin-price", default="1", show_default=True, help="Tokens that one of the chain's coins is worth."),
    click.option("--verifiers", type=click.IntRange(1, 64), default=3, show_default=True, help="Of equal stake."),
    click.option("--weight", help="What each verifier locks, in tokens.  [default: verifier_bond]"),
    click.option(
        "--epoch-time", metavar="SECONDS", type=click.IntRange(1), help="From seal to seal.  [default: commit_window]"
    ),
    click.option("--reporter-share", default="0.1", show_default=True, help="Part of a slash that its reporter gets."),
)
plot_option = click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: .svg or .png.")


def assumption_options(function: F) -> F:
    """For commands that weigh a task's terms: what its file cannot know. `read_assumptions` takes their values."""
    for option in reversed(ASSUMED):
        function = option(function)
    return function


@command(
    "economics",
    example="assay economics examples/sorting.toml\n"
    "assay economics examples/sorting.toml --submission-cost 0.2 --check-cost 0.1 --plot economics.svg\n"
    "assay economics --panel --pool 40",
)
@click.argument("spec_file", metavar="[SPEC.TOML]", type=existing_file, required=False)
@assumption_options
@plot_option
@click.option("--panel", "is_panel", is_flag=True, help="Show what a share of the jurors' seats is worth, and stop.")
@click.option("--pool", type=click.IntRange(3), help="Seats of the jurors' pool.  [default: many]")
@pass_invocation
def economics(
    invocation: Invocation,
    spec_file: Path | None,
    is_panel: bool,
    pool: int | None,
    plot: Path | None,
    decimals: int,
    **costs: Any,
) -> None:
    """Show what a task file costs and pays, what cheating and honesty earn, and what is safe. Needs no network.

    What submissions, checks and gas cost is 0 unless you say so. Exits with 1 when the contracts would refuse the
    terms.
    """
    if is_panel:
        return _tell_panels(invocation, pool)
    if spec_file is None:
        raise Stop("name a task file, or ask for --panel")
    if plot is not None:
        check_picture(plot)
    _tell_terms(invocation, spec_file, plot, decimals, read_assumptions(decimals, **costs))


def check_picture(path: Path) -> None:
    """Raises Stop: it is named like no picture that can be drawn."""
    if path.suffix.lower() not in PICTURES:
        raise Stop(f"{path}: the picture must be a .svg or .png file")


def _tell_panels(invocation: Invocation, pool: int | None) -> None:
    from assay_protocol.economics.panel import captures
    from assay_protocol.economics.tables import panel_lines

    found = captures(pool)
    invocation.emit({"pool": pool, "panels": found}, panel_lines(found, pool))


def _tell_terms(
    invocation: Invocation, spec_file: Path, plot: Path | None, decimals: int, assumed: "Assumptions"
) -> None:
    from assay_protocol.economics.outlook import look
    from assay_protocol.economics.picture import draw_economics, write_picture
    from assay_protocol.economics.tables import describe

    (params, budget), money = read_terms(spec_file, decimals), Money("", decimals)
    outlook = look(params, assumed)
    facts = weigh(params, budget) | {"outlook": outlook, "assumed": stated(assumed)}
    if plot is not None:
        write_picture(plot, draw_economics(params, assumed, decimals))
    invocation.emit(facts, [*_lines(params, facts, money), *describe(params, outlook, assumed, money)])
    if problem := objection(params, budget, money):
        raise Stop(f"{spec_file}: {problem}")


def read_terms(spec_file: Path, decimals: int) -> "tuple[TaskParams, int]":
    """A task file's terms and budget. Raises Stop: there is nothing to calculate about them."""
    from assay_core.environments import make_environment
    from assay_protocol.task_file import load_task_file

    task = load_task_file(spec_file)
    make_environment(task.spec.environment)  # a task that nobody could work on is not worth its figures
    params = task.params(decimals)
    if problem := meaningless(params):
        raise Stop(f"{spec_file}: {problem}")
    return params, task.budget_wei(decimals)


def stated(assumed: "Assumptions") -> dict[str, Any]:
    """What the numbers rest on, for --json."""
    return asdict(assumed) | {"gas_price": float(assumed.gas_price)}


def read_assumptions(decimals: int, **costs: Any) -> "Assumptions":
    """What `assumption_options` say. Raises Stop: one is no amount, or no rate."""
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
        submission_wei=amount("submission_cost", decimals),
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
        "submission_pays_wei": gain,
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
            ("a submission earns at most", money.show(facts["submission_pays_wei"])),
            ("an epoch costs at most", money.show(facts["epoch_costs_wei"])),
            ("the budget pays for", f"{facts['epochs_paid_for']} such epochs"),
            ("a cheat loses", f"{money.show(params.fraud_slash)} ({margin})"),
            ("submissions replayed", f"{plain(params.sampling_bps * 100, 4)} %"),
            ("an epoch takes at most", duration(facts["longest_epoch_s"])),
        ]
    )
