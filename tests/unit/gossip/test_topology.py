"""Graphs without a star: what every mixing matrix must keep, and what each kind promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.protocol.errors import Stop
from benchmarks.gossip.topology import KINDS, Kind, Topology, make_topology, seat_peers
from tests.examples import examples

RANDOM: tuple[Kind, ...] = ("expander", "small-world")


@settings(max_examples=examples(40))
@given(st.sampled_from(KINDS), st.integers(1, 60), st.integers(0, 50))
def test_mixing_keeps_the_mean_and_never_amplifies(kind: Kind, nodes: int, seed: int) -> None:
    matrix = make_topology(kind, nodes, seed=seed).mixing_matrix().toarray()
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(matrix.sum(axis=0), 1)
    assert (matrix >= 0).all()
    assert (matrix.diagonal() > 0).all()  # else a bipartite graph would swap for ever


@settings(max_examples=examples(40))
@given(st.sampled_from(KINDS), st.integers(2, 60), st.integers(0, 50))
def test_every_graph_is_connected_and_undirected(kind: Kind, nodes: int, seed: int) -> None:
    graph = make_topology(kind, nodes, seed=seed)
    assert all(i in graph.neighbours[j] and i != j for i in range(nodes) for j in graph.neighbours[i])
    assert graph.spectral_gap() > 1e-6  # 0 for two components


def test_gap_of_a_ring_is_that_of_the_closed_form() -> None:
    for nodes in (16, 200, 3_000):  # dense, and both ways of computing only the largest
        expected = 2 / 3 * (1 - math.cos(2 * math.pi / nodes))
        assert make_topology("ring", nodes).spectral_gap() == pytest.approx(expected, rel=1e-4)


def test_complete_graph_agrees_at_once() -> None:
    assert make_topology("complete", 9).spectral_gap() == pytest.approx(1)
    assert make_topology("ring", 1).spectral_gap() == 1


def test_large_expander_has_the_gap_that_is_best_possible_for_its_degree() -> None:
    graph = make_topology("expander", 2_000, degree=4, seed=3)
    ramanujan = 1 - (1 + 2 * math.sqrt(3)) / 5  # Metropolis-Hastings weights of 1/5, second eigenvalue 2·sqrt(d - 1)
    assert graph.spectral_gap() == pytest.approx(ramanujan, rel=0.05)
    assert all(len(around) == 4 for around in graph.neighbours)


def test_long_edges_make_a_small_world_mix_faster_than_a_ring() -> None:
    assert make_topology("small-world", 200).spectral_gap() > 10 * make_topology("ring", 200).spectral_gap()


def test_synchronous_rounds_shrink_disagreement_as_the_gap_says() -> None:
    graph = make_topology("expander", 64, seed=1)
    state = np.random.default_rng(0).standard_normal(64)
    state -= state.mean()
    mixed = state
    for _ in range(20):
        mixed = graph.mixing_matrix() @ mixed
    assert np.linalg.norm(mixed) <= np.linalg.norm(state) * (1 - graph.spectral_gap()) ** 20


@pytest.mark.parametrize("kind", RANDOM)
def test_same_seed_gives_everybody_the_same_graph(kind: Kind) -> None:
    assert make_topology(kind, 40, seed=5) == make_topology(kind, 40, seed=5)
    assert make_topology(kind, 40, seed=5) != make_topology(kind, 40, seed=6)


def test_too_few_peers_for_a_degree_are_all_neighbours() -> None:
    assert make_topology("expander", 4, degree=6).neighbours == make_topology("complete", 4).neighbours


def test_weights_follow_from_degrees_alone() -> None:
    path = Topology("ring", ((1,), (0, 2), (1,)))
    assert path.weights == ((1 / 3,), (1 / 3, 1 / 3), (1 / 3,))


def test_seats_depend_on_seed_and_members_not_on_their_order() -> None:
    members = [f"0x{number:040x}" for number in range(30)]
    assert seat_peers(members, b"seed") == seat_peers(members[::-1], b"seed")
    assert seat_peers(members, b"seed") != seat_peers(members, b"other")
    assert sorted(seat_peers(members, b"seed")) == members
    with pytest.raises(ValueError, match="one seat"):
        seat_peers(["a", "a"], b"")


@pytest.mark.parametrize(
    ("kind", "nodes", "options", "why"),
    [
        ("star", 5, {}, "no topology is named 'star'"),
        ("ring", 0, {}, "at least one peer"),
        ("expander", 9, {"degree": 3}, "half an edge"),
        ("small-world", 9, {"degree": 3}, "even for a small world"),
        ("expander", 9, {"degree": 1}, "degree 1 cannot"),
        ("small-world", 9, {"rewired": 1.5}, "from 0 to 1"),
    ],
)
def test_impossible_graph_stops(kind: Kind, nodes: int, options: dict[str, float], why: str) -> None:
    with pytest.raises(Stop, match=why):
        make_topology(kind, nodes, **options)  # pyright: ignore[reportArgumentType]
