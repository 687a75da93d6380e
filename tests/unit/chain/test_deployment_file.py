"""Deployment files: found by network or path, checked, and never half written."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment, deployments_folder, load_deployment
from assay_core.protocol.errors import Stop
from tests.unit.chain import places

FIELDS: dict[str, Any] = places.FIELDS | {"relays": ["http://127.0.0.1:9000"]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    deployment = Deployment.model_validate(FIELDS)
    path = deployment.write(tmp_path)
    assert path == tmp_path / "local.json"
    assert [each.name for each in tmp_path.iterdir()] == ["local.json"]
    assert load_deployment("local", tmp_path) == load_deployment(path) == deployment
    assert deployment.token == to_checksum_address(FIELDS["token"])
    assert deployment.with_relays(("http://a",)).relays == ("http://a",)


def test_an_unknown_network_names_those_there_are(tmp_path: Path) -> None:
    Deployment.model_validate(FIELDS).write(tmp_path)
    with pytest.raises(Stop, match=r"no deployment 'sepolia' \(known here: local\).*assay deploy --network sepolia"):
        load_deployment("sepolia", tmp_path)
    with pytest.raises(Stop, match="known here: none"):
        load_deployment("sepolia", tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"token": "0x12"}, "token", id="not an address"),
        pytest.param({"chain_id": "one"}, "chain_id", id="not a number"),
        pytest.param({"rpc_url": "file:///etc/passwd"}, "rpc_url", id="not HTTP"),
        pytest.param({"network": "../escaped"}, "network", id="not a name"),
        pytest.param({"surplus": 1}, "surplus", id="surplus field"),
        pytest.param({"unbonding_period_s": 0}, "unbonding_period_s", id="no unbonding"),
        pytest.param({"reporter_bps": 10_001}, "reporter_bps", id="more than all"),
        pytest.param({"seal_delay": 0}, "seal_delay", id="no delay"),
        pytest.param({"header_wait": 256}, "header_wait", id="longer than the chain remembers"),
        pytest.param({"creations": {"staking": "0x12"}}, "creations.staking", id="not a transaction"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    path = tmp_path / "local.json"
    path.write_text(json.dumps(FIELDS | change))
    with pytest.raises(Stop, match=named):
        load_deployment(path)


@pytest.mark.parametrize("content", ["", "{", "[]", " " * 70_000])
def test_what_is_no_deployment_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "local.json"
    path.write_text(content)
    with pytest.raises(Stop, match=r"local\.json"):
        load_deployment(path)


def test_the_folder_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(tmp_path))
    assert deployments_folder() == tmp_path
    monkeypatch.delenv("ASSAY_DEPLOYMENTS")
    monkeypatch.chdir(tmp_path)
    assert deployments_folder().name == "deployments"


def test_every_contract_that_is_created_has_an_address() -> None:
    deployment = Deployment.model_validate(FIELDS)
    assert list(deployment.addresses) == list(CONTRACTS)
    assert len(set(deployment.addresses.values())) == len(CONTRACTS)


def test_a_retired_deployment_keeps_a_name_that_commands_take(tmp_path: Path) -> None:
    deployment = Deployment.model_validate(FIELDS | {"network": "n" * 64})
    retired = deployment.model_copy(update={"network": deployment.retired_name})
    retired.write(tmp_path)
    assert load_deployment(deployment.retired_name, tmp_path).addresses == deployment.addresses
    assert deployment.retired_name.endswith("-a3a3a3a3") and len(deployment.retired_name) == 64


def test_a_write_that_fails_leaves_the_former_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment.model_validate(FIELDS)
    before = deployment.write(tmp_path).read_text()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        deployment.with_relays(("http://b",)).write(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["local.json"]
    assert (tmp_path / "local.json").read_text() == before
