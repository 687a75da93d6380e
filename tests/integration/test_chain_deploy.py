"""Deployments, by ourselves and through ape: what they leave, cost and refuse, and how others check them."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay_core.chain.artifacts import Artifact, load_artifacts
from assay_core.chain.bytecode import creation_input, expected_immutables
from assay_core.chain.checkout import source_tree
from assay_core.chain.connection import Chain
from assay_core.chain.creations import CONTRACTS, Constants, constructor_inputs, plan_creations
from assay_core.chain.deploy import ANVIL_DEPLOYER, DeployKey, DeploySettings, deploy, price_deployment
from assay_core.chain.deployment import Deployment, load_deployment
from assay_core.chain.inspection import CONSTANTS, inspect_deployment
from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore
from assay_core.chain.sender import Sender
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address
from assay_protocol.cli import main
from assay_protocol.devnet.anvil import Anvil

pytestmark = pytest.mark.chain


def test_a_deployment_names_all_that_others_need(deployment: Deployment, chain: Chain) -> None:
    assert deployment.chain_id == 31_337 and deployment.block >= 1
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source_tree(), capture_output=True, text=True, check=False)
    assert deployment.git_commit.startswith(head.stdout.strip() or "unknown")
    assert len(set(deployment.addresses.values())) == len(CONTRACTS) == len(deployment.creations)
    assert (chain.token.symbol(), chain.token.decimals()) == ("ASSAY", 18)
    assert chain.staking.unbonding_period_s() == 1_200 and chain.payouts.reporter_bps() == 1_000
    assert (chain.commitments.seal_delay(), chain.attestations.header_wait()) == (1, 0)
    assert chain.panels.seat_bond_wei() == deployment.seat_bond_wei == 10**19
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
    assert (
        second.web3.eth.get_transaction_count(second.web3.to_checksum_address(sender_of("initiator").address))
        == len(CONTRACTS) - 1
    )
    assert set(made.creations) == set(CONTRACTS) - {"token"}


def test_a_wrong_password_is_told_before_anything_is_deployed(
    anvil: Anvil, chain: Chain, keystore_of: Callable[[str], Path], tmp_path: Path
) -> None:
    before = chain.web3.eth.block_number
    with pytest.raises(Stop, match="the password does not open") as caught:
        deploy("local-none", anvil.rpc_url, DeployKey(keystore_of("initiator"), "no-such-secret"), folder=tmp_path)
    assert "no-such-secret" not in str(caught.value)
    assert not (tmp_path / "local-none.json").exists()
    assert chain.web3.eth.block_number <= before + 1  # the funding of the initiator


def test_a_deployer_without_coin_is_told_so(anvil: Anvil, tmp_path: Path) -> None:
    path = tmp_path / "poor.json"
    account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
    with pytest.raises(Stop, match=rf"{account.address} holds 0 coins .* costs about 0\.0\d+ on chain 31337: fund it"):
        deploy("local-none", anvil.rpc_url, DeployKey(path, "secret"), folder=tmp_path)
    price = price_deployment("local-none", anvil.rpc_url, path, folder=tmp_path)
    anvil.set_balance(Address(account.address), price.fee_wei)  # enough only if gas gets no dearer
    with pytest.raises(Stop, match="gas may get dearer on the way"):
        deploy("local-none", anvil.rpc_url, DeployKey(path, "secret"), folder=tmp_path)


def test_a_missing_key_is_told(anvil: Anvil, tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no key at"):
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
        assert (made.min_window_s, made.seal_delay, made.header_wait) == (120, 4, 64)
        assert "api-key" not in (tmp_path / "sepolia.json").read_text()
    finally:
        node.stop()


def test_a_node_that_is_down_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        deploy("local-none", "http://127.0.0.1:1", folder=tmp_path)


@pytest.fixture
def sepolia(tmp_path: Path) -> Iterator[tuple[Anvil, DeployKey]]:
    """A chain that passes for a public one, and a key with coin on it."""
    node = Anvil(chain_id=11_155_111)
    node.start()
    path = tmp_path / "keys" / "deployer.json"
    node.set_balance(Address(new_keystore(path, "secret", rounds=LOCAL_ROUNDS).address), 10**19)
    yield node, DeployKey(path, "secret")
    node.stop()


def test_a_public_chain_needs_ape_and_a_source_tree(
    sepolia: tuple[Anvil, DeployKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, key = sepolia
    monkeypatch.setenv("ASSAY_APE", str(tmp_path / "ape"))
    with pytest.raises(Stop, match="run `make setup`"):
        deploy("sepolia", node.rpc_url, key, folder=tmp_path)
    monkeypatch.setattr("assay_core.chain.ape.source_tree", lambda: None)
    with pytest.raises(Stop, match="from Assay's source tree: clone it"):
        deploy("sepolia", node.rpc_url, key, folder=tmp_path)
    assert node.web3.eth.block_number == 0


def test_a_file_is_written_only_for_contracts_that_passed_the_check(
    sepolia: tuple[Anvil, DeployKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ape that says it has deployed, and hands over contracts of other settings, or nothing."""
    node, key = sepolia
    monkeypatch.setattr("assay_core.chain.deploy.LOCAL_CHAINS", (node.web3.eth.chain_id,))
    former = deploy("sepolia", node.rpc_url, key, folder=tmp_path).write(tmp_path)
    monkeypatch.undo()
    before = former.read_text()
    ape = tmp_path / "ape"
    ape.write_text(f'#!/bin/sh\nwhile [ "$1" != --out ]; do shift; done\ncp {former} "$2"\n')
    ape.chmod(0o755)
    monkeypatch.setenv("ASSAY_APE", str(ape))
    settings = DeploySettings(unbonding_period_s=5_000)
    with pytest.raises(Stop, match=r"UNBONDING_PERIOD is \d+ instead of 5000"):
        deploy("sepolia", node.rpc_url, key, settings, folder=tmp_path, replace=True)
    ape.write_text("#!/bin/sh\n")
    with pytest.raises(Stop, match="ape wrote no usable deployment"):
        deploy("sepolia", node.rpc_url, key, folder=tmp_path, replace=True)
    assert [each.name for each in tmp_path.glob("*.json")] == [former.name] and former.read_text() == before


