"""One setting chooses the engine; what the engine needs comes from the environment or a table."""

from pathlib import Path
from typing import Any

import pytest

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Root
from assay_core.transport.bucket import BucketClient
from assay_core.transport.choose import open_engine
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.swarm.engine import SwarmClient
from assay_trainer.settings import load_trainer_settings
from assay_verifier.settings import load_verifier_settings

TRACKERS = ["http://127.0.0.1:9"]


def opened(name: str, folder: Path, tables: dict[str, dict[str, Any]] | None = None) -> Any:
    return open_engine(name, relays=("http://127.0.0.1:9",), cache=folder / "cache", chain_id=1, tables=tables)


def test_the_name_decides(tmp_path: Path) -> None:
    tables = {"s3": {"bucket": "assay"}, "swarm": {"trackers": TRACKERS, "host": "127.0.0.1"}}
    for name, kind in (("relay", RelayClient), ("s3", BucketClient), ("swarm", SwarmClient)):
        with opened(name, tmp_path, tables) as engine:
            assert isinstance(engine, kind)
            assert engine.cache.find(Root(bytes(32))) is None


def test_the_environment_outranks_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_SWARM_TRACKERS", "http://127.0.0.1:9, http://127.0.0.1:10")
    monkeypatch.setenv("ASSAY_SWARM_HOST", "127.0.0.1")
    with opened("swarm", tmp_path, {"swarm": {"trackers": "not used", "host": "192.0.2.1"}}) as engine:
        assert engine.port > 0
    monkeypatch.setenv("ASSAY_S3_BUCKET", "assay")
    with opened("s3", tmp_path) as engine:
        assert isinstance(engine, BucketClient)


def test_uploads_go_to_every_relay_or_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened("relay", tmp_path) as engine:
        assert engine.upload_to == "every"
    with opened("relay", tmp_path, {"upload": {"to": "first"}}) as engine:
        assert engine.upload_to == "first"
    monkeypatch.setenv("ASSAY_UPLOAD_TO", "nowhere")
    with pytest.raises(Stop, match="ASSAY_UPLOAD_TO"):
        opened("relay", tmp_path)


@pytest.mark.parametrize(
    ("name", "tables", "why"),
    [
        ("pigeon", {}, "no engine is named 'pigeon'"),
        ("s3", {}, "ASSAY_S3_BUCKET"),
        ("s3", {"s3": {"bucket": "assay", "secret": "x"}}, r"secret.*\[s3\]"),
        ("swarm", {}, "ASSAY_SWARM_TRACKERS"),
        ("swarm", {"swarm": {"trackers": TRACKERS, "port": 70_000}}, "port"),
    ],
)
def test_impossible_choice_stops(name: str, tables: dict[str, dict[str, Any]], why: str, tmp_path: Path) -> None:
    with pytest.raises(Stop, match=why):
        opened(name, tmp_path, tables)


def test_engine_that_is_not_installed_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "assay_core.transport.bucket", None)
    with pytest.raises(Stop, match=r"assay-protocol\[s3\]"):
        opened("s3", tmp_path, {"s3": {"bucket": "assay"}})


@pytest.mark.parametrize("load", [load_trainer_settings, load_verifier_settings])
def test_both_roles_take_the_setting(load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"task_id": 1, "keystore": Path("key.json")}
    assert load(**given).engine == "relay"
    monkeypatch.setenv("ASSAY_ENGINE", "s3")
    assert load(**given).engine == "s3"
    monkeypatch.setenv("ASSAY_ENGINE", "pigeon")
    with pytest.raises(Stop, match="engine"):
        load(**given)
    file = tmp_path / "settings.toml"
    file.write_text('engine = "swarm"\n[engines.swarm]\ntrackers = ["http://a"]\n')
    monkeypatch.delenv("ASSAY_ENGINE")
    found = load(file, **given)
    assert (found.engine, found.engines["swarm"]["trackers"]) == ("swarm", ["http://a"])
