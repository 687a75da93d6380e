"""The relay against people who do not use our client."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, SHARD_BYTES, BundleKind, Manifest
from assay_core.protocol.encoding import Json, canonical_json
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.server import RelaySettings, serve
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import CHAIN_ID, Members, RunningRelay, upload_headers


class Uploader:
    """Speaks to a relay without a client's good manners."""

    def __init__(self, http: httpx.Client, relay: RunningRelay, manifest: Manifest, headers: dict[str, str]) -> None:
        self.http, self.relay, self.manifest, self.headers = http, relay, manifest, headers

    def put_manifest(self, data: bytes | None = None) -> httpx.Response:
        url = f"{self.relay.url}/v1/manifests/{self.manifest.root.hex()}"
        return self.http.put(url, content=data or self.manifest.to_bytes(), headers=self.headers)

    def put_shard(self, digest: bytes, data: bytes) -> httpx.Response:
        url = f"{self.relay.url}/v1/shards/{digest.hex()}"
        return self.http.put(url, content=data, headers=self.headers)

    def get_manifest(self) -> httpx.Response:
        return self.http.get(f"{self.relay.url}/v1/manifests/{self.manifest.root.hex()}")


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    return start_relay()


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> tuple[Path, Manifest]:
    return make_bundle(file=1_000, other=2_000)


@pytest.fixture
def uploader(http: httpx.Client, relay: RunningRelay, bundle: tuple[Path, Manifest], trainer: LocalAccount) -> Uploader:
    return Uploader(http, relay, bundle[1], upload_headers(trainer, bundle[1].root))


def contents(directory: Path) -> set[Path]:
    return {path for part in ("incoming", "shards", "manifests") for path in (directory / part).rglob("*")}


# ------------------------------------------------------------------------------------------------ who may upload


def test_unsigned_upload_is_refused(uploader: Uploader) -> None:
    uploader.headers = {}
    assert uploader.put_manifest().status_code == 401
    assert not contents(uploader.relay.directory)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Assay-Signature", "00" * 65),
        ("X-Assay-Signature", "ff" * 65),
        ("X-Assay-Signature", "00" * 64),
        ("X-Assay-Signature", "zz" * 65),
        ("X-Assay-Expires", "soon"),
        ("X-Assay-Expires", "-1"),
        ("X-Assay-Expires", "9" * 40),
    ],
)
def test_signature_that_is_none_is_refused(uploader: Uploader, name: str, value: str) -> None:
    uploader.headers[name] = value
    assert uploader.put_manifest().status_code in (401, 403)


def test_expired_signature_is_refused(uploader: Uploader, trainer: LocalAccount) -> None:
    uploader.headers = upload_headers(trainer, uploader.manifest.root, expires_in_s=-1)
    assert uploader.put_manifest().status_code == 401


def test_signature_that_is_valid_for_years_is_refused(uploader: Uploader, trainer: LocalAccount) -> None:
    uploader.headers = upload_headers(trainer, uploader.manifest.root, expires_in_s=10**8)
    assert uploader.put_manifest().status_code == 401


def test_signature_with_a_later_expiry_written_over_it_is_refused(uploader: Uploader) -> None:
    uploader.headers["X-Assay-Expires"] = str(int(uploader.headers["X-Assay-Expires"]) + 1)
    assert uploader.put_manifest().status_code == 403  # some key, nobody's we know


def test_signature_for_another_chain_is_refused(uploader: Uploader, trainer: LocalAccount) -> None:
    uploader.headers = upload_headers(trainer, uploader.manifest.root, chain_id=CHAIN_ID + 1)
    assert uploader.put_manifest().status_code == 403


def test_signature_replayed_for_another_bundle_is_refused(uploader: Uploader, make_bundle: MakeBundle) -> None:
    assert uploader.put_manifest().status_code == 200
    _, uploader.manifest = make_bundle("another", seed=1, file=10)
    assert uploader.put_manifest().status_code == 403


def test_upload_replayed_changes_nothing(uploader: Uploader, bundle: tuple[Path, Manifest]) -> None:
    first, again = uploader.put_manifest(), uploader.put_manifest()
    assert first.json() == again.json() and len(first.json()["missing"]) == 2


def test_outsider_is_refused_before_its_body_is_read(uploader: Uploader, outsider: LocalAccount) -> None:
    uploader.headers = upload_headers(outsider, uploader.manifest.root)
    assert uploader.put_manifest().status_code == 403
    assert not contents(uploader.relay.directory)


def test_chain_that_does_not_answer_is_nobodys_fault(uploader: Uploader, members: Members) -> None:
    members.is_down = True
    assert uploader.put_manifest().status_code == 503