# ------------------------------------------------------------------------------------------- what may be replaced


def test_a_live_deployment_is_replaced_only_when_told(anvil: Anvil, chain: Chain, tmp_path: Path) -> None:
    former = chain.deployment
    path = former.write(tmp_path)
    before = path.read_text()
    with pytest.raises(Stop, match=rf"deployed on chain 31337 already.*--replace, which keeps .*{former.retired_name}"):
        deploy(former.network, anvil.rpc_url, folder=tmp_path)
    assert path.read_text() == before and len(list(tmp_path.glob("*.json"))) == 1

    made = deploy(former.network, anvil.rpc_url, folder=tmp_path, replace=True)
    assert load_deployment(former.network, tmp_path) == made != former
    # Anyone who has money in the former contracts still reaches them by name.
    retired = load_deployment(former.retired_name, tmp_path)
    assert (
        retired.addresses == former.addresses
        and Chain.connect(retired).staking.unbonding_period_s() == former.unbonding_period_s
    )


def test_a_deployment_that_is_gone_is_replaced_without_asking(anvil: Anvil, chain: Chain, tmp_path: Path) -> None:
    gone = {field: f"0x{i:040x}" for i, field in enumerate(CONTRACTS, 2**80) if field != "token"}
    former = chain.deployment.model_copy(update=gone)  # its token is still there, as that of others is
    former.write(tmp_path)
    assert price_deployment(former.network, anvil.rpc_url, folder=tmp_path).replaces is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, r"is of chain 5, and the node serves chain 31337", id="another chain's"),
        pytest.param("{", r"deploy again or repair the file; or add --replace", id="no deployment"),
    ],
)
def test_a_file_that_cannot_be_judged_is_not_overwritten(
    anvil: Anvil, chain: Chain, tmp_path: Path, content: str | None, told: str
) -> None:
    path = chain.deployment.model_copy(update={"chain_id": 5}).write(tmp_path)
    if content is not None:
        path.write_text(content)
    with pytest.raises(Stop, match=told):
        price_deployment(chain.deployment.network, anvil.rpc_url, folder=tmp_path)
    price = price_deployment(chain.deployment.network, anvil.rpc_url, folder=tmp_path, replace=True)
    assert price.fee_wei > 0


# --------------------------------------------------------------------------------------------------- dry runs


