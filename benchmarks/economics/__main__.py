"""What the terms of a task come to when they are played out, beside what the formulas say: `make bench-economics`.

The formulas, and what they say about a task, are `assay economics`; it takes the same file and the same costs.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from matplotlib.axes import Axes

from assay_core.protocol.economics import MARGIN_BPS, greatest_gain
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import BPS, TaskParams
from assay_protocol.cli.economics import (
    assumption_options,
    check_picture,
    plot_option,
    read_assumptions,
    read_terms,
    stated,
)
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation
from assay_protocol.economics.picture import ORANGE, draw_economics, write_picture
from benchmarks.economics import tables
from benchmarks.economics.simulation import ALWAYS
from benchmarks.economics.trials import SlashTrial, collusion_trials, lazy_trials, plant_trials, slash_trials


@command("economics", example="python -m benchmarks.economics examples/sorting.toml --check-cost 0.01")
@click.argument("spec_file", metavar="SPEC.TOML", type=existing_file)
@assumption_options
@plot_option
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all luck.")
@click.option("--epochs", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="To be played.")
@pass_invocation
def main(
    invocation: Invocation, spec_file: Path, plot: Path | None, seed: int, epochs: int, decimals: int, **costs: Any
) -> None:
    """Play a task's terms out, with cheats, lazy verifiers and a quorum that colludes. Needs no network."""
    if plot is not None:
        check_picture(plot)
    assumed, (params, _) = read_assumptions(decimals, **costs), read_terms(spec_file, decimals)
    if params.sampling_bps == 0:
        raise Stop(f"{spec_file}: terms.sampling is 0: there is nothing to simulate")
    slashes = slash_trials(params, assumed, seed=seed, epochs=epochs)
    lazies = lazy_trials(params, assumed, seed=seed, epochs=epochs)
    plants, collusions = plant_trials(params, assumed, seed=seed), collusion_trials(params, assumed, seed=seed)
    if plot is not None:
        figure = draw_economics(params, assumed, decimals)
        add_dots(figure.axes[1], params, decimals, slashes)
        write_picture(plot, figure)
    facts = {
        "assumed": stated(assumed),
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
    invocation.emit(facts, lines)


def add_dots(axes: Axes, params: TaskParams, decimals: int, trials: tuple[SlashTrial, ...]) -> None:
    """Where cheating without pause broke even, beside the curve of the formula, with the margin that it has."""
    unit = greatest_gain(params) * MARGIN_BPS / BPS / 10**decimals
    found = [trial for trial in trials if trial.strategy == ALWAYS.name]
    for submissions, style in zip(sorted({trial.in_flight for trial in found}), ("o", "x"), strict=False):
        dots = [trial for trial in found if trial.in_flight == submissions]
        axes.plot(
            [trial.sampling_bps / BPS for trial in dots],
            [trial.measured * unit for trial in dots],
            style, color=ORANGE, markersize=6, markerfacecolor="white", linestyle="none",
            label=f"as simulated, with the margin: {submissions} in flight",
        )  # fmt: skip
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    try:
        main(prog_name="python -m benchmarks.economics")
    except Stop as error:
        sys.exit(f"economics: {error}")
