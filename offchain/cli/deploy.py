"""`assay deploy`: put the contracts on a network, through ape."""

from pathlib import Path

import click

from offchain.cli.amounts import parse_amount
from offchain.cli.invocation import Invocation
from offchain.cli.options import chain_options, command, dry_run_option, key_options, pass_invocation, relay_options
from offchain.cli.output import duration, fields
from offchain.protocol.errors import Stop

DEFAULT_RPC = "http://127.0.0.1:8545"
TOKEN_DECIMALS = 18


@command("deploy", example="assay deploy --network sepolia --rpc-url https://rpc.example --keystore deployer")
@chain_options
@key_options
@relay_options
@dry_run_option
@click.option("--token", metavar="ADDRESS", help="ERC-20 that tasks pay in.  [default: deploy a new AssayToken]")
@click.option("--token-supply", default="1000000000", show_default=True, help="Tokens that a new AssayToken makes.")
@click.option("--token-holder", metavar="ADDRESS", help="Who gets a new token's supply.  [default: the deployer]")
@click.option(
    "--unbonding-days",
    type=click.FloatRange(min=0, min_open=True, max=365),
    default=14,
    show_default=True,
    help="How long bonds stay slashable after they were asked back; longer than any epoch of a task.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    envvar="ASSAY_DEPLOYMENTS",
    help="Where to write NAME.json.  [default: deployments]",
)
@pass_invocation
def deploy(
    invocation: Invocation,
    token: str | None,
    token_supply: str,
    token_holder: str | None,
    unbonding_days: float,
    folder: Path | None,
) -> None:
    """Deploy token, staking, registry, attestations and payouts, and write deployments/NAME.json.

    All other commands read that file: hand it to those who join. On a local chain (Anvil) the development account
    deploys when no key is chosen. Nobody, the deployer included, can move money through these contracts.
    """
    from offchain.chain.deploy import DeployKey, DeploySettings
    from offchain.chain.deploy import deploy as deploy_through_ape
    from offchain.chain.keys import read_password
    from offchain.protocol.types import Address

    if "/" in invocation.network or invocation.network.endswith(".json"):
        raise Stop("--network must be the name that the deployment gets, not a path")
    settings = DeploySettings(
        unbonding_period_s=round(unbonding_days * 86_400),
        token=None if token is None else Address(invocation.address_of(token)),
        token_holder=None if token_holder is None else Address(invocation.address_of(token_holder)),
        token_supply_wei=parse_amount(token_supply, TOKEN_DECIMALS),
        relays=tuple(invocation.relays),
    )
    rpc_url = invocation.rpc_url or DEFAULT_RPC
    if invocation.is_dry_run:
        _describe(invocation, rpc_url, settings.unbonding_period_s)
        return
    key = None
    if invocation.keystore is not None:
        path = invocation.keystore_path()
        key = DeployKey(path, read_password(invocation.password_path, f"Password of {path.stem}: "))
    made = deploy_through_ape(invocation.network, rpc_url, key, settings, folder=folder)
    addresses = [(name, getattr(made, name)) for name in ("token", "staking", "registry", "attestations", "payouts")]
    head = f"deployed {made.network!r} on chain {made.chain_id}, from block {made.block}"
    invocation.emit({"dry_run": False, **made.model_dump(mode="json")}, [head, *fields(addresses)])


def _describe(invocation: Invocation, rpc_url: str, unbonding_period_s: int) -> None:
    """What would be deployed where, and what that costs about. Raises Unavailable: the node is down."""
    from offchain.chain.rpc import asking_node, connect_http, public_url
    from offchain.cli.amounts import plain
    from offchain.cli.transact import COIN_DECIMALS

    web3 = connect_http(rpc_url)
    with asking_node(f"connecting to {public_url(rpc_url)}"):
        chain_id, gas_price = web3.eth.chain_id, web3.eth.gas_price
    gas = _creation_gas()
    fee = gas * int(gas_price)
    shown = (
        "unknown until the contracts are built (`make setup`)"
        if gas == 0
        else (f"about {gas:,}, fee about {plain(fee, COIN_DECIMALS)}")
    )
    invocation.emit(
        {"dry_run": True, "network": invocation.network, "chain_id": chain_id, "gas": gas, "fee_wei": fee},
        [
            "dry run: nothing was sent",
            f"  would deploy {invocation.network!r} on chain {chain_id}, unbonding {duration(unbonding_period_s)}",
            f"  gas: {shown}",
        ],
    )


def _creation_gas() -> int:
    """What creating the contracts costs: 200 per byte of code, 16 per byte sent, and a transaction each; 0 unbuilt.

    Constructors are small beside it.
    """
    import json

    from offchain.chain.abis import CONTRACTS
    from offchain.chain.deploy import ROOT

    gas = 0
    for name in CONTRACTS:
        path = ROOT / ".build" / "forge" / f"{name}.sol" / f"{name}.json"
        if not path.is_file():
            return 0
        artifact = json.loads(path.read_text())
        code = len(artifact["deployedBytecode"]["object"]) // 2
        sent = len(artifact["bytecode"]["object"]) // 2
        gas += 53_000 + 200 * code + 16 * sent
    return gas