def test_a_dry_run_tells_cost_and_addresses_and_changes_nothing(anvil: Anvil, chain: Chain, tmp_path: Path) -> None:
    deployer = chain.web3.to_checksum_address(ANVIL_DEPLOYER.address)

    def state() -> tuple[int, int, int]:
        eth = chain.web3.eth
        return eth.get_transaction_count(deployer, "pending"), eth.get_balance(deployer), eth.block_number

    before = state()
    price = price_deployment("local-priced", anvil.rpc_url, folder=tmp_path)
    assert state() == before and not list(tmp_path.iterdir())
    assert (price.nonce, price.balance_wei) == before[:2]

    made = deploy("local-priced", anvil.rpc_url, folder=tmp_path)
    assert {each.field: each.address for each in price.creations} == made.addresses
    for each in price.creations:
        used = chain.web3.eth.get_transaction_receipt(made.creations[each.field])["gasUsed"]  # pyright: ignore[reportArgumentType]
        assert used <= each.gas <= used * 1.02
        assert each.fee_wei == each.gas * price.gas_price_wei
    assert price.fee_wei == price.gas * price.gas_price_wei == sum(each.fee_wei for each in price.creations)


def test_settings_that_the_contracts_refuse_are_told_beforehand(anvil: Anvil, tmp_path: Path) -> None:
    with pytest.raises(Stop, match="Payouts cannot be created with these settings"):
        deploy("local-none", anvil.rpc_url, settings=DeploySettings(reporter_bps=1_667), folder=tmp_path)
    with pytest.raises(Stop, match="a second at least"):
        deploy("local-none", anvil.rpc_url, settings=DeploySettings(unbonding_period_s=0), folder=tmp_path)
    with pytest.raises(Stop, match="'No' cannot be a network's name"):
        deploy("No", anvil.rpc_url, folder=tmp_path)


def test_a_key_in_use_is_told(ticking_anvil: Anvil, tmp_path: Path) -> None:
    ticking_anvil.request("evm_setIntervalMining", 0)
    web3, account = ticking_anvil.web3, ANVIL_DEPLOYER.address
    web3.eth.send_transaction({"from": web3.to_checksum_address(account), "to": web3.to_checksum_address(account)})
    with pytest.raises(Stop, match=f"{account} has transactions under way: wait"):
        price_deployment("local-none", ticking_anvil.rpc_url, folder=tmp_path)


# ---------------------------------------------------------------------------------------------------- networks


def test_a_network_of_the_configuration_is_deployed_to_and_bound_to_its_chain(tmp_path: Path) -> None:
    node = Anvil(chain_id=84_532)
    node.start()
    try:
        path = tmp_path / "deployer.json"
        account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
        node.set_balance(Address(account.address), 10**19)
        for name, told in (
            ("sepolia", "'sepolia' is chain 11155111"),
            ("nowhere", "no network 'nowhere' is configured"),
        ):
            with pytest.raises(Stop, match=f"the node serves chain 84532, .*{told}"):
                deploy(name, node.rpc_url, DeployKey(path, "secret"), folder=tmp_path)
        assert node.web3.eth.block_number == 0
        node.request("evm_setIntervalMining", 1)  # ape waits for confirmations
        price = price_deployment("base-sepolia", node.rpc_url, path, folder=tmp_path)
        assert len(price.warnings) == 1 and "--seal-delay 60" in price.warnings[0]
        made = deploy("base-sepolia", node.rpc_url, DeployKey(path, "secret"), folder=tmp_path)
        assert made.chain_id == 84_532 and load_deployment("base-sepolia", tmp_path) == made
        assert len(inspect_deployment(node.web3, made)) == len(CONTRACTS)
    finally:
        node.stop()


# ------------------------------------------------------------------------------------------------ a stranger's check


def test_an_honest_deployment_passes_anyone_who_looks(chain: Chain) -> None:
    checked = inspect_deployment(chain.web3, chain.deployment)
    assert {each.field: each.contract for each in checked} == CONTRACTS
    others = chain.deployment.model_copy(update={"creations": without(chain.deployment.creations, "token")})
    token = inspect_deployment(chain.web3, others)[0]
    assert (token.field, token.contract) == ("token", None)  # a token of others: nothing is said of its code


@pytest.mark.parametrize("contract", ["token", "registry", "payouts"])
def test_tampered_code_is_found(anvil: Anvil, chain: Chain, contract: str) -> None:
    address = chain.deployment.addresses[contract]
    code = bytearray(chain.web3.eth.get_code(chain.web3.to_checksum_address(address)))
    code[100] ^= 1
    anvil.request("anvil_setCode", address, "0x" + code.hex())
    with pytest.raises(Stop, match=rf"{address} has other code .* at byte 100 .*bond nothing there, .*: its commit is"):
        inspect_deployment(chain.web3, chain.deployment)
    anvil.request("anvil_setCode", address, "0x" + code.hex() + "00")
    with pytest.raises(Stop, match=rf"{address} has other code .*bytes instead of"):
        inspect_deployment(chain.web3, chain.deployment)


