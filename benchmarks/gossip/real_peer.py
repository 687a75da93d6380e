"""One peer of a real gossip, as a process: `python -m benchmarks.gossip.real_peer SETTINGS.json`.

It notes the first `noted` elements of its state after each mix, and the bytes of each message that it has sent, with
the time since the common start.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from eth_account import Account

from assay_core.aggregation.codecs import codec_named
from assay_core.protocol.types import Address
from benchmarks.gossip.node import GossipNode, Seat
from benchmarks.gossip.peer import GossipPeer, Pace, Place
from benchmarks.gossip.topology import make_topology
from benchmarks.gossip.wire import Wire


def peer_key(seat: int) -> bytes:
    """Keys for peers that own nothing and live for a minute."""
    return (seat + 1).to_bytes(32)


def first_state(seat: int, nodes: int, length: int, seed: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """[length]: 1 at its own seat among the first `nodes` elements, then noise."""
    state = np.random.default_rng([seed, seat]).standard_normal(length).astype(np.float32)
    state[:nodes] = 0
    state[seat] = 1
    return state


def main(settings_file: Path) -> None:
    settings = json.loads(settings_file.read_text())
    seat, nodes, length = settings["seat"], settings["nodes"], settings["length"]
    topology = make_topology(
        settings["topology"], nodes, degree=settings["degree"], rewired=settings["rewired"], seed=settings["seed"]
    )
    members = [Address(Account.from_key(peer_key(each)).address) for each in range(nodes)]
    notes: list[tuple[float, bytes]] = []
    sent: list[tuple[float, int]] = [(0.0, 0)]
    node = GossipNode(
        Seat(seat),
        topology.neighbours[seat],
        topology.weights[seat],
        first_state(seat, nodes, length, settings["seed"]),
        fanout=settings["fanout"] or None,
    )

    def note(mixed: GossipNode) -> None:
        noted = mixed.state_D[: settings["noted"]].tobytes()
        notes.append((time.time() - start_at, noted))

    peer = GossipPeer(
        node,
        Wire(bytes(32), members, length, codec_named("fp32")),
        Account.from_key(peer_key(seat)),
        {Seat(each): Place(*place) for each, place in enumerate(settings["places"])},
        Pace(settings["interval_s"], settings["jitter"]),
        on_mix=note,
        on_sent=lambda size: sent.append((time.time() - start_at, size)),
    )
    start_at = _await_start(settings_file)
    asyncio.run(_run_until(peer, start_at, settings["run_s"]))
    stacked = np.stack([np.frombuffer(state, np.float32) for _, state in notes])
    np.savez(settings["result"], moments=[at for at, _ in notes], states=stacked, sent=sent)


def _await_start(settings_file: Path) -> float:
    """Say that we are ready; the laboratory answers when all start, in seconds since 1970."""
    settings_file.with_suffix(".ready").touch()
    start = settings_file.parent / "start"
    while not start.exists():
        time.sleep(0.02)
    return float(start.read_text())


async def _run_until(peer: GossipPeer, start_at: float, run_s: float) -> None:
    await asyncio.sleep(max(0.0, start_at - time.time()))
    try:
        async with asyncio.timeout(run_s):
            await peer.run()
    except TimeoutError:
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
