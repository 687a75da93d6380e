"""A real gossip over shaped links, measured in the same terms as a simulated one."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assay_core.bundle.directory import write_atomically
from benchmarks.gossip.real_peer import first_state
from benchmarks.gossip.scenario import Scenario, with_headers
from benchmarks.gossip.topology import Kind
from benchmarks.netlab import Laboratory

PORT = 7_700
START_S = 1.0  # from the moment when all are ready
READY_S = 120.0
NOTED_NOISE = 256  # elements of each state, besides the probes, of which the disagreement is measured
GRID_S = 0.05


@dataclass(frozen=True, slots=True)
class Measured:
    """As in `simulate.Outcome`; every peer's update is a probe."""

    spread_s: float
    bytes_per_node_to_spread: float
    target_s: float | None
    error: float


def run_real(scenario: Scenario, kind: Kind, nodes: int, run_s: float) -> Measured:
    """Start the peers, wait until they end, and read what they noted. Raises RuntimeError: a peer failed."""
    network, exchange = scenario.network, scenario.exchange
    if network.loss or network.slow_share or scenario.churn.mean_up_s:
        raise ValueError("real links have bandwidth only: no loss, slow peers or churn")
    length = exchange.message_bytes // 4
    with (
        tempfile.TemporaryDirectory() as folder,
        Laboratory(nodes, uplink_mbit=network.uplink_mbit, downlink_mbit=network.downlink_mbit) as laboratory,
    ):
        common = {
            "nodes": nodes,
            "topology": kind,
            "degree": network.degree,
            "rewired": network.rewired,
            "seed": scenario.measure.seed,
            "fanout": exchange.fanout,
            "length": length,
            "noted": nodes + NOTED_NOISE,
            "interval_s": exchange.interval_s,
            "jitter": exchange.jitter,
            "places": [(laboratory.address(seat), PORT) for seat in range(nodes)],
            "run_s": run_s,
        }
        peers = [_start(laboratory, Path(folder), seat, common) for seat in range(nodes)]
        _start_together(Path(folder), peers)
        for seat, peer in enumerate(peers):
            if peer.wait(timeout=run_s + 60):
                raise RuntimeError((Path(folder) / f"{seat}.log").read_text()[-2_000:])
        notes = [np.load(Path(folder) / f"{seat}.npz") for seat in range(nodes)]
        return _measure(scenario, nodes, notes)


def _start_together(folder: Path, peers: list["subprocess.Popen[bytes]"]) -> None:
    until = time.monotonic() + READY_S
    while len(list(folder.glob("*.ready"))) < len(peers):
        if time.monotonic() > until or any(peer.poll() is not None for peer in peers):
            raise RuntimeError("the peers do not start: " + (folder / "0.log").read_text()[-2_000:])
        time.sleep(0.1)
    write_atomically(folder / "start", str(time.time() + START_S).encode())


def _start(laboratory: Laboratory, folder: Path, seat: int, common: Mapping[str, object]) -> "subprocess.Popen[bytes]":
    settings = folder / f"{seat}.json"
    settings.write_text(json.dumps({**common, "seat": seat, "result": str(folder / f"{seat}.npz")}))
    return laboratory.start(seat, ["-m", "benchmarks.gossip.real_peer", str(settings)], folder / f"{seat}.log")


def _measure(scenario: Scenario, nodes: int, notes: list["np.lib.npyio.NpzFile"]) -> Measured:
    measure = scenario.measure
    reached_NN = np.array([_first_above_zero(note, nodes) for note in notes])  # [node, probe]
    spread_N = np.sort(reached_NN, axis=0)[int(np.ceil(measure.spread_share * nodes)) - 1]
    if not np.isfinite(spread_N).all():
        raise RuntimeError("the run ended before every update had spread")
    first = np.stack(
        [first_state(seat, nodes, nodes + NOTED_NOISE, measure.seed)[nodes:] for seat in range(nodes)]
    ).astype(np.float64)
    # `standard_normal` of another length begins with the same numbers
    grid = np.arange(0, min(note["moments"][-1] for note in notes), GRID_S)
    errors = np.array([_disagreement(_states_at(notes, first, nodes, at)) for at in grid]) / _disagreement(first)
    below = np.flatnonzero(errors <= measure.target_error)
    sent = [float(np.mean([_sent_by(note, at) for note in notes])) for at in spread_N]
    return Measured(
        spread_s=float(spread_N.mean()),
        bytes_per_node_to_spread=float(np.mean(sent)) * with_headers(2**20) / 2**20,
        target_s=float(grid[below[0]]) if below.size else None,
        error=float(errors[np.searchsorted(grid, measure.error_at_s)]),
    )


def _first_above_zero(note: "np.lib.npyio.NpzFile", nodes: int) -> npt.NDArray[np.float64]:
    """[probe]: when this peer first had some of each; infinite: never."""
    above = note["states"][:, :nodes] > 0
    return np.where(above.any(axis=0), note["moments"][above.argmax(axis=0)], np.inf)


def _states_at(
    notes: list["np.lib.npyio.NpzFile"], first: npt.NDArray[np.float64], nodes: int, at: float
) -> npt.NDArray[np.float64]:
    rows = first.copy()
    for seat, note in enumerate(notes):
        if (position := int(np.searchsorted(note["moments"], at, side="right")) - 1) >= 0:
            rows[seat] = note["states"][position, nodes:]
    return rows


def _sent_by(note: "np.lib.npyio.NpzFile", at: float) -> float:
    moments, sizes = note["sent"].T
    return float(sizes[moments <= at].sum())


def _disagreement(states: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()))
