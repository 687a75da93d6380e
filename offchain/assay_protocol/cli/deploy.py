"""`assay deploy`: put the contracts on a network; say what that would cost; check what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import fields
from assay_core.protocol.amounts import Money, parse_amount, parse_rate
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    command,
    dry_run_option,
    key_options,
    pass_invocation,
    relay_list_option,
)

if TYPE_CHECKING:
    from assay_core.chain.deploy import DeploySettings
    from assay_core.chain.signers import RemoteAccount

DEFAULT_RPC = "http://127.0.0.1:8545"
NEW_TOKEN_DECIMALS = 18
EXAMPLE = """assay deploy --network sepolia --rpc-url https://rpc.example --keystore deployer --dry-run
assay deploy --network sepolia --rpc-url https://rpc.example --check"""


@command("deploy", example=EXAMPLE)
@chain_options
@key_options
@relay_list_option
@dry_run_option
@click.option("--check", is_flag=True, help="Deploy nothing: compare the contracts that are there with this release.")
@click.option("--replace", is_flag=True, help="Deploy even where the network has live contracts; their file is kept.")
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
    "--seal-delay",
    type=click.IntRange(min=1, max=255),
    help="Blocks from an epoch's last submission to the one of which its seed comes, so that nobody foresees what is "
    "spot-checked.  [default: 4; 1 on a local chain]",
)
@click.option(
    "--header-wait",
    type=click.IntRange(min=0, max=200),
    help="Blocks after which a seed may come of that block's hash, where nobody shows its header.  "
    "[default: 64; 0 on a local chain]",
)
@click.option(
    "--min-window",
    "min_window_s",
    type=click.IntRange(min=1),
    help="Seconds that each window of a task has to have at least, so that some blocks fit into it.  "
    "[default: 12 for each block of the seal delay and six more, 120; 1 on a local chain]",
)
@click.option("--seat-bond", default="10", show_default=True, help="Tokens that a juror locks for each of its seats.")
@click.option(
    "--reporter-share",
    default="0.1",
    show_default=True,
    help="What of a fraud's slash goes to who reports it; the rest is burnt.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    envvar="ASSAY_DEPLOYMENTS",
    help="Where to write NAME.json.  [default: deployments]",
)
@pass_invocation
def deploy(invocation: Invocation, check: bool, replace: bool, folder: Path | None, **chosen: Any) -> None:
    """Deploy the token and Assay's ten contracts, and write deployments/NAME.json.

    All other commands read that file: hand it to those who join. Who gets one should run it through --check before
    bonding: that compares with this release. A public network is named in ape-config.yaml, and deployed to through ape,
    from the source tree, or without it by an external signer; on a local chain (Anvil) the development account deploys
    when no key is chosen. Nobody, the deployer included, can move money through these contracts.
    """
    from assay_core.chain.deploy import DeployKey, price_deployment
    from assay_core.chain.deploy import deploy as deploy_contracts
    from assay_core.chain.networks import node_url
    from assay_core.chain.signers import RemoteAccount
    from assay_core.inspect.deployment import price_json, price_lines

    if check:
        _check(invocation, folder)
        return
    network = invocation.network
    if "/" in network or network.endswith(".json"):
        raise Stop("--network must be the name that the deployment gets, not a path")
    rpc_url = invocation.rpc_url or node_url(network) or DEFAULT_RPC
    settings = _settings(invocation, rpc_url, **chosen)
    key = _key(invocation)
    named = Address(key.address) if isinstance(key, RemoteAccount) else key
    price = price_deployment(network, rpc_url, named, settings, folder=folder, replace=replace)
    if invocation.is_dry_run:
        invocation.emit(price_json(network, price), price_lines(network, settings.unbonding_period_s, price))
        return
    for doubt in price.warnings:
        click.echo(f"beware: {doubt}", err=True)
    opened = DeployKey(key, invocation.password_of(key)) if isinstance(key, Path) else key
    made = deploy_contracts(network, rpc_url, opened, settings, folder=folder, replace=replace)
    head = f"deployed {made.network!r} on chain {made.chain_id}, from block {made.block}; code and immutables checked"
    invocation.emit({"dry_run": False, **made.model_dump(mode="json")}, [head, *fields(made.addresses.items())])


def _key(invocation: Invocation) -> "Path | RemoteAccount | None":
    """A keystore that is not opened yet, or a signer's account; None: none was chosen. Raises Stop, Unavailable."""
    if invocation.signer is not None:
        return invocation.remote_account(invocation.signer, invocation.keystore)
    return None if invocation.keystore is None else invocation.keystore_path()


def _settings(
    invocation: Invocation,
    rpc_url: str,
    *,
    token: str | None,
    token_supply: str,
    token_holder: str | None,
    unbonding_days: float,
    seat_bond: str,
    reporter_share: str,
    **blocks: int | None,
) -> "DeploySettings":
    """Raises Stop: no address, no amount, no rate, or no token there."""
    from assay_core.chain.contracts import TokenContract
    from assay_core.chain.deploy import DeploySettings
    from assay_core.chain.rpc import connect_http

    taken = None if token is None else invocation.address_of(token)
    decimals = NEW_TOKEN_DECIMALS if taken is None else TokenContract(connect_http(rpc_url), taken).decimals()
    return DeploySettings(
        unbonding_period_s=round(unbonding_days * 86_400),
        seat_bond_wei=parse_amount(seat_bond, decimals),
        reporter_bps=parse_rate(reporter_share),
        token=taken,
        token_holder=None if token_holder is None else invocation.address_of(token_holder),
        token_supply_wei=parse_amount(token_supply, NEW_TOKEN_DECIMALS),
        relays=tuple(invocation.relays),
        **blocks,
    )


def _check(invocation: Invocation, folder: Path | None) -> None:
    """Raises Stop: what is on the chain is not this release's."""
    from assay_core.chain.contracts import TokenContract
    from assay_core.chain.deployment import load_deployment
    from assay_core.chain.inspection import inspect_deployment
    from assay_core.chain.rpc import connect_http
    from assay_core.inspect.deployment import checked_json, checked_lines

    deployment = load_deployment(invocation.network, folder)
    web3 = connect_http(invocation.rpc_url or deployment.rpc_url)
    checked = inspect_deployment(web3, deployment)
    token = TokenContract(web3, deployment.token)
    money = Money(token.symbol(), token.decimals())
    invocation.emit(checked_json(deployment, checked), checked_lines(deployment, checked, money))
