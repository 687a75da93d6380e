"""Leader's server and its client: who is served, what is checked, and what is said when something is wrong."""

import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.types import Root, Seed
from assay_trainer.group.client import LeaderClient
from assay_trainer.group.offer import Offer, Stack, parse_offer
from assay_trainer.group.secret import NONCE_HEADER, REQUEST_MAC_HEADER, make_secret, read_secret, request_mac
from assay_trainer.group.server import Board, LeaderServer, parse_place

SECRET = b"s" * 64
ROLLOUTS = b"rows" * 100
LIMITS = BundleLimits(2**20)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def server(board: Board) -> Iterator[LeaderServer]:
    server = LeaderServer("127.0.0.1", 0, SECRET, board)
    yield server
    server.close()


@pytest.fixture
def client(server: LeaderServer) -> LeaderClient:
    return LeaderClient(f"http://127.0.0.1:{server.port}", SECRET)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    folder = tmp_path / "bundle"
    (folder / "weights").mkdir(parents=True)
    (folder / "policy.json").write_bytes(b"{}")
    (folder / "weights" / "0.safetensors").write_bytes(bytes(3_000))
    return build_bundle(folder, BundleKind.POLICY, {})


def offer_of(root: Root, stack: Stack | None = None) -> Offer:
    return Offer("ab" * 16, 3, Seed(bytes(32)), root, root, 30_000, stack)


def stack_of(data: bytes) -> Stack:
    return Stack(len(data), hashlib.sha256(data).digest(), "http://127.0.0.1:9000")


def shown(board: Board, manifest: Manifest, tmp_path: Path, data: bytes = ROLLOUTS) -> Offer:
    (tmp_path / "rollouts").write_bytes(data)
    offer = offer_of(manifest.root, stack_of(ROLLOUTS))
    board.show(offer, {manifest.root: tmp_path / "bundle"}, tmp_path / "rollouts")
    return offer


# -- what goes well


def test_assistant_gets_offer_rollouts_and_bundle(
    board: Board, client: LeaderClient, manifest: Manifest, tmp_path: Path
) -> None:
    assert client.offer() is None
    offer = shown(board, manifest, tmp_path)
    assert client.offer() == offer
    assert offer.stack is not None
    assert client.rollouts(offer.submission, offer.stack, 1_000) == ROLLOUTS
    place = client.fetch(manifest.root, tmp_path / "cache", LIMITS)
    assert (place / "weights" / "0.safetensors").read_bytes() == bytes(3_000)
    assert client.own_host() == "127.0.0.1"


def test_bundle_that_was_fetched_is_not_fetched_again_unless_the_disk_harmed_it(
    board: Board, client: LeaderClient, manifest: Manifest, tmp_path: Path
) -> None:
    shown(board, manifest, tmp_path)
    place = client.fetch(manifest.root, tmp_path / "cache", LIMITS)
    board.show(offer_of(manifest.root), {})
    assert client.fetch(manifest.root, tmp_path / "cache", LIMITS) == place
    (place / "policy.json").write_bytes(b"[]")
    with pytest.raises(Unavailable, match="404"):
        client.fetch(manifest.root, tmp_path / "cache", LIMITS)
    assert list((tmp_path / "cache").iterdir()) == []


def test_leader_waits_for_assistants_that_asked_lately_until_they_are_ready(manifest: Manifest) -> None:
    now = 100.0
    board = Board(clock=lambda: now)
    board.offer_for("a" * 32)
    board.offer_for("b" * 32)
    board.show(offer_of(manifest.root), {})
    assert board.awaited() == 2
    assert board.note_ready("ab" * 16, "a" * 32)
    assert not board.note_ready("cd" * 16, "b" * 32)  # of another submission
    assert board.awaited() == 1
    now += 10
    assert board.awaited() == 0


# -- who is not served


def get(server: LeaderServer, path: str, secret: bytes = SECRET, nonce: str = "n") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers={NONCE_HEADER: nonce, REQUEST_MAC_HEADER: request_mac(secret, nonce, path)})
    status = connection.getresponse().status
    connection.close()
    return status


def test_anyone_who_does_not_know_the_secret_gets_nothing(server: LeaderServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/offer/" + "a" * 32)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"")
    connection.close()
    with pytest.raises(Stop, match="does not know our secret"):
        LeaderClient(f"http://127.0.0.1:{server.port}", b"t" * 64).offer()


def test_leader_that_does_not_know_the_secret_is_not_obeyed() -> None:
    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(offer_of(Root(bytes(32))).to_bytes())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Impostor) as impostor:
        threading.Thread(target=impostor.handle_request, daemon=True).start()
        with pytest.raises(Stop, match="does not know the group's secret"):
            LeaderClient(f"http://127.0.0.1:{impostor.server_port}", SECRET).offer()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/offer/short",
        "/rollouts/" + "cd" * 16,
        "/bundles/" + "00" * 32 + "/manifest.json",
        "/bundles/ROOT/policy.jsonx",
        "/bundles/ROOT/../rollouts",
        "/bundles/ROOT//etc/passwd",
    ],
)
def test_only_what_is_shown_can_be_fetched(
    server: LeaderServer, board: Board, manifest: Manifest, tmp_path: Path, path: str
) -> None:
    shown(board, manifest, tmp_path)
    assert get(server, path.replace("ROOT", manifest.root.hex())) == 404