def test_a_contract_that_is_not_there_is_told(anvil: Anvil, chain: Chain) -> None:
    anvil.request("anvil_setCode", chain.deployment.payouts, "0x")
    with pytest.raises(Stop, match=f"no Payouts at {chain.deployment.payouts} on chain 31337.*get the right file"):
        inspect_deployment(chain.web3, chain.deployment)


@pytest.mark.parametrize(
    ("field", "immutable"),
    [
        ("staking", "UNBONDING_PERIOD"), ("staking", "VERIFIERS"), ("appeals", "PAYOUTS"),
        ("registry", "TOKEN"), ("registry", "MIN_WINDOW"), ("payouts", "REPORTER_BPS"), ("commitments", "SEAL_DELAY"),
        ("attestations", "HEADER_WAIT"), ("panels", "SEAT_BOND"), ("plants", "APPEALS"),
        ("policies", "_cachedDomainSeparator"), ("token", "_name"),
    ],
)  # fmt: skip
def test_a_wrong_immutable_is_named_with_both_values(anvil: Anvil, chain: Chain, field: str, immutable: str) -> None:
    address = chain.deployment.addresses[field]
    place = load_artifacts()[CONTRACTS[field]].immutables[immutable][-1]
    code = bytearray(chain.web3.eth.get_code(chain.web3.to_checksum_address(address)))
    code[place + 31] ^= 1
    anvil.request("anvil_setCode", address, "0x" + code.hex())
    with pytest.raises(Stop, match=rf"{address}: {immutable} is \w+ instead of \w+.*bond nothing there"):
        inspect_deployment(chain.web3, chain.deployment)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {"unbonding_period_s": 5}, r"UNBONDING_PERIOD is \d+ instead of 5,", id="a constant of another value"
        ),
        pytest.param(
            {"reporter_bps": None, "header_wait": None}, "does not say header_wait and reporter_bps", id="no constant"
        ),
        pytest.param({"chain_id": 5}, "serves chain 31337, but 'local-tests' is on chain 5", id="another chain"),
        pytest.param({"payouts": "0x" + "11" * 20}, "no Payouts at 0x1111", id="no contract"),
        pytest.param({"block": 10**6}, "before block 1000000, where the file begins", id="begins too late"),
        pytest.param({"creations": {}}, "does not name the transaction that created Staking", id="no creations"),
    ],
)
def test_a_file_that_does_not_fit_the_chain_is_told(chain: Chain, change: dict[str, Any], told: str) -> None:
    with pytest.raises(Stop, match=told):
        inspect_deployment(chain.web3, chain.deployment.model_copy(update=change))


def test_contracts_that_do_not_belong_together_are_told(chain: Chain) -> None:
    at = chain.deployment
    mixed = at.model_copy(update={"registry": at.attestations, "attestations": at.registry})
    # Staking keeps neither of the two, so that its code tells nothing; what it was created with does.
    with pytest.raises(
        Stop, match=rf"Staking at .* told registry {at.registry} instead of {at.attestations}.*bond nothing"
    ):
        inspect_deployment(chain.web3, mixed)
    swapped = at.model_copy(update={"verifiers": at.panels, "panels": at.verifiers})
    with pytest.raises(Stop, match=rf"Staking at .*: PANELS is {at.panels} instead of {at.verifiers}"):
        inspect_deployment(chain.web3, swapped)


def test_a_creation_that_is_not_the_contracts_is_told(chain: Chain) -> None:
    creations = chain.deployment.creations
    swapped = chain.deployment.model_copy(update={"creations": {**creations, "staking": creations["payouts"]}})
    with pytest.raises(Stop, match=rf"{creations['payouts']} did not create Staking at {chain.deployment.staking}"):
        inspect_deployment(chain.web3, swapped)
    unknown = chain.deployment.model_copy(update={"creations": {**creations, "staking": "0x" + "ab" * 32}})
    with pytest.raises(Stop, match=r"node has no transaction 0xabab.*a node with the whole history"):
        inspect_deployment(chain.web3, unknown)


