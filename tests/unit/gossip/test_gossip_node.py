"""A peer that mixes what has arrived: what it takes from whom, and what a hostile neighbour can do to it."""

import numpy as np
import pytest

from assay_core.protocol.errors import Malformed, Rejected
from benchmarks.gossip.node import GossipNode, Message, Seat, Vector
from benchmarks.gossip.topology import make_topology


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)


def node(clip_norm: float | None = None, fanout: int | None = None, is_new: bool = False) -> GossipNode:
    return GossipNode(
        Seat(0), (1, 2, 3), (0.25, 0.25, 0.25), vector(0, 0), clip_norm=clip_norm, fanout=fanout, is_new=is_new
    )


def news(sender: int, *values: float, round_: int = 0) -> Message:
    return Message(Seat(sender), round_, vector(*values))


def test_it_mixes_what_has_arrived_and_waits_for_nobody() -> None:
    peer = node()
    peer.receive(news(1, 4, 0))
    assert peer.mix() == 1
    assert peer.state_D.tolist() == [1, 0]
    assert peer.mix() == 0  # nothing new, nothing changed
    assert peer.state_D.tolist() == [1, 0]
    assert peer.round == 2


def test_order_of_arrival_does_not_matter() -> None:
    states: list[list[float]] = []
    for order in ([1, 2, 3], [3, 2, 1]):
        peer = node()
        for sender in order:
            peer.receive(news(sender, sender * 0.1, 1 / sender))
        peer.mix()
        states.append(peer.state_D.tolist())
    assert states[0] == states[1]


def test_of_a_neighbours_messages_the_newest_counts() -> None:
    peer = node()
    assert peer.receive(news(1, 8, 0, round_=5))
    assert not peer.receive(news(1, 100, 0, round_=4))  # overtaken
    assert not peer.receive(news(1, 100, 0, round_=5))  # repeated
    assert peer.receive(news(1, 4, 0, round_=6))
    peer.mix()
    assert peer.state_D.tolist() == [1, 0]
    assert not peer.receive(news(1, 100, 0, round_=6))  # replayed after it was mixed


def test_stranger_is_not_mixed() -> None:
    with pytest.raises(Rejected, match="not a neighbour"):
        node().receive(news(7, 1, 1))


@pytest.mark.parametrize("values", [(1.0,), (1.0, float("nan")), (float("inf"), 0.0), (1e30, 0.0)])
def test_impossible_state_is_refused_and_leaves_nothing(values: tuple[float, ...]) -> None:
    peer = node()
    with pytest.raises(Malformed):
        peer.receive(news(1, *values))
    assert peer.mix() == 0


def test_clipping_bounds_what_a_hostile_neighbour_moves() -> None:
    peer = node(clip_norm=1.0)
    peer.receive(news(1, 1e19, -1e19))
    peer.mix()
    assert np.linalg.norm(peer.state_D) == pytest.approx(0.25)  # its weight times the limit, whatever it sends


def test_own_update_is_contributed() -> None:
    peer = node()
    peer.contribute(vector(1, 2))
    assert peer.message().state_D.tolist() == [1, 2]


def test_message_is_a_copy_of_the_state_as_sent() -> None:
    peer = node()
    message = peer.message()
    peer.contribute(vector(1, 1))
    assert message.state_D.tolist() == [0, 0]


def test_new_peer_takes_over_what_its_neighbours_have() -> None:
    peer = node(is_new=True)
    peer.mix()  # nobody has told it anything yet
    peer.receive(news(1, 2, 4))
    peer.receive(news(2, 4, 8))
    peer.mix()
    assert peer.state_D.tolist() == [3, 6]
    peer.receive(news(1, 7, 6, round_=1))
    peer.mix()
    assert peer.state_D.tolist() == [4, 6]  # from now on it weighs its own as others do


def test_returning_peer_forgets_what_waited_and_keeps_its_state() -> None:
    peer = node()
    peer.contribute(vector(1, 1))
    peer.receive(news(1, 9, 9))
    peer.restart()
    assert peer.mix() == 0
    assert peer.state_D.tolist() == [1, 1]
    peer.restart(vector(0, 0))
    peer.receive(news(2, 6, 6))
    peer.mix()
    assert peer.state_D.tolist() == [6, 6]


def due(peer: GossipNode, count: int | None = None) -> list[int]:
    found: list[int] = []
    while (count is None or len(found) < count) and (seat := peer.next_due()) is not None:
        found.append(seat)
    return found


def test_those_not_reached_in_one_round_come_first_in_the_next() -> None:
    peer = node()
    peer.mix()
    assert due(peer, 1) == [1]
    peer.mix()
    assert due(peer) == [2, 3, 1]
    assert peer.next_due() is None


def test_fanout_takes_neighbours_in_turn() -> None:
    peer = node(fanout=2)
    rounds: list[list[int]] = []
    for _ in range(3):
        peer.mix()
        rounds.append(due(peer))
    assert rounds == [[1, 2], [3, 1], [2, 3]]


def test_a_synchronous_round_of_all_is_one_product_with_the_mixing_matrix() -> None:
    graph = make_topology("small-world", 20, seed=2)
    states = np.random.default_rng(0).standard_normal((20, 5))
    expected = graph.mixing_matrix() @ states
    peers = [GossipNode(Seat(i), graph.neighbours[i], graph.weights[i], states[i].copy()) for i in range(20)]
    messages = [peer.message() for peer in peers]
    for peer in peers:
        for neighbour in graph.neighbours[peer.seat]:
            peer.receive(messages[neighbour])
        peer.mix()
    assert np.allclose([peer.state_D for peer in peers], expected)
