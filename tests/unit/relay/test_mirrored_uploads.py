"""Relays that mirror each other: one upload reaches all of them, one posted signature is read on all of them."""

import time

import httpx
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import open_bundle
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.messages import HOPS_HEADER
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartLiar, StartRelay
from tests.unit.relay.relays import LIMITS, Members, RunningRelay, fetch

TASK, EPOCH = TaskId(1), Epoch(2)
BOARD = f"/v1/tasks/{TASK}/epochs/{EPOCH}/signatures"


def ring(start_relay: StartRelay, *, follow_s: float) -> list[RunningRelay]:
    """Three relays, each of which mirrors the two others."""
    ports = [free_port() for _ in range(3)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    return [
        start_relay(
            f"relay-{place}", port=port, upstreams=[url for url in urls if url != urls[place]], follow_s=follow_s
        )
        for place, port in enumerate(ports)
    ]


def signed(members: Members, key: int, root: bytes = bytes(32)) -> PolicySignature:
    operator = Address(f"0x{key:040x}")
    members.signed.add((TASK, EPOCH, operator, Root(root), bytes([key]) * 65))
    return PolicySignature(operator, Root(root), bytes([key]) * 65)


def test_one_upload_reaches_two_relays_before_it_counts_as_published(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    home, neighbour, _ = ring(start_relay, follow_s=0)
    directory, manifest = make_bundle()
    make_client(home, neighbour, cache="trainer", upload_to="first").publish(directory, manifest, trainer)

    assert neighbour.count("PUT") == 0
    home.stop()
    assert open_bundle(fetch(make_client(neighbour), manifest), LIMITS) == manifest


def test_all_relays_of_a_ring_get_what_one_was_given(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    home, neighbour, far = ring(start_relay, follow_s=0.05)
    directory, manifest = make_bundle(file=1_000)
    make_client(home, neighbour, cache="trainer", upload_to="first").publish(directory, manifest, trainer)
    until, client = time.monotonic() + 10, make_client(far)
    while not client.has(manifest.root):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_relay_that_does_not_mirror_gets_an_upload_of_its_own(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    home, stranger = start_relay("home"), start_relay("stranger")
    directory, manifest = make_bundle(file=1_000)
    client = make_client(home, stranger, cache="trainer", upload_to="first", mirrored_within_s=0.1)
    client.publish(directory, manifest, trainer)
    home.stop()
    assert open_bundle(fetch(make_client(stranger), manifest), LIMITS) == manifest


def test_uploads_go_to_the_next_relay_when_the_first_is_dead(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    relay = start_relay("next")
    directory, manifest = make_bundle(file=1_000)
    client = make_client(f"http://127.0.0.1:{free_port()}", relay, cache="trainer", upload_to="first")
    client.publish(directory, manifest, trainer)
    assert make_client(relay).has(manifest.root)


def test_signature_posted_to_one_relay_is_read_on_all(
    start_relay: StartRelay, make_client: MakeClient, members: Members
) -> None:
    relays = ring(start_relay, follow_s=0)
    clients = [make_client(relay, cache=f"verifier-{place}") for place, relay in enumerate(relays)]
    posted = [signed(members, key) for key in (1, 2, 3)]
    for client, each in zip(clients, posted, strict=True):
        client.post_signature(TASK, EPOCH, each)
    for client in clients:
        assert_reads(client, posted)
    relays[1].stop()
    assert_reads(clients[0], posted)


def assert_reads(client: RelayClient, posted: list[PolicySignature]) -> None:
    """Within a moment: what a relay has just asked for it does not ask for again at once."""
    until = time.monotonic() + 10
    while client.signatures(TASK, EPOCH) != posted:
        assert time.monotonic() < until, client.signatures(TASK, EPOCH)
        time.sleep(0.1)


def test_relays_that_mirror_each_other_do_not_ask_for_boards_in_circles(
    start_relay: StartRelay, http: httpx.Client
) -> None:
    relays = ring(start_relay, follow_s=0)
    for relay in relays:
        http.get(relay.url + BOARD)
    assert sum(relay.count(f"GET {BOARD}") for relay in relays) <= 3 + 6


def test_board_is_not_asked_for_on_behalf_of_a_request_from_too_far(
    start_relay: StartRelay, http: httpx.Client, members: Members, make_client: MakeClient
) -> None:
    origin = start_relay("origin")
    mirror = start_relay("mirror", upstreams=[origin.url], follow_s=0)
    make_client(origin).post_signature(TASK, EPOCH, signed(members, 1))
    for hops in ("4", "99", "-1", "x"):
        assert http.get(mirror.url + BOARD, headers={HOPS_HEADER: hops}).json() == {"signatures": []}


def test_mirror_takes_no_signature_that_it_could_not_check(
    start_relay: StartRelay, start_liar: StartLiar, http: httpx.Client, members: Members, make_client: MakeClient
) -> None:
    genuine = signed(members, 1)
    origin = start_relay("origin")
    make_client(origin).post_signature(TASK, EPOCH, genuine)
    forged = b'{"signatures": [{"operator": "0x%040x", "policy_root": "%s", "signature": "%s"}]}' % (
        2,
        b"00" * 32,
        b"00" * 65,
    )
    liars = [start_liar({BOARD: forged}), start_liar({BOARD: b"no board"})]
    mirror = start_relay("mirror", upstreams=[*(liar.url for liar in liars), origin.url], follow_s=0)
    found = http.get(mirror.url + BOARD).json()["signatures"]
    assert [each["operator"] for each in found] == [genuine.operator]
    assert liars[0].count("GET") == liars[1].count("GET") == 1