# ------------------------------------------------------------------------------------------------- bad manifests


@pytest.mark.parametrize(
    ("of_file", "of_manifest"),
    [
        pytest.param({"name": "../escaped"}, {}, id="path escape"),
        pytest.param({"name": "other"}, {}, id="name twice"),
        pytest.param({"bytes": 2_000}, {}, id="another root"),
        pytest.param({"bytes": 10**15}, {}, id="impossibly large"),
        pytest.param({"shards": None}, {}, id="no shards"),
        pytest.param({}, {"kind": "poem"}, id="unknown kind"),
        pytest.param({}, {"extra": 1}, id="extra key"),
        pytest.param({}, {"fields": None}, id="no fields"),
    ],
)
def test_hostile_manifest_is_refused_and_not_stored(
    uploader: Uploader, of_file: dict[str, Json], of_manifest: dict[str, Json]
) -> None:
    value = json.loads(uploader.manifest.to_bytes()) | of_manifest
    value["files"][0] |= of_file
    answer = uploader.put_manifest(canonical_json(value))
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not contents(uploader.relay.directory)


@pytest.mark.parametrize("data", [b"\x00", b"{", b"[]", b"[" * 100_000, b'{"fields": {}}', b"\xff\xfe"])
def test_garbage_is_refused(uploader: Uploader, data: bytes) -> None:
    assert uploader.put_manifest(data).status_code == 400


def test_oversized_manifest_is_refused_unread(uploader: Uploader) -> None:
    assert uploader.put_manifest(b" " * (MAX_MANIFEST_BYTES + 1)).status_code == 413


def test_oversized_manifest_without_a_length_is_refused(uploader: Uploader) -> None:
    url = f"{uploader.relay.url}/v1/manifests/{uploader.manifest.root.hex()}"
    pieces = (b" " * 2**20 for _ in range(6))
    with suppress(httpx.TransportError):  # the relay may close the connection while we are still sending
        assert uploader.http.put(url, content=pieces, headers=uploader.headers).status_code == 413
    assert uploader.get_manifest().status_code == 404


@pytest.mark.parametrize("root", ["00", "zz" * 32, "A" * 64, "..%2f..%2fetc", "0" * 63 + "/"])
def test_root_that_is_none_is_refused(http: httpx.Client, relay: RunningRelay, root: str) -> None:
    for kind in ("manifests", "shards"):
        assert http.get(f"{relay.url}/v1/{kind}/{root}").status_code in (404, 422)


# ---------------------------------------------------------------------------------------------------- bad shards


def test_shard_needs_its_manifest_first(uploader: Uploader, bundle: tuple[Path, Manifest]) -> None:
    digest = uploader.manifest.entry("file").sha256
    assert uploader.put_shard(digest, (bundle[0] / "file").read_bytes()).status_code == 409


def test_shard_that_no_manifest_lists_is_refused(uploader: Uploader) -> None:
    uploader.put_manifest()
    assert uploader.put_shard(bytes(32), b"x").status_code == 409


@pytest.mark.parametrize("length", [0, 1, 999, 1_001, SHARD_BYTES, SHARD_BYTES + 1])
@pytest.mark.parametrize("is_announced", [True, False])
def test_shard_of_another_size_is_refused(uploader: Uploader, length: int, is_announced: bool) -> None:
    uploader.put_manifest()
    url = f"{uploader.relay.url}/v1/shards/{uploader.manifest.entry('file').sha256.hex()}"
    body = bytes(length) if is_announced else iter([bytes(length)])
    try:
        answer = uploader.http.put(url, content=body, headers=uploader.headers)
        assert answer.status_code in (400, 413)
    except httpx.TransportError:
        assert length > 1_000  # closed while we were still sending
    assert not list((uploader.relay.directory / "incoming").iterdir())
    assert uploader.get_manifest().status_code == 404


def test_shard_with_another_hash_is_refused(uploader: Uploader) -> None:
    uploader.put_manifest()
    answer = uploader.put_shard(uploader.manifest.entry("file").sha256, bytes(1_000))
    assert answer.status_code == 400 and "hash" in answer.json()["detail"]
    before = uploader.put_manifest().json()["missing"]
    assert len(before) == 2
    assert not list((uploader.relay.directory / "shards").rglob("*"))


def test_bundle_is_visible_only_when_it_is_whole(uploader: Uploader, bundle: tuple[Path, Manifest]) -> None:
    uploader.put_manifest()
    for file in ("file", "other"):
        assert uploader.get_manifest().status_code == 404
        digest = uploader.manifest.entry(file).sha256
        assert uploader.put_shard(digest, (bundle[0] / file).read_bytes()).status_code == 201
    assert uploader.get_manifest().content == uploader.manifest.to_bytes()
    assert uploader.put_manifest().json() == {"missing": []}


