"""Names of networks are bound to chains: by ape-config.yaml, by ape itself, or local."""

from pathlib import Path

import pytest

from assay_core.chain.networks import Network, ape_choice, configured_networks, node_url
from assay_core.protocol.errors import Stop

CONFIG = """
networks:
  custom:
    - {name: harbour, ecosystem: ethereum, base_ecosystem_plugin: ethereum, chain_id: 4242}
    - {name: dune, ecosystem: sand, chain_id: 4343}
node:
  ethereum:
    harbour: {uri: "https://node.example/$HARBOUR_KEY"}
  sand:
    dune: {uri: "https://dune.example"}
"""
URL = "https://rpc.example/key"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ape-config.yaml"
    path.write_text(CONFIG)
    return path


def test_networks_are_those_of_the_file_and_those_that_ape_knows(config: Path) -> None:
    found = configured_networks(config)
    assert set(found) == {"mainnet", "sepolia", "holesky", "harbour", "dune"}
    assert found["harbour"] == Network("harbour", "ethereum", 4242, None)
    assert found["dune"] == Network("dune", "sand", 4343, "https://dune.example")
    assert "base-sepolia" in configured_networks()  # of the project's own file


def test_a_node_comes_from_the_environment_and_its_absence_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stop, match="no node is set for 'harbour': add --rpc-url URL, or set ASSAY_RPC_URL"):
        node_url("harbour", config)
    monkeypatch.setenv("HARBOUR_KEY", "abc")
    assert node_url("harbour", config) == "https://node.example/abc"
    assert node_url("local", config) is None


def test_ape_is_told_the_network_so_that_it_checks_the_chain_as_well(config: Path) -> None:
    assert ape_choice("harbour", 4242, URL, config) == f"ethereum:harbour:{URL}"
    assert ape_choice("dune", 4343, URL, config) == f"sand:dune:{URL}"
    assert ape_choice("anything", 31_337, URL, config) == URL


@pytest.mark.parametrize(
    ("name", "chain_id", "told"),
    [
        pytest.param(
            "harbour", 1, r"serves chain 1, but 'harbour' is chain 4242: use a node of that chain", id="public"
        ),
        pytest.param(
            "mainnet", 31_337, r"serves chain 31337, but 'mainnet' is chain 1", id="local behind a public name"
        ),
        pytest.param("nowhere", 4242, r"no network 'nowhere' is configured: add it to ape-config\.yaml", id="unknown"),
    ],
)
def test_another_chain_behind_a_name_is_refused(config: Path, name: str, chain_id: int, told: str) -> None:
    with pytest.raises(Stop, match=told):
        ape_choice(name, chain_id, URL, config)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "- a list",
        "networks: {custom: [{name: x}]}",
        "networks: {custom: [{name: x, chain_id: one}]}",
        "node: 3",
    ],
)
def test_a_configuration_that_is_none_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ape-config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Stop, match=r"ape-config\.yaml does not configure networks as deployments/README\.md says"):
        configured_networks(path)
