"""`assay gossip`: what exchange without a star would cost on a given network, before anybody relies on it."""

from pathlib import Path

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import existing_file, group, pass_invocation


@group("gossip")
def gossip() -> None:
    """Simulate exchange without a star: rings, expanders, small worlds."""


@gossip.action("simulate", example="assay gossip simulate benchmarks/gossip.toml --out runs/gossip")
@click.argument("scenario_file", metavar="SCENARIO.TOML", type=existing_file)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for gossip.json, gossip.md and the plot gossip.svg.",
)
@pass_invocation
def simulate(invocation: Invocation, scenario_file: Path, out: Path | None) -> None:
    """Simulate peers that average their updates with neighbours only. Needs no network.

    One run for each topology and number of peers; tells time to spread, bytes per peer and consensus error.
    """
    from assay_protocol.gossip.report import table, write_report
    from assay_protocol.gossip.scenario import read_scenario
    from assay_protocol.gossip.simulate import simulate as run

    scenario = read_scenario(scenario_file)
    outcomes = [run(scenario, kind, nodes) for kind in scenario.network.topologies for nodes in scenario.network.nodes]
    lines = table(outcomes, scenario)
    if out is not None:
        lines += [f"written: {path}" for path in write_report(out, scenario, outcomes)]
    invocation.emit({"outcomes": [outcome.row() for outcome in outcomes]}, lines)


@gossip.action("topology", example="assay gossip topology small-world --nodes 64 --degree 4")
@click.argument("kind", type=click.Choice(["ring", "expander", "small-world", "complete"]))
@click.option("--nodes", type=click.IntRange(1, 20_000), required=True, metavar="N", help="Peers in the graph.")
@click.option("--degree", type=click.IntRange(2, 64), default=4, metavar="D", help="Neighbours of each.  [default: 4]")
@click.option("--rewired", type=click.FloatRange(0, 1), default=0.2, help="Long edges, small world.  [default: 0.2]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of a random graph.  [default: 0]")
@pass_invocation
def topology(invocation: Invocation, kind: str, nodes: int, degree: int, rewired: float, seed: int) -> None:
    """Show a graph's edges, spectral gap and the rounds that it takes to agree."""
    from math import inf, log

    from assay_core.aggregation.topology import kind_named, make_topology
    from assay_core.inspect.formatting import fields

    graph = make_topology(kind_named(kind), nodes, degree=degree, rewired=rewired, seed=seed)
    gap = graph.spectral_gap()
    tenfold = log(0.1) / log(1 - gap) if 0 < gap < 1 else 0.0 if gap >= 1 else inf
    facts = {"topology": kind, "nodes": nodes, "edges": graph.edges, "spectral_gap": gap, "rounds_per_tenfold": tenfold}
    lines = fields(
        [
            ("edges", f"{graph.edges:,}"),
            ("spectral gap", f"{gap:.4g}"),
            ("disagreement falls tenfold in", f"at most {tenfold:,.1f} synchronous rounds"),
        ]
    )
    invocation.emit(facts, lines)
