"""A discrete-event simulator: the peers' own code (`GossipNode`) over links, loss and churn that are computed.

A peer sends one message after the other. A message holds the sender's uplink for bytes / rate, then arrives after the
latency, unless the receiver's downlink is still busy with others; the sender goes on once it is told of the arrival.
Time is simulated, randomness seeded: the same scenario gives the same result.

States have PROBES coordinates that are 1 at one peer and 0 elsewhere (a peer has some of that peer's update once its
coordinate is above 0), and NOISE coordinates drawn from a normal distribution, of which the disagreement is measured.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.gossip.node import GossipNode, Message, Seat
from benchmarks.gossip.scenario import BITS_PER_MBIT, Scenario
from benchmarks.gossip.topology import Kind, Topology, make_topology

NOISE = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. Times are simulated seconds; None: not reached before the run ended.

    Errors are root mean square distances of the peers' states from their mean, as a share of what they began with;
    `drift` is how far that mean has moved from the first one, in the same unit. Bytes are those on the uplink.
    """

    topology: Kind
    nodes: int
    spectral_gap: float
    spread_s: float | None
    bytes_per_node_to_spread: float | None
    target_s: float | None
    bytes_per_node_to_target: float | None
    error: float | None
    drift: float | None
    bytes_per_node: float
    delivered: int
    lost: int
    absent_share: float
    ended_s: float

    def row(self) -> dict[str, object]:
        return asdict(self)


def simulate(scenario: Scenario, kind: Kind, nodes: int, *, repeat: int = 0) -> Outcome:
    """Run one graph until everything asked for has been seen, or a limit of `measure` ends it.

    `repeat`: the same graph with other luck. Raises Stop: an impossible graph.
    """
    network = scenario.network
    topology = make_topology(
        kind, nodes, degree=network.degree, rewired=network.rewired, seed=scenario.measure.seed % 2**32
    )
    return _Run(scenario, topology, repeat).outcome()


