"""Deployments through ape: what they leave, and what they refuse."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from offchain.chain.anvil import ROOT, Anvil
from offchain.chain.connection import Chain
from offchain.chain.deploy import DeployKey, DeploySettings, deploy
from offchain.chain.deployment import Deployment, load_deployment
from offchain.chain.keys import LOCAL_ROUNDS, new_keystore
from offchain.chain.sender import Sender
from offchain.protocol.errors import Stop, Unavailable
from offchain.protocol.types import Address

pytestmark = pytest.mark.chain


def test_a_deployment_names_all_that_others_need(deployment: Deployment, chain: Chain) -> None:
    assert deployment.chain_id == 31_337 and deployment.block >= 1
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert deployment.git_commit.startswith(head.stdout.strip() or "unknown")
    at = deployment
    assert len({at.token, at.staking, at.registry, at.attestations, at.challenges, at.payouts}) == 6
    assert (chain.token.symbol(), chain.token.decimals()) == ("ASSAY", 18)
    assert chain.staking.unbonding_period_s() == 1_200 and chain.payouts.reporter_bps() == 1_000
    assert chain.registry.task_count() == 0


def test_a_keystore_deploys_with_a_token_that_is_there_already(
    anvil: Anvil,
    chain: Chain,
    sender_of: Callable[[str], Sender],
    keystore_of: Callable[[str], Path],
    password_file: Path,
    tmp_path: Path,
) -> None:
    key = DeployKey(keystore_of("initiator"), password_file.read_text().strip())
    assert key.password not in repr(key)
    settings = DeploySettings(token=chain.deployment.token, reporter_bps=500, relays=("http://127.0.0.1:9000",))
    made = deploy("local-second", anvil.rpc_url, key, settings, folder=tmp_path)
    assert made == load_deployment("local-second", tmp_path)
    assert made.token == chain.deployment.token and made.staking != chain.deployment.staking
    assert made.relays == ("http://127.0.0.1:9000",)
    second = Chain.connect(made)
    assert second.payouts.reporter_bps() == 500
    assert second.web3.eth.get_transaction_count(second.web3.to_checksum_address(sender_of("initiator").address)) == 4


def test_a_wrong_password_is_told_before_anything_is_deployed(
    anvil: Anvil, chain: Chain, keystore_of: Callable[[str], Path], tmp_path: Path
) -> None:
    before = chain.web3.eth.block_number
    with pytest.raises(Stop, match="Invalid password") as caught:
        deploy("local-none", anvil.rpc_url, DeployKey(keystore_of("initiator"), "wrong"), folder=tmp_path)
    assert "wrong" not in str(caught.value)
    assert not (tmp_path / "local-none.json").exists()
    assert chain.web3.eth.block_number <= before + 1  # the funding of the initiator


def test_a_deployer_without_coin_is_told_so(anvil: Anvil, tmp_path: Path) -> None:
    path = tmp_path / "poor.json"
    account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
    with pytest.raises(Stop, match=rf"{account.address} holds 0 coins .* costs about 0\.0\d+ on chain 31337: fund it"):
        deploy("local-none", anvil.rpc_url, DeployKey(path, "secret"), folder=tmp_path)


def test_a_missing_key_is_told(anvil: Anvil, tmp_path: Path) -> None:
    with pytest.raises(Stop, match="not a keystore"):
        deploy("local-none", anvil.rpc_url, DeployKey(tmp_path / "none.json", "secret"), folder=tmp_path)


def test_a_public_chain_needs_a_key(tmp_path: Path) -> None:
    node = Anvil(chain_id=11_155_111, block_time_s=1)  # ape waits for confirmations
    node.start()
    try:
        with pytest.raises(Stop, match="serves chain 11155111, not a local one: name a keystore"):
            deploy("sepolia", node.rpc_url, folder=tmp_path)
        path = tmp_path / "deployer.json"
        account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
        node.set_balance(Address(account.address), 10**19)
        made = deploy("sepolia", node.rpc_url + "/?key=api-key", DeployKey(path, "secret"), folder=tmp_path)
        assert made.chain_id == 11_155_111 and made.rpc_url == node.rpc_url
        assert "api-key" not in (tmp_path / "sepolia.json").read_text()
    finally:
        node.stop()


def test_no_node_and_no_ape_are_told(anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        deploy("local-none", "http://127.0.0.1:1", folder=tmp_path)
    monkeypatch.setenv("ASSAY_APE", str(tmp_path / "ape"))
    with pytest.raises(Stop, match="run `make setup`"):
        deploy("local-none", anvil.rpc_url, folder=tmp_path)
