"""How a local network hangs together: nobody depends on one relay, and any two parties still meet when one is dead."""

import sys
from itertools import combinations
from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.carriers import Carrier, relay_places, relay_url, ring, start_bucket
from assay_protocol.devnet.processes import Children


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_a_party_uploads_to_its_relay_and_fetches_from_a_neighbour_too(count: int) -> None:
    urls = [relay_url(port) for port in range(9_000, 9_000 + count)]
    places = relay_places(urls)
    for place, (env, neighbours) in enumerate(zip(places, ring(count), strict=True)):
        own, other = env["ASSAY_RELAYS"].split()
        assert own == urls[place]
        assert other in {urls[each] for each in neighbours}
        assert env["ASSAY_UPLOAD_TO"] == "first"
    assert {env["ASSAY_RELAYS"].split()[1] for env in places} == set(urls)  # none is everybody's second


def test_three_relays_all_mirror_each_other_so_that_any_one_may_die() -> None:
    for dead in range(3):
        alive = [place for place in range(3) if place != dead]
        assert all(other in ring(3)[place] for place, other in combinations(alive, 2))


@pytest.mark.parametrize("count", [2, 4, 7])
def test_neighbours_mirror_each_other_and_nobody_mirrors_itself(count: int) -> None:
    neighbours = ring(count)
    for place, around in enumerate(neighbours):
        assert place not in around and len(set(around)) == len(around) == min(2, count - 1)
        assert all(place in neighbours[other] for other in around)


def test_a_single_relay_has_nobody_to_mirror() -> None:
    assert ring(1) == ((),)
    assert relay_places(["http://one"]) == ({"ASSAY_RELAYS": "http://one", "ASSAY_UPLOAD_TO": "first"},)


def test_parties_take_places_in_turn() -> None:
    carrier = Carrier("relay", (), "", ({"ASSAY_RELAYS": "a"}, {"ASSAY_RELAYS": "b"}))
    assert [carrier.env(seat)["ASSAY_RELAYS"] for seat in range(3)] == ["a", "b", "a"]
    assert carrier.env(0)["ASSAY_ENGINE"] == "relay"


def test_a_bucket_that_was_chosen_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_S3_BUCKET", "ours")
    with Children(tmp_path / "logs") as children:
        carrier = start_bucket(children)
        children.check()
    assert (carrier.engine, carrier.servers, carrier.env(0)) == ("s3", (), {"ASSAY_ENGINE": "s3"})


def test_without_a_bucket_or_a_local_server_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_S3_BUCKET", raising=False)
    monkeypatch.setitem(sys.modules, "moto", None)  # as if it were not installed
    with Children(tmp_path / "logs") as children, pytest.raises(Stop, match="ASSAY_S3_BUCKET"):
        start_bucket(children)
