"""Exchange without a star, simulated at scale and confirmed over real links: `make bench-gossip`.

    python -m benchmarks.gossip simulate [--scenario benchmarks/gossip.toml] [--nodes 10,100,…] [--out runs/gossip]
    python -m benchmarks.gossip confirm [--scenario benchmarks/gossip_confirm.toml] [--out runs/gossip]

`confirm` needs root: it runs every peer as a process in a network namespace of its own behind links shaped by tc.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from assay_core.aggregation.topology import Kind
from assay_protocol.gossip.report import table, write_report
from assay_protocol.gossip.scenario import Scenario, read_scenario
from assay_protocol.gossip.simulate import Outcome, simulate
from benchmarks.gossip_real import Measured, run_real
from benchmarks.netlab import shaping_fault

REPEATS = 20  # simulations whose mean a real run is compared with
REAL_RUNS = 2  # as chance has its say in a real run too
TOLERANCE = 0.2
SIMULATED_NODES = (10, 32, 100, 316, 1_000, 3_162, 10_000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["simulate", "confirm"])
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--nodes", type=lambda text: tuple(int(part) for part in text.split(",")))
    parser.add_argument("--out", type=Path, default=Path("runs/gossip"))
    options = parser.parse_args()
    if options.action == "simulate":
        scenario = read_scenario(options.scenario or Path("benchmarks/gossip.toml"))
        return run_simulations(scenario, options.nodes or SIMULATED_NODES, options.out)
    return confirm(read_scenario(options.scenario or Path("benchmarks/gossip_confirm.toml")), options.out)


def run_simulations(scenario: Scenario, sizes: tuple[int, ...], out: Path) -> int:
    """Every topology at every size, told as it goes; then table, plot and JSON under `out`."""
    outcomes: list[Outcome] = []
    for kind in scenario.network.topologies:
        for nodes in sizes:
            started_at = time.perf_counter()
            outcomes.append(simulate(scenario, kind, nodes))
            took = time.perf_counter() - started_at
            sys.stderr.write(f"{kind}, {nodes} peers: {outcomes[-1].ended_s:,.0f} s simulated in {took:.0f} s\n")
    print("\n".join(table(outcomes, scenario)))
    for path in write_report(out, scenario, outcomes):
        sys.stderr.write(f"written: {path}\n")
    return 0


def confirm(scenario: Scenario, out: Path) -> int:
    """Real runs beside the mean of simulated ones; exit code 1 when one is further off than TOLERANCE."""
    if fault := shaping_fault():
        sys.stderr.write(f"links cannot be shaped here (root, ip and the kernel's tbf are needed): {fault}\n")
        return 2
    lines = ["| topology | peers | what | simulated | real | real / simulated |", "|---|---:|---|---:|---:|---:|"]
    worst = 0.0
    for kind in scenario.network.topologies:
        for nodes in scenario.network.nodes:
            for what, simulated, real in compare(scenario, kind, nodes, real_runs=REAL_RUNS):
                worst = max(worst, abs(real / simulated - 1))
                lines.append(f"| {kind} | {nodes} | {what} | {simulated:.3g} | {real:.3g} | {real / simulated:.2f} |")
    lines.append(f"\nfurthest off: {worst:.0%} (allowed: {TOLERANCE:.0%})")
    out.mkdir(parents=True, exist_ok=True)
    (out / "gossip-confirmed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return int(worst > TOLERANCE)


def compare(scenario: Scenario, kind: Kind, nodes: int, *, real_runs: int) -> Iterator[tuple[str, float, float]]:
    """What was measured, the mean of simulated runs, and that of real ones."""
    outcomes = [simulate(scenario, kind, nodes, repeat=repeat) for repeat in range(REPEATS)]
    run_s = scenario.measure.error_at_s + 2 * scenario.exchange.interval_s
    reals = [run_real(scenario, kind, nodes, run_s) for _ in range(real_runs)]
    quantities: list[tuple[str, Callable[[Outcome | Measured], float | None]]] = [
        ("seconds to spread", lambda each: each.spread_s),
        ("MB per peer until then", lambda each: (each.bytes_per_node_to_spread or 0) / 1e6),
        (f"seconds to error {scenario.measure.target_error:g}", lambda each: each.target_s),
    ]
    for what, value in quantities:
        simulated = [found for each in outcomes if (found := value(each)) is not None]
        measured = [found for each in reals if (found := value(each)) is not None]
        if len(simulated) == REPEATS and len(measured) == real_runs:
            yield what, statistics.fmean(simulated), statistics.fmean(measured)


if __name__ == "__main__":
    sys.exit(main())
