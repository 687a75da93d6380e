"""Simulations beside real peers over shaped links."""

import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.gossip.real import Measured, run_real
from benchmarks.gossip.scenario import Scenario
from benchmarks.gossip.simulate import Outcome, simulate
from benchmarks.gossip.topology import Kind
from benchmarks.netlab import shaping_fault

REPEATS = 20  # simulations whose mean a real run is compared with
REAL_RUNS = 2  # as chance has its say in a real run too
TOLERANCE = 0.2


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