def test_submission_that_is_over_is_not_offered(
    board: Board, client: LeaderClient, manifest: Manifest, tmp_path: Path
) -> None:
    offer = shown(board, manifest, tmp_path)
    board.clear()
    assert client.offer() is None
    with pytest.raises(Unavailable, match="404"):
        client.ready(offer.submission)


# -- what an assistant refuses


def test_rollouts_beyond_the_task_s_limit_are_not_read(client: LeaderClient) -> None:
    with pytest.raises(Malformed, match="exceed the task's 10"):
        client.rollouts("ab" * 16, stack_of(ROLLOUTS), 10)


@pytest.mark.parametrize("data", [b"rowz" * 100, b"rows" * 1_000, b""], ids=["other", "longer", "empty"])
def test_rollouts_that_differ_from_the_offer_are_refused(
    board: Board, client: LeaderClient, manifest: Manifest, tmp_path: Path, data: bytes
) -> None:
    offer = shown(board, manifest, tmp_path, data)
    assert offer.stack is not None
    with pytest.raises(Malformed, match=r"differ from its offer|more than the 400 bytes"):
        client.rollouts(offer.submission, offer.stack, 1_000)


def test_bundle_that_differs_from_its_root_is_refused_and_not_kept(
    board: Board, client: LeaderClient, manifest: Manifest, tmp_path: Path
) -> None:
    shown(board, manifest, tmp_path)
    (tmp_path / "bundle" / "policy.json").write_bytes(b"[]")
    with pytest.raises(Malformed, match=r"policy\.json"):
        client.fetch(manifest.root, tmp_path / "cache", LIMITS)
    assert list((tmp_path / "cache").iterdir()) == []


def test_leader_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = LeaderClient(f"http://127.0.0.1:{port}", SECRET, timeout_s=1)
    with pytest.raises(Unavailable, match="does not answer"):
        client.offer()
    with pytest.raises(Unavailable, match="no leader at"):
        client.own_host()


@pytest.mark.parametrize("url", ["https://host:1", "http://host", "host:1", "http://host:x", "http://host:1/path"])
def test_url_that_is_no_leader_s_is_told(url: str) -> None:
    with pytest.raises(Stop, match="write http://HOST:PORT"):
        LeaderClient(url, SECRET)


# -- the offer


def test_offers_are_read_as_they_were_written(manifest: Manifest) -> None:
    for offer in (offer_of(manifest.root), offer_of(manifest.root, stack_of(ROLLOUTS))):
        assert parse_offer(offer.to_bytes()) == offer
    assert parse_offer(b"") is None


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b'"epoch":3', b'"epoch":-3', "integers from 0"),
        (b'"epoch":3', b'"epoch":true', "integers from 0"),
        (b'"epoch":3', b'"epoch": 3', "canonical"),
        (b'"epoch":3', b'"epocz":3', "exactly"),
        (b'"submission":"ab', b'"submission":"AB', "32 lower-case"),
        (b'"seed":"00', b'"seed":"0', "64 lower-case"),
        (b'"lighthouse":"http:', b'"lighthouse":"file:', "lighthouse must be"),
        (b'"lighthouse":"http://127.0.0.1:9000"', b'"lighthouse":null', "lighthouse must be"),
        (b'"rollouts":{"bytes":400,', b'"rollouts":{', "bytes and sha256"),
    ],
)
def test_offer_that_is_none_is_refused(before: bytes, after: bytes, why: str) -> None:
    data = offer_of(Root(bytes(32)), stack_of(ROLLOUTS)).to_bytes()
    assert before in data
    with pytest.raises(Malformed, match=why):
        parse_offer(data.replace(before, after))


def test_long_offer_is_not_parsed() -> None:
    long = replace(offer_of(Root(bytes(32))), submission="ab" * 5_000)
    with pytest.raises(Malformed, match="bytes exceed"):
        parse_offer(long.to_bytes())


# -- secret and place


def test_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "group.secret"
    made = make_secret(path)
    assert len(made) == 64 and make_secret(path) == made == read_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "group.secret"
    make_secret(path)
    path.chmod(0o644)
    with pytest.raises(Stop, match="chmod 600"):
        read_secret(path)


def test_secret_that_is_missing_or_short_is_told(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="copy the file that the leader uses"):
        read_secret(tmp_path / "none")
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(Stop, match="at least 32 characters"):
        read_secret(tmp_path / "short")


@pytest.mark.parametrize("text", ["", "port", ":8100", "host:", "host:port", "host:99999", "0.0.0.0:1", "[::]:1"])
def test_place_that_is_none_is_told(text: str) -> None:
    with pytest.raises(Stop, match=r"HOST:PORT|no address that assistants could reach"):
        parse_place(text)


def test_port_alone_is_one_of_this_machine() -> None:
    assert parse_place("8100") == ("127.0.0.1", 8100)
    assert parse_place("10.0.0.5:8100") == ("10.0.0.5", 8100)


def test_port_that_is_taken_is_told(server: LeaderServer, board: Board) -> None:
    with pytest.raises(Stop, match="cannot listen on"):
        LeaderServer("127.0.0.1", server.port, SECRET, board)
