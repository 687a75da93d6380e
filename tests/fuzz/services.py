"""Fuzz targets: what strangers ask of services. The relay's API and the verifier's, without sockets between."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account
from fastapi import FastAPI
from hypothesis import strategies as st

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root, TaskId
from assay_core.transport.relay.server import RelaySettings, create_relay
from assay_verifier.api import create_api
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.recorder import Recorder
from tests.fuzz.documents import SPEC
from tests.fuzz.mutate import HOSTILE_JSON, WORDS, canonical, damaged, documents, headers
from tests.fuzz.target import Makers, Target
from tests.unit.relay.relays import CHAIN_ID, Members, upload_headers
from tests.unit.verifier.chronicle import Chronicle

MEMORY_BYTES = 256 * 2**20  # mostly address space of worker threads' stacks
KEY = Account.from_key(b"\x01" * 32)
WHO, OTHER = Address(KEY.address), Address("0x00000000000000000000000000000000000000A1")
ROOT = Root(b"\x05" * 32)
IDS = ("0", "1", "-1", "00", "1.0", "1e3", str(2**63 - 1), str(2**63), "9" * 77, "9" * 400, "%2e%2e", "..", "%00", "²")


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


def send(app: FastAPI, asks: Ask | list[Ask]) -> list[httpx.Response]:
    """Raises whatever the application does not answer itself."""

    async def all_of() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            answers: list[httpx.Response] = []
            for ask in asks if isinstance(asks, list) else [asks]:
                named = [(name.encode(), value.encode("latin-1")) for name, value in ask.headers.items()]
                url = httpx.URL("http://relay").copy_with(raw_path=ask.path.encode("ascii", "ignore"))
                answers.append(await client.request(ask.method, url, headers=named, content=ask.body))
            return answers

    return asyncio.run(all_of())


def relay(folder: Path) -> Target:
    """Uploads, downloads, the board. Nothing but 2xx, 3xx and 4xx, and nothing stored that no manifest lists."""
    members = Members(keys={WHO})
    settings = RelaySettings(directory=folder / "relay", chain_id=CHAIN_ID, min_free_bytes=0, idle_s=0.2)
    app = create_relay(settings, members, members)
    manifest, data = _bundle(folder / "bundle")
    digest = manifest.files[0].shards[0]
    signed = upload_headers(KEY, manifest.root, expires_in_s=80_000)
    members.signed.add((TaskId(1), Epoch(2), WHO, ROOT, b"\x11" * 65))
    known = {
        **signed,
        **{"Content-Length": "9", "Range": "bytes=0-4", "If-Range": '"x"', "If-None-Match": f'"{digest.hex()}"'},
        **{"X-Assay-Wait": "0", "X-Assay-Hops": "1", "Content-Type": "application/json"},
    }
    vote: Any = {"policy_root": ROOT.hex(), "signature": "11" * 65}
    hexes = st.sampled_from((manifest.root.hex(), digest.hex(), ROOT.hex(), "A" * 64, "0" * 63, *IDS))
    ids, whose = st.sampled_from(IDS), st.sampled_from((WHO, OTHER, "0x", *IDS))
    paths = st.one_of(
        st.builds("/v1/manifests/{}".format, hexes),
        st.builds("/v1/manifests/{}?unfinished={}".format, hexes, ids),
        st.builds("/v1/shards/{}".format, hexes),
        st.builds("/v1/bundles?after={}".format, ids | st.sampled_from(("nan", "inf", "1e400"))),
        st.builds("/v1/tasks/{}/epochs/{}/signatures/{}".format, ids, ids, whose),
        st.builds("/v1/tasks/{}/epochs/{}/signatures".format, ids, ids),
        st.sampled_from(("/v1/health", "/", "//", "/v1/../v1/health", "/openapi.json", "/docs/../..")),
    )
    bodies = st.one_of(
        st.just(data), damaged([data, manifest.to_bytes()]), documents([vote], raw=HOSTILE_JSON),
        st.just(manifest.to_bytes()), st.just(b""),
    )  # fmt: skip
    methods = st.sampled_from(("GET", "PUT", "PUT", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"))
    more = st.tuples(st.sampled_from(({}, signed, signed)), headers(known)).map(lambda both: {**both[0], **both[1]})
    asks = st.builds(Ask, methods, paths, more, bodies)
    allowed = {digest.hex(), manifest.root.hex()}

    def read(ask: Ask | list[Ask]) -> None:
        for answer in send(app, ask):
            assert answer.status_code < 500 or answer.status_code in (503, 507), answer.text
        stored = {path.name for part in ("shards", "manifests") for path in (folder / "relay" / part).rglob("*.*")}
        stored |= {path.name for part in ("shards", "manifests") for path in (folder / "relay" / part).rglob("?" * 64)}
        assert all(name.removesuffix(".json") in allowed for name in stored), stored

    upload = [
        Ask("PUT", f"/v1/manifests/{manifest.root.hex()}", signed, manifest.to_bytes()),
        Ask("PUT", f"/v1/shards/{digest.hex()}", signed, data),
        Ask("PUT", f"/v1/tasks/1/epochs/2/signatures/{WHO}", {}, canonical(vote)),
        Ask("GET", f"/v1/shards/{digest.hex()}", {"Range": "bytes=0-4"}),
    ]
    shard, root = f"/v1/shards/{digest.hex()}", f"/v1/manifests/{manifest.root.hex()}"
    ranges = ("bytes=" + ",".join(["0-"] * 2_000), "bytes=" + ",".join(f"{n}-{n}" for n in range(900)), "bytes=0-1e9")
    always = [
        *(Ask("GET", shard, {"Range": each}) for each in (*ranges, "=")),
        *(Ask("PUT", shard, {**signed, "Content-Length": each}, data) for each in ("²", "x", "-1")),
        *(Ask("PUT", root, {**signed, "Content-Length": each}) for each in ("²", "9" * 5_000)),
        *(Ask("PUT", f"/v1/tasks/1/epochs/2/signatures/{WHO}", {}, each) for each in HOSTILE_JSON[:8]),
    ]
    return Target("relay", asks, read, [upload], always, typed=(), memory_bytes=MEMORY_BYTES, cost=4)


def verifier_api(folder: Path) -> Target:
    """Reads only, by anybody: JSON, pages, metrics."""
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    sessions = session_factory(engine)
    chronicle = Chronicle(ROOT)
    chronicle.submission(OTHER, ROOT)
    chronicle.seal()
    Recorder(sessions, SPEC).record(chronicle.ledger, {chronicle.record().epoch: EpochPhase.ATTEST_COMMIT})
    app = create_api(sessions)
    ids = st.sampled_from((*IDS, "65535", "65536", *(word for word in WORDS if word.isascii() and word.isalnum())))
    paths = st.one_of(
        st.builds("/tasks/{}/epochs/{}/submissions/{}".format, ids, ids, ids),
        st.builds("/tasks/{}/epochs/{}/submissions".format, ids, ids),
        st.builds("/tasks/{}/epochs?limit={}&offset={}".format, ids, ids, ids),
        st.builds("/policies?task_id={}&offset={}".format, ids, ids),
        st.builds("/{}/{}/{}".format, st.sampled_from(("pages", "web", "task", "tasks", "epochs", "static")), ids, ids),
        st.sampled_from(
            ("/", "/health", "/metrics", "/tasks", "/openapi.json", "//", "/tasks/1/epochs/0/submissions/0")
        ),
    )
    asks = st.builds(
        Ask, st.sampled_from(("GET", "GET", "HEAD", "POST")), paths, headers({"Accept": "*/*", "Range": "bytes=0-"})
    )

    def read(ask: Ask) -> None:
        [answer] = send(app, ask)
        assert answer.status_code < 500, answer.text

    known = [Ask("GET", path, {}) for path in ("/tasks/1/epochs/0/submissions/0", "/", "/metrics")]
    return Target("verifier api", asks, read, known, typed=(), memory_bytes=MEMORY_BYTES, cost=4)


def _bundle(folder: Path) -> tuple[Manifest, bytes]:
    folder.mkdir()
    (folder / "file").write_bytes(b"nine byte")
    return build_bundle(folder, BundleKind.SUBMISSION, {}), b"nine byte"


SERVICES: Makers = {"relay": relay, "verifier api": verifier_api}
