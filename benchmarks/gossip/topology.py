"""Who exchanges with whom when there is no star: graphs of peers, and how much each edge weighs in a mix.

A graph follows from its members, its kind and a seed, so every peer derives the same one. Mixing weights are those of
Metropolis and Hastings, which a peer knows from its neighbours' degrees alone; the matrix is symmetric and doubly
stochastic, so a round of mixing keeps the mean. How fast it forgets everything else is its spectral gap.

Source: Xiao and Boyd 2004, "Fast linear iterations for distributed averaging"; Watts and Strogatz 1998; a random
regular graph is an expander with high probability (Friedman 2008, arXiv:cs/0405020).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh

from assay_core.protocol.errors import Stop

Kind = Literal["ring", "expander", "small-world", "complete"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DENSE_NODES = 512  # up to here all eigenvalues are computed; beyond, the second largest and the smallest alone


@dataclass(frozen=True)
class Topology:
    """An undirected connected graph over peers 0 … n - 1: `neighbours[i]` in ascending order."""

    kind: Kind
    neighbours: tuple[tuple[int, ...], ...]

    @property
    def nodes(self) -> int:
        return len(self.neighbours)

    @property
    def edges(self) -> int:
        return sum(len(each) for each in self.neighbours) // 2

    @cached_property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """Metropolis-Hastings weight of each neighbour, in the order of `neighbours`; the rest to 1 is a peer's own."""
        return tuple(
            tuple(metropolis_weight(len(around), len(self.neighbours[other])) for other in around)
            for around in self.neighbours
        )

    def mixing_matrix(self) -> csr_array:
        """[n, n], symmetric, every row and column sums to 1."""
        rows, columns, values = list[int](), list[int](), list[float]()
        for node, (around, weights) in enumerate(zip(self.neighbours, self.weights, strict=True)):
            rows += [node] * (len(around) + 1)
            columns += [*around, node]
            values += [*weights, 1.0 - math.fsum(weights)]
        return csr_array((values, (rows, columns)), shape=(self.nodes, self.nodes))

    def spectral_gap(self) -> float:
        """1 minus the second largest magnitude of the mixing matrix's eigenvalues: 0 never mixes, 1 does at once.

        Each synchronous round shrinks what peers disagree on by at least the factor 1 - gap.
        """
        if self.nodes == 1:
            return 1.0
        matrix = self.mixing_matrix()
        values = np.linalg.eigvalsh(matrix.toarray()) if self.nodes <= DENSE_NODES else _extremes(matrix)
        return float(1.0 - max(values[-2], -values[0]))


def metropolis_weight(degree: int, other_degree: int) -> float:
    """What a neighbour weighs: the same seen from either side, and a peer's weights never exceed 1 together."""
    return 1.0 / (1 + max(degree, other_degree))


def make_topology(kind: Kind, nodes: int, *, degree: int = 4, rewired: float = 0.2, seed: int = 0) -> Topology:
    """The graph of `kind` over `nodes` peers; where they are too few for it, all are neighbours.

    `degree`: edges per peer of an expander, and (even) of a small world before `rewired` of its edges are moved.
    Raises Stop: an impossible kind, number or degree.
    """
    _check(kind, nodes, degree, rewired)
    if kind == "complete" or nodes <= max(3, degree + 1 if kind != "ring" else 3):
        return Topology(kind, tuple(tuple(j for j in range(nodes) if j != i) for i in range(nodes)))
    match kind:
        case "ring":
            return Topology(kind, _neighbours(nx.cycle_graph(nodes)))
        case "expander":
            return Topology(kind, _neighbours(_regular(nodes, degree, seed)))
        case "small-world":
            return Topology(kind, _neighbours(nx.connected_watts_strogatz_graph(nodes, degree, rewired, 100, seed)))


def kind_named(name: str) -> Kind:
    """Raises Stop: there is no such topology."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise Stop(f"no topology is named {name!r}: choose one of {', '.join(KINDS)}")


def seat_peers(members: Sequence[str], seed: bytes) -> list[str]:
    """Who sits where in a graph: an order that nobody chooses, the same for all who know members and seed."""
    if len(set(members)) != len(members):
        raise ValueError("a peer takes one seat")
    order = np.random.default_rng(int.from_bytes(seed)).permutation(len(members))
    ranked = sorted(members)
    return [ranked[position] for position in order]


def _regular(nodes: int, degree: int, seed: int) -> "nx.Graph[int]":
    """The first connected one of a seeded sequence; nearly always that is the first."""
    for attempt in range(100):
        graph = nx.random_regular_graph(degree, nodes, seed=seed + attempt)
        if nx.is_connected(graph):
            return graph
    raise Stop(f"no connected graph of {nodes} peers with degree {degree} was found: raise the degree")


def _neighbours(graph: "nx.Graph[Any]") -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(sorted(graph.neighbors(node))) for node in range(graph.number_of_nodes()))


def _extremes(matrix: csr_array) -> npt.NDArray[np.float64]:
    """[smallest, second largest, largest] eigenvalue, by Lanczos."""
    is_ring = matrix.nnz == 3 * _size(matrix)
    # a ring's gap is too small to converge to directly, and its inverse is cheap
    top = _eigenvalues(matrix.tocsc(), 2, sigma=1.0 + 1e-9) if is_ring else _eigenvalues(matrix, 2, which="LA")
    return np.concatenate([_eigenvalues(matrix, 1, which="SA"), top])


def _eigenvalues(matrix: Any, count: int, **how: Any) -> npt.NDArray[np.float64]:
    start = np.random.default_rng(0).standard_normal(_size(matrix))  # a fixed start gives a fixed answer
    found: Any = eigsh(matrix, k=count, return_eigenvectors=False, v0=start, **how)
    return np.sort(np.asarray(found, np.float64))


def _size(matrix: Any) -> int:
    return int(matrix.shape[0])


def _check(kind: str, nodes: int, degree: int, rewired: float) -> None:
    kind_named(kind)
    if nodes < 1:
        raise Stop(f"a topology needs at least one peer, not {nodes}")
    if degree < 2 or (kind == "small-world" and degree % 2):
        raise Stop(f"a {kind} of degree {degree} cannot be made: at least 2, and even for a small world")
    if kind == "expander" and nodes > degree + 1 and nodes * degree % 2:
        raise Stop(f"{nodes} peers of degree {degree} each leave half an edge: make one of the two even")
    if not 0.0 <= rewired <= 1.0:
        raise Stop(f"the share of rewired edges is from 0 to 1, not {rewired}")
