"""Relays behind a login, and clocks that are off: both work, or say what to do, and no password is told."""

import base64
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount
from starlette.types import ASGIApp, Receive, Scope, Send

from assay_core.bundle.manifest import SHARD_BYTES
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.urls import basic_authorisation, masked, without_login
from tests.unit.relay.conftest import MakeBundle, MakeClient, StartRelay
from tests.unit.relay.relays import RunningRelay, fetch

USER, PASSWORD = "anna", "p@ss:w/rd"
IN_URL = "anna:p%40ss%3Aw%2Frd"


class BehindLogin:
    """What a proxy with basic authentication does: 401 to everybody without the login."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._wanted = b"Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != self._wanted:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
            return
        await self._app(scope, receive, send)


@pytest.fixture
def guarded(start_relay: StartRelay) -> RunningRelay:
    relay = start_relay("guarded")
    relay.observed.wrap(BehindLogin)
    return relay


def with_login(relay: RunningRelay, login: str = IN_URL) -> str:
    return relay.url.replace("//", f"//{login}@")


def test_uploads_and_shards_pass_a_login(
    guarded: RunningRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    directory, manifest = make_bundle(large=3 * SHARD_BYTES)
    make_client(with_login(guarded), cache="trainer").publish(directory, manifest, trainer)
    got = fetch(make_client(with_login(guarded), cache="verifier"), manifest)
    assert (got / "large").read_bytes() == (directory / "large").read_bytes()


def test_a_mirror_passes_the_login_of_its_upstream(
    guarded: RunningRelay,
    start_relay: StartRelay,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
) -> None:
    mirror = start_relay("mirror", upstreams=(with_login(guarded),))
    directory, manifest = make_bundle()
    make_client(with_login(guarded), cache="trainer").publish(directory, manifest, trainer)
    assert fetch(make_client(mirror, cache="verifier"), manifest).is_dir()


def test_a_password_is_neither_logged_nor_in_errors(
    guarded: RunningRelay,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    directory, manifest = make_bundle()
    wrong = make_client(with_login(guarded, "anna:secret-and-wrong"), cache="wrong")
    nowhere = make_client("http://anna:secret-and-wrong@127.0.0.1:1", cache="nowhere")
    nonsense = make_client("http://anna:secret-and-wrong@[::1", cache="nonsense")
    told = list[str]()
    for client in (wrong, nowhere, nonsense):
        for act in (lambda: client.publish(directory, manifest, trainer), lambda: fetch(client, manifest)):  # noqa: B023
            with pytest.raises((Stop, Unavailable)) as caught:
                act()
            told.append(str(caught.value))
    told += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert "secret-and-wrong" not in " ".join(told) and "127.0.0.1" in " ".join(told)


def test_a_login_is_taken_out_of_a_url() -> None:
    url = "https://anna:p%40ss@relay.example:8443/path?x=1"
    assert without_login(url) == "https://relay.example:8443/path?x=1"
    assert basic_authorisation(url) == {"Authorization": "Basic " + base64.b64encode(b"anna:p@ss").decode()}
    assert basic_authorisation("https://relay.example/a@b") == {}
    assert without_login("https://relay.example/a@b") == "https://relay.example/a@b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://anna:geheim@db/assay", "postgresql://anna:***@db/assay"),
        ("postgresql://anna@db/assay", "postgresql://anna@db/assay"),
        ("postgresql://anna:p@ss:w@db/assay", "postgresql://anna:***@db/assay"),
        ("postgresql://db/assay?user=anna&password=geheim&x=1", "postgresql://db/assay?user=anna&password=***&x=1"),
        ("https://node.example/v2?apiKey=geheim", "https://node.example/v2?apiKey=***"),
        ("sqlite:////srv/assay.db", "sqlite:////srv/assay.db"),
    ],
)
def test_secrets_of_a_url_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize("off_s", [-2 * 3_600, 2 * 3_600])
def test_an_uploaders_clock_may_be_hours_off(
    off_s: int, start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle()
    make_client(relay, clock=lambda: time.time() + off_s).publish(directory, manifest, trainer)


@pytest.mark.parametrize(("off_s", "what"), [(-3 * 86_400, "expired"), (3 * 86_400, "is valid for")])
def test_a_clock_that_is_days_off_is_called_one(
    off_s: int,
    what: str,
    start_relay: StartRelay,
    make_client: MakeClient,
    make_bundle: MakeBundle,
    trainer: LocalAccount,
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle()
    client = make_client(relay, clock=lambda: time.time() + off_s)
    with pytest.raises(Stop, match=rf"{what} .*by this relay's clock it is 20\d\d-.* UTC; set your clock"):
        client.publish(directory, manifest, trainer)


@pytest.fixture
def bare_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without what Linux has to send files."""
    for name in ("posix_fadvise", "POSIX_FADV_WILLNEED", "sendfile", "SF_NODISKIO"):
        if hasattr(os, name):
            monkeypatch.delattr(os, name)
    yield


@pytest.mark.usefixtures("bare_system")
def test_whole_shards_are_sent_by_systems_that_give_no_advice_on_files(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount, tmp_path: Path
) -> None:
    relay = start_relay()
    directory, manifest = make_bundle(large=2 * SHARD_BYTES + 5)
    make_client(relay, cache="trainer").publish(directory, manifest, trainer)
    got = fetch(make_client(relay, cache="verifier"), manifest)
    assert (got / "large").read_bytes() == (directory / "large").read_bytes()
    assert relay.count("GET /v1/shards") == 3
