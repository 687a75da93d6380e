"""What exchange without a star would cost on a given network, before anybody relies on it: `make bench-gossip`.

`confirm` needs root: it runs every peer as a process in a network namespace of its own behind links shaped by tc.
"""

import sys
import time
from math import inf, log
from pathlib import Path
from typing import get_args

import click

from assay_core.inspect.formatting import fields
from assay_core.protocol.errors import Stop
from benchmarks.gossip.confirm import confirm as run_confirm
from benchmarks.gossip.report import table, write_report
from benchmarks.gossip.scenario import MAX_NODES, read_scenario
from benchmarks.gossip.simulate import Outcome
from benchmarks.gossip.simulate import simulate as run_simulation
from benchmarks.gossip.topology import Kind, kind_named, make_topology

HERE = Path(__file__).parent
scenario_argument = click.argument("scenario_file", metavar="[SCENARIO.TOML]", type=Path, required=False)
out_option = click.option(
    "--out", type=Path, default=Path("runs/gossip"), show_default=True, help="Folder for reports."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Exchange without a star: rings, expanders, small worlds."""


@main.command()
@scenario_argument
@out_option
def simulate(scenario_file: Path | None, out: Path) -> None:
    """Simulate peers that average their updates with neighbours only. Needs no network.

    One run for each topology and number of peers, told as it goes; then a table, and JSON, Markdown and a plot.
    """
    scenario = read_scenario(scenario_file or HERE / "simulate.toml")
    outcomes: list[Outcome] = []
    for kind in scenario.network.topologies:
        for nodes in scenario.network.nodes:
            started_at = time.perf_counter()
            outcomes.append(run_simulation(scenario, kind, nodes))
            took = time.perf_counter() - started_at
            click.echo(f"{kind}, {nodes} peers: {outcomes[-1].ended_s:,.0f} s simulated in {took:.0f} s", err=True)
    click.echo("\n".join(table(outcomes, scenario)))
    for path in write_report(out, scenario, outcomes):
        click.echo(f"written: {path}", err=True)


@main.command()
@scenario_argument
@out_option
def confirm(scenario_file: Path | None, out: Path) -> None:
    """Compare simulations with real peers over shaped links, as root."""
    sys.exit(run_confirm(read_scenario(scenario_file or HERE / "confirm.toml"), out))


@main.command()
@click.argument("kind", type=click.Choice(get_args(Kind)))
@click.option("--nodes", type=click.IntRange(1, MAX_NODES), required=True, metavar="N", help="Peers in the graph.")
@click.option("--degree", type=click.IntRange(2, 64), default=4, show_default=True, help="Neighbours of each.")
@click.option("--rewired", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Long edges, small world.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of a random graph.")
def topology(kind: str, nodes: int, degree: int, rewired: float, seed: int) -> None:
    """Show a graph's edges, spectral gap and the rounds that it takes to agree."""
    graph = make_topology(kind_named(kind), nodes, degree=degree, rewired=rewired, seed=seed)
    gap = graph.spectral_gap()
    tenfold = log(0.1) / log(1 - gap) if 0 < gap < 1 else 0.0 if gap >= 1 else inf
    lines = fields(
        [
            ("edges", f"{graph.edges:,}"),
            ("spectral gap", f"{gap:.4g}"),
            ("disagreement falls tenfold in", f"at most {tenfold:,.1f} synchronous rounds"),
        ]
    )
    click.echo("\n".join(lines))


if __name__ == "__main__":
    try:
        main(prog_name="python -m benchmarks.gossip")
    except Stop as error:
        sys.exit(f"gossip: {error}")