def test_bundle_without_files_is_whole_at_once(
    uploader: Uploader, trainer: LocalAccount, make_bundle: MakeBundle
) -> None:
    uploader.manifest = Manifest(BundleKind.TASK, {"only": "fields"}, ())
    uploader.headers = upload_headers(trainer, uploader.manifest.root)
    assert uploader.put_manifest().json() == {"missing": []}
    assert uploader.get_manifest().status_code == 200


def test_shards_are_served_by_range_and_remembered_by_hash(uploader: Uploader, bundle: tuple[Path, Manifest]) -> None:
    uploader.put_manifest()
    digest, data = uploader.manifest.entry("file").sha256, (bundle[0] / "file").read_bytes()
    uploader.put_shard(digest, data)
    url = f"{uploader.relay.url}/v1/shards/{digest.hex()}"

    part = uploader.http.get(url, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == data[10:20]
    assert part.headers["content-range"] == "bytes 10-19/1000"
    assert uploader.http.get(url, headers={"Range": "bytes=2000-"}).status_code == 416
    whole = uploader.http.get(url)
    assert whole.headers["etag"] == f'"{digest.hex()}"' and "immutable" in whole.headers["cache-control"]
    assert uploader.http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = uploader.http.head(url)
    assert head.headers["content-length"] == "1000" and not head.content


# --------------------------------------------------------------------------------------------- room and patience


def test_quota_is_per_payer_and_says_so(
    start_relay: StartRelay,
    http: httpx.Client,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
    outsider: LocalAccount,
    members: Members,
) -> None:
    relay = start_relay("small", quota_bytes=20_000)
    members.keys.add(Address(outsider.address))

    def upload(account: LocalAccount, number: int) -> httpx.Response:
        _, manifest = make_bundle(f"b{number}", seed=number, file=6_000)
        return Uploader(http, relay, manifest, upload_headers(account, manifest.root)).put_manifest()

    assert upload(trainer, 1).status_code == 200
    refused = upload(trainer, 2)
    assert refused.status_code == 413 and "quota" in refused.json()["detail"]
    assert upload(trainer, 1).status_code == 200, "what was accepted may still be finished"
    assert upload(outsider, 2).status_code == 200


def test_full_disk_refuses_uploads(
    start_relay: StartRelay, http: httpx.Client, bundle: tuple[Path, Manifest], trainer: LocalAccount
) -> None:
    relay = start_relay("full", min_free_bytes=2**60)
    uploader = Uploader(http, relay, bundle[1], upload_headers(trainer, bundle[1].root))
    assert uploader.put_manifest().status_code == 507


def open_upload(uploader: Uploader, announced: int, body: bytes) -> socket.socket:
    """An upload that is begun and not ended."""
    stranger = socket.create_connection(("127.0.0.1", int(uploader.relay.url.rsplit(":", 1)[1])), timeout=8)
    head = [
        f"PUT /v1/manifests/{uploader.manifest.root.hex()} HTTP/1.1",
        "Host: relay",
        f"Content-Length: {announced}",
        *(f"{name}: {value}" for name, value in uploader.headers.items()),
    ]
    stranger.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return stranger


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "a byte now and then"])
def test_stalled_upload_is_ended(
    start_relay: StartRelay, http: httpx.Client, bundle: tuple[Path, Manifest], trainer: LocalAccount, drip: bool
) -> None:
    relay = start_relay("impatient", idle_s=0.4)
    uploader = Uploader(http, relay, bundle[1], upload_headers(trainer, bundle[1].root))
    with open_upload(uploader, 1_000_000, b"{") as stranger:
        stranger.settimeout(0.1)
        answer, until = b"", time.monotonic() + 6
        while not answer and time.monotonic() < until:
            try:
                answer = stranger.recv(1_000)
            except TimeoutError:
                if drip:
                    stranger.sendall(b" ")
    assert answer.startswith(b"HTTP/1.1 408")
    assert http.get(f"{relay.url}/v1/health").json()["status"] == "ok"


@pytest.mark.parametrize("sent", [b"", b"GET /v1/hea", b"GET /v1/health HTTP/1.1\r\nHost: relay\r\n\r\nGET /v1"])
def test_connection_without_a_whole_request_is_closed(start_relay: StartRelay, sent: bytes) -> None:
    relay = start_relay("impatient", idle_s=1)
    with socket.create_connection(("127.0.0.1", int(relay.url.rsplit(":", 1)[1])), timeout=5) as stranger:
        stranger.sendall(sent)
        while stranger.recv(10_000):  # ends when the relay closes, fails when it does not in time
            pass


HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: relay\r\n"
CHUNKED = b"PUT /v1/manifests/" + b"0" * 64 + b" HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        pytest.param(HEALTH + b"A: ", b"a" * 1_024, id="a header without end"),
        pytest.param(HEALTH, b"A: b\r\n" * 128, id="headers without end"),
        pytest.param(b"GET /", b"a" * 1_024, id="an address without end"),
        pytest.param(CHUNKED + b"1;a=", b"a" * 1_024, id="an extension without end"),
        pytest.param(CHUNKED + b"0\r\n", b"A: b\r\n" * 128, id="trailers without end"),
    ],
)
def test_what_has_no_end_is_cut_off(start_relay: StartRelay, begin: bytes, piece: bytes) -> None:
    relay = start_relay("strict")
    with socket.create_connection(("127.0.0.1", int(relay.url.rsplit(":", 1)[1])), timeout=5) as stranger:
        stranger.sendall(begin)
        with pytest.raises(ConnectionError):
            for _ in range(16_384):
                stranger.sendall(piece)


def test_requests_before_their_turn_are_answered_in_order_and_not_queued_without_end(
    start_relay: StartRelay, make_client: MakeClient, bundle: tuple[Path, Manifest], trainer: LocalAccount
) -> None:
    relay = start_relay("patient")
    make_client(relay).publish(*bundle, trainer)
    entry = bundle[1].files[0]
    shard = f"GET /v1/shards/{entry.shards[0].hex()} HTTP/1.1\r\nHost: relay\r\n\r\n".encode()
    last = HEALTH + b"Connection: close\r\n\r\n"
    address = ("127.0.0.1", int(relay.url.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=5) as stranger:
        stranger.sendall(4 * shard + last)
        answer = b"".join(iter(lambda: stranger.recv(2**20), b""))
    content = (bundle[0] / entry.name).read_bytes()[: entry.shard_bytes(0)]
    assert answer.count(content) == 4 and answer.count(b"HTTP/1.1 200") == 5 and answer.endswith(b"}")

    with socket.create_connection(address, timeout=5) as flood:
        flood.sendall(500 * (HEALTH + b"\r\n"))
        answer = b"".join(iter(lambda: flood.recv(2**20), b""))
    assert answer.count(b"HTTP/1.1 200") < 100 and b"HTTP/1.1 400" in answer


def test_upload_that_breaks_off_leaves_nothing(uploader: Uploader) -> None:
    open_upload(uploader, 1_000, b"{").close()
    time.sleep(0.2)
    assert not contents(uploader.relay.directory)
    assert uploader.put_manifest().status_code == 200


# ------------------------------------------------------------------------------------------------------ restarts


def test_restart_keeps_everything(
    start_relay: StartRelay,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
    members: Members,
    http: httpx.Client,
) -> None:
    relay = start_relay("durable")
    directory, manifest = make_bundle(a=10, b=20)
    make_client(relay).publish(directory, manifest, trainer)
    _, begun = make_bundle("begun", seed=2, a=30, b=40)
    headers = upload_headers(trainer, begun.root)
    Uploader(http, relay, begun, headers).put_manifest()
    post_signature(members, make_client(relay), Address(trainer.address))
    relay.stop()
    (relay.directory / "incoming" / "leftover").write_bytes(b"half a shard")
    (relay.directory / "manifests" / f"{'0' * 64}.json").write_bytes(b"{}")

    again = start_relay("durable")

    assert make_client(again).has(manifest.root)
    assert len(Uploader(http, again, begun, headers).put_manifest().json()["missing"]) == 2
    assert len(make_client(again).signatures(TaskId(1), Epoch(2))) == 1
    assert {path.name for path in contents(again.directory)}.isdisjoint({"leftover", f"{'0' * 64}.json"})


def test_shard_cut_short_on_disk_is_asked_for_again_after_a_restart(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    relay = start_relay("durable")
    directory, manifest = make_bundle(a=1_000, b=2_000)
    make_client(relay).publish(directory, manifest, trainer)
    relay.stop()
    relay.shard_file(manifest.entry("a").sha256).write_bytes(b"short")

    again = start_relay("durable")

    client = make_client(again)
    assert not client.has(manifest.root)
    client.publish(directory, manifest, trainer)
    assert client.has(manifest.root) and again.count("PUT /v1/shards") == 1


SERVE_PROGRAM = f"""
import sys
from pathlib import Path
from assay_core.transport.relay.server import RelaySettings, serve
from tests.unit.relay.relays import Members
serve(RelaySettings(directory=Path(sys.argv[1]), port=int(sys.argv[2]), chain_id={CHAIN_ID}), Members(), Members())
print("ended well")
"""


@pytest.mark.slow  # a process that imports all that a relay does
def test_ctrl_c_ends_the_relay_quietly(tmp_path: Path, http: httpx.Client) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVE_PROGRAM, str(tmp_path / "served"), str(port)]
    environment = {**os.environ, "PYTHONPATH": "."}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as relay:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                assert http.get(f"http://127.0.0.1:{port}/v1/health").json()["bundles"] == 0
                break
            except httpx.TransportError:
                time.sleep(0.05)
        relay.send_signal(signal.SIGINT)
        output, errors = relay.communicate(timeout=10)
    assert relay.returncode == 0 and output == "ended well\n" and "Traceback" not in errors


def test_second_relay_in_the_same_directory_is_told_to_go_elsewhere(start_relay: StartRelay, tmp_path: Path) -> None:
    relay = start_relay("shared")
    with pytest.raises(Stop, match="another relay"):
        start_relay("shared")
    relay.stop()
    start_relay("shared")


def test_port_that_is_taken_stops_the_operator(relay: RunningRelay, tmp_path: Path, members: Members) -> None:
    port = int(relay.url.rsplit(":", 1)[1])
    settings = RelaySettings(directory=tmp_path / "second", chain_id=CHAIN_ID, port=port)
    with pytest.raises(Stop, match="another port"):
        serve(settings, members, members)


# -------------------------------------------------------------------------------------------------- policy board


def post_signature(members: Members, client: Any, operator: Address, policy_root: bytes = bytes(32)) -> None:
    signed = PolicySignature(operator, Root(policy_root), bytes(65))
    members.signed.add((TaskId(1), Epoch(2), operator, signed.policy_root, signed.signature))
    client.post_signature(TaskId(1), Epoch(2), signed)


def test_policy_signatures_of_several_relays_are_put_together(
    start_relay: StartRelay,
    make_client: MakeClient,
    members: Members,
    trainer: LocalAccount,
    outsider: LocalAccount,
) -> None:
    first, second = start_relay("first"), start_relay("second")
    operators = sorted((Address(trainer.address), Address(outsider.address)), key=lambda each: int(each, 16))
    post_signature(members, make_client(first, second), operators[1])
    post_signature(members, make_client(second), operators[0])
    found = make_client(first, second).signatures(TaskId(1), Epoch(2))
    assert [signed.operator for signed in found] == operators
    assert make_client(first).signatures(TaskId(1), Epoch(3)) == []


def test_operator_may_sign_again_but_not_without_end(
    relay: RunningRelay, make_client: MakeClient, members: Members, trainer: LocalAccount
) -> None:
    client = make_client(relay)
    for number in range(4):
        post_signature(members, client, Address(trainer.address), bytes([number] * 32))
    with pytest.raises(Stop, match="4 other roots"):
        post_signature(members, client, Address(trainer.address), bytes([9] * 32))
    assert len(client.signatures(TaskId(1), Epoch(2))) == 4


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"policy_root": "00" * 32, "signature": "11" * 65}, 403, id="not signed"),
        pytest.param({"policy_root": "00" * 32, "signature": "11" * 64}, 400, id="signature cut short"),
        pytest.param({"policy_root": "0x" + "00" * 32, "signature": "11" * 65}, 400, id="prefix"),
        pytest.param({"policy_root": "00" * 32}, 400, id="no signature"),
        pytest.param({"policy_root": "00" * 32, "signature": "11" * 5_000}, 413, id="too long"),
        pytest.param([1], 400, id="no object"),
    ],
)
def test_bad_board_posts_are_refused(
    http: httpx.Client, relay: RunningRelay, trainer: LocalAccount, body: Any, status: int
) -> None:
    url = f"{relay.url}/v1/tasks/1/epochs/2/signatures/{trainer.address}"
    assert http.put(url, json=body).status_code == status
    assert http.get(url).json() == {"signatures": []}


@pytest.mark.parametrize("path", ["tasks/01", "tasks/-1", "tasks/x", "tasks/" + "9" * 90, "tasks/1/epochs/-1"])
def test_board_of_no_task_is_refused(http: httpx.Client, relay: RunningRelay, path: str) -> None:
    url = f"{relay.url}/v1/{path}{'' if 'epochs' in path else '/epochs/0'}/signatures"
    assert http.get(url).status_code == 422