class _Run:
    def __init__(self, scenario: Scenario, topology: Topology, repeat: int) -> None:
        self._scenario = scenario
        self._topology = topology
        self._random = np.random.default_rng([scenario.measure.seed, topology.nodes, repeat])
        self._probes = min(scenario.measure.probes, topology.nodes)
        self._states = _first_states(self._random, topology.nodes, self._probes)
        self._nodes = [self._make_node(seat) for seat in range(topology.nodes)]
        self._links = _Links(scenario, self._random, topology.nodes)
        self._present = np.ones(topology.nodes, bool)
        self._sending = np.zeros(topology.nodes, bool)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._sample_s = scenario.exchange.interval_s / max(4, min(50, 2_000 // topology.nodes))
        self._watch = _Watch(scenario, self._states, self._probes)
        self.delivered = self.lost = 0

    def outcome(self) -> Outcome:
        self._begin()
        now = 0.0
        limits = self._scenario.measure
        while self._events and self.delivered + self.lost < limits.max_messages:
            now, _, act = heapq.heappop(self._events)
            if now > limits.max_s or self._watch.is_done(now):
                break
            act(now)
        watch, wire_bytes = self._watch, self._scenario.wire_bytes
        count = self._topology.nodes
        return Outcome(
            topology=self._topology.kind,
            nodes=count,
            spectral_gap=self._topology.spectral_gap(),
            spread_s=watch.spread_s,
            bytes_per_node_to_spread=_scaled(watch.messages_to_spread, wire_bytes / count),
            target_s=watch.target_s,
            bytes_per_node_to_target=_scaled(watch.messages_to_target, wire_bytes / count),
            error=watch.error,
            drift=watch.drift,
            bytes_per_node=(self.delivered + self.lost) * wire_bytes / count,
            delivered=self.delivered,
            lost=self.lost,
            absent_share=watch.absent_share,
            ended_s=float(now),
        )

    def _make_node(self, seat: int) -> GossipNode:
        around, weights = self._topology.neighbours[seat], self._topology.weights[seat]
        return GossipNode(
            Seat(seat), around, weights, self._states[seat], fanout=self._scenario.exchange.fanout or None
        )

    def _begin(self) -> None:
        exchange, churn = self._scenario.exchange, self._scenario.churn
        for seat in range(self._topology.nodes):
            self._at(self._random.uniform(0, exchange.interval_s), self._mixing(seat))
            if churn.mean_up_s > 0:
                self._at(self._random.exponential(churn.mean_up_s), self._leaving(seat))
        self._at(0.0, self._sample)

    def _at(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    # ------------------------------------------------------------------------------------------------- events

    def _mixing(self, seat: int) -> Callable[[float], None]:
        exchange = self._scenario.exchange

        def mix(now: float) -> None:
            if self._present[seat]:
                self._nodes[seat].mix()
                if not self._sending[seat]:
                    self._send(seat, now)
            wait = exchange.interval_s * (1 + exchange.jitter * self._random.uniform(-1, 1))
            self._at(now + wait, mix)

        return mix

    def _send(self, seat: int, now: float) -> None:
        """Begin the next message that is due, if there is one."""
        node = self._nodes[seat]
        receiver = node.next_due() if self._present[seat] else None
        self._sending[seat] = receiver is not None
        if receiver is None:
            return
        if not self._present[receiver]:  # refused at once
            self._at(now + 2 * self._links.latency_s, lambda then: self._send(seat, then))
            return
        arrives = self._links.transfer(seat, receiver, now)
        is_lost = self._random.random() < self._scenario.network.loss
        message = node.message()
        self._at(arrives, lambda then: self._arrive(receiver, message, is_lost, then))
        self._at(arrives + self._links.latency_s, lambda then: self._send(seat, then))

    def _arrive(self, receiver: Seat, message: Message, is_lost: bool, _: float) -> None:
        if is_lost or not self._present[receiver]:
            self.lost += 1
            return
        self.delivered += 1
        self._nodes[receiver].receive(message)

    def _leaving(self, seat: int) -> Callable[[float], None]:
        churn = self._scenario.churn

        def leave(now: float) -> None:
            self._present[seat] = False
            self._at(now + self._random.exponential(churn.mean_down_s), come_back)

        def come_back(now: float) -> None:
            self._present[seat] = True
            self._nodes[seat].restart(np.zeros_like(self._states[seat]) if churn.forgets else None)
            self._at(now + self._random.exponential(churn.mean_up_s), leave)

        return leave

    def _sample(self, now: float) -> None:
        self._watch.look(now, self._present, self.delivered + self.lost)
        self._at(now + self._sample_s, self._sample)


class _Links:
    """When each peer's uplink and downlink are free again."""

    def __init__(self, scenario: Scenario, random: np.random.Generator, nodes: int) -> None:
        network = scenario.network
        slow = np.where(random.random(nodes) < network.slow_share, network.slow_factor, 1.0)
        bits = 8 * scenario.wire_bytes
        self.latency_s = network.latency_s
        self._up_s = bits / (network.uplink_mbit * BITS_PER_MBIT) * slow
        self._down_s = bits / (network.downlink_mbit * BITS_PER_MBIT) * slow
        self._down_free = np.zeros(nodes)

    def transfer(self, sender: int, receiver: int, now: float) -> float:
        """When a message that is sent now has arrived in whole; the downlink takes it as it comes."""
        downlink_done = max(now + self.latency_s, self._down_free[receiver]) + self._down_s[receiver]
        arrives = max(now + self._up_s[sender] + self.latency_s, float(downlink_done))
        self._down_free[receiver] = arrives
        return arrives


class _Watch:
    """Looks at all states at once, as nobody inside can."""

    def __init__(self, scenario: Scenario, states: npt.NDArray[np.float64], probes: int) -> None:
        self._measure = scenario.measure
        self._states = states
        self._probes = probes
        self._first_mean = states[:, probes:].mean(axis=0)
        self._first_spread = _disagreement(states[:, probes:])
        self._spread_at: dict[int, tuple[float, int]] = {}  # of each probe: the time, and the messages sent by then
        self._absences = 0.0
        self._looks = 0
        self.spread_s: float | None = None
        self.target_s: float | None = None
        self.messages_to_spread: float | None = None
        self.messages_to_target: float | None = None
        self.error: float | None = None
        self.drift: float | None = None

    @property
    def absent_share(self) -> float:
        return self._absences / max(1, self._looks)

    def is_done(self, now: float) -> bool:
        return now > self._measure.error_at_s and self.spread_s is not None and self.error is not None

    def look(self, now: float, present: npt.NDArray[np.bool_], messages: int) -> None:
        self._looks += 1
        self._absences += 1.0 - float(present.mean())
        if not present.any():
            return
        states = self._states[present]
        self._look_for_spread(now, states[:, : self._probes], messages)
        error = _disagreement(states[:, self._probes :]) / self._first_spread
        if self.target_s is None and error <= self._measure.target_error:
            self.target_s, self.messages_to_target = now, messages
        if self.error is None and now >= self._measure.error_at_s:
            self.error = error
            moved = states[:, self._probes :].mean(axis=0) - self._first_mean
            self.drift = math.sqrt(float((moved**2).sum())) / self._first_spread

    def _look_for_spread(self, now: float, probes_NP: npt.NDArray[np.float64], messages: int) -> None:
        if self.spread_s is not None:
            return
        reached = (probes_NP > 0).mean(axis=0) >= self._measure.spread_share
        for probe in np.flatnonzero(reached):
            self._spread_at.setdefault(int(probe), (now, messages))
        if len(self._spread_at) == self._probes:
            self.spread_s = math.fsum(at for at, _ in self._spread_at.values()) / self._probes
            self.messages_to_spread = sum(sent for _, sent in self._spread_at.values()) / self._probes


def _first_states(random: np.random.Generator, nodes: int, probes: int) -> npt.NDArray[np.float64]:
    """[nodes, probes + NOISE]"""
    states = np.zeros((nodes, probes + NOISE))
    sources = random.choice(nodes, probes, replace=False)
    states[sources, np.arange(probes)] = 1.0
    states[:, probes:] = random.standard_normal((nodes, NOISE))
    return states


def _disagreement(states: npt.NDArray[np.float64]) -> float:
    """Root mean square distance of the rows from their mean."""
    return math.sqrt(float(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _scaled(count: float | None, factor: float) -> float | None:
    return None if count is None else count * factor