@pytest.mark.parametrize("planted", [None, "token", "staking"])
def test_right_code_that_another_constructor_put_there_is_told(anvil: Anvil, chain: Chain, planted: str | None) -> None:
    """Code and immutables are as they should be; one of the constructors has also written into its storage."""
    web3, artifacts = chain.web3, load_artifacts()
    deployer = web3.to_checksum_address(ANVIL_DEPLOYER.address)
    parameters = {name: [each for each, _ in constructor_inputs(made.abi)] for name, made in artifacts.items()}
    constants = constants_of(chain.deployment, holder=deployer)
    hashes: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for creation in plan_creations(deployer, web3.eth.get_transaction_count(deployer), constants, parameters):
        artifact = artifacts[creation.contract]
        data = creation_input(artifact, creation.arguments)
        if creation.field == planted:
            data = planting(
                artifact, expected_immutables(creation.contract, creation.arguments, creation.address, 31_337)
            )
        sent = web3.eth.send_transaction({"from": deployer, "data": web3.to_hex(data)})
        assert web3.eth.wait_for_transaction_receipt(sent)["contractAddress"] == creation.address
        hashes[creation.field], addresses[creation.field] = web3.to_hex(sent), creation.address
    made = chain.deployment.model_copy(update={**addresses, "creations": hashes})
    if planted is None:
        assert len(inspect_deployment(web3, made)) == len(CONTRACTS)
        return
    assert int.from_bytes(web3.eth.get_storage_at(web3.to_checksum_address(addresses[planted]), 0), "big") == 1
    with pytest.raises(
        Stop, match=rf"{addresses[planted]} was created by other code .*its storage: bond nothing there"
    ):
        inspect_deployment(web3, made)


# ------------------------------------------------------------------------------------------------ the command itself


def test_the_command_prices_checks_and_refuses(anvil: Anvil, chain: Chain, tmp_path: Path) -> None:
    at = chain.deployment
    at.write(tmp_path)

    def assay(*arguments: str) -> Result:
        common = ("deploy", "--folder", str(tmp_path), "--rpc-url", anvil.rpc_url)
        return CliRunner().invoke(main, [*common, *arguments], prog_name="assay")

    checked = assay("--network", at.network, "--check")
    assert checked.exit_code == 0 and "is what this release deploys" in checked.stdout
    assert all(f"is {contract}" in checked.stdout for contract in CONTRACTS.values())
    told = json.loads(assay("--network", at.network, "--check", "--json").stdout)
    assert {each["field"]: each["address"] for each in told["contracts"]} == at.addresses

    priced = assay("--network", "local-priced", "--dry-run")
    assert priced.exit_code == 0 and "dry run: nothing was sent" in priced.stdout
    told = json.loads(assay("--network", "local-priced", "--dry-run", "--json").stdout)
    total = sum(int(each["fee_wei"]) for each in told["creations"])
    assert int(told["fee_wei"]) == total == told["gas"] * int(told["gas_price_wei"]) > 0
    assert all(each["address"] in priced.stdout and f"{each['gas']:,}" in priced.stdout for each in told["creations"])
    assert not (tmp_path / "local-priced.json").exists()

    refused = assay("--network", at.network, "--dry-run")
    assert refused.exit_code != 0 and "add --replace" in refused.stderr
    replaces = json.loads(assay("--network", at.network, "--dry-run", "--replace", "--json").stdout)["replaces"]
    assert replaces == at.addresses

    anvil.request("anvil_setCode", at.staking, "0x00")
    tampered = assay("--network", at.network, "--check")
    assert tampered.exit_code != 0 and "bond nothing there" in tampered.stderr and not tampered.stdout


# ------------------------------------------------------------------------------------------------------- helpers


def constants_of(deployment: Deployment, holder: str) -> Constants:
    values: dict[str, Any] = {name: getattr(deployment, name) for name in CONSTANTS}
    return Constants(**values, holder=holder, supply=10**18)


def without(creations: dict[str, str], field: str) -> dict[str, str]:
    return {name: each for name, each in creations.items() if name != field}


def planting(artifact: Artifact, immutables: Mapping[str, bytes]) -> bytes:
    """Creation code that stores 1 in slot 0 and returns what the honest one returns."""
    code = bytearray(artifact.runtime)
    for name, places in artifact.immutables.items():
        for place in places:
            code[place : place + 32] = immutables[name]
    # PUSH1 1 PUSH0 SSTORE · PUSH2 length DUP1 PUSH1 14 PUSH0 CODECOPY · PUSH0 RETURN
    return bytes.fromhex("60015f55" + f"61{len(code):04x}" + "80600e5f39" + "5ff3") + bytes(code)
