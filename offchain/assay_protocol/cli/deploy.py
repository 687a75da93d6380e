"""`assay deploy`: put the contracts on a network; say what that would cost; check what is there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_core.inspect.formatting import duration, fields, table
from assay_core.protocol.amounts import parse_amount, parse_rate, plain
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    command,
    dry_run_option,
    key_options,
    pass_invocation,
    relay_list_option,
)
from assay_protocol.cli.transact import COIN_DECIMALS

if TYPE_CHECKING:
    from assay_core.chain.deploy import DeploySettings, Price
    from assay_core.chain.deployment import Deployment
    from assay_core.chain.inspection import CheckedContract

DEFAULT_RPC = "http://127.0.0.1:8545"
TOKEN_DECIMALS = 18
GWEI_DECIMALS = 9
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
    help="Blocks from an epoch's last work to the one of which its seed comes, so that nobody foresees what is "
    "spot-checked.  [default: 4; 1 on a local chain]",
)
@click.option(
    "--header-wait",
    type=click.IntRange(min=0, max=200),
    help="Blocks after which a seed may come of that block's hash, where nobody shows its header.  "
    "[default: 64; 0 on a local chain]",
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
def deploy(
    invocation: Invocation,
    check: bool,
    replace: bool,
    token: str | None,
    token_supply: str,
    token_holder: str | None,
    unbonding_days: float,
    seal_delay: int | None,
    header_wait: int | None,
    seat_bond: str,
    reporter_share: str,
    folder: Path | None,
) -> None:
    """Deploy the token and Assay's ten contracts, and write deployments/NAME.json.

    All other commands read that file: hand it to those who join. Who gets one should run it through --check before
    bonding: that compares with this release. A public network is named in ape-config.yaml, and deployed to through ape,
    from the source tree; on a local chain (Anvil) the development account deploys when no key is chosen. Nobody, the
    deployer included, can move money through these contracts.
    """
    from assay_core.chain.deploy import DeploySettings
    from assay_core.protocol.types import Address

    if check:
        _check(invocation, folder)
        return
    if "/" in invocation.network or invocation.network.endswith(".json"):
        raise Stop("--network must be the name that the deployment gets, not a path")
    settings = DeploySettings(
        unbonding_period_s=round(unbonding_days * 86_400),
        seal_delay=seal_delay,
        header_wait=header_wait,
        seat_bond_wei=parse_amount(seat_bond, _token_decimals(invocation, token)),
        reporter_bps=parse_rate(reporter_share),
        token=None if token is None else Address(invocation.address_of(token)),
        token_holder=None if token_holder is None else Address(invocation.address_of(token_holder)),
        token_supply_wei=parse_amount(token_supply, TOKEN_DECIMALS),
        relays=tuple(invocation.relays),
    )
    if invocation.is_dry_run:
        _price(invocation, settings, folder, replace)
    else:
        _deploy(invocation, settings, folder, replace)


def _token_decimals(invocation: Invocation, token: str | None) -> int:
    """Of the token that tasks will pay in. Raises Stop: there is none at that address."""
    if token is None:
        return TOKEN_DECIMALS
    from assay_core.chain.contracts import TokenContract
    from assay_core.chain.rpc import connect_http

    return TokenContract(connect_http(_rpc_url(invocation)), invocation.address_of(token)).decimals()


def _rpc_url(invocation: Invocation) -> str:
    """Raises Stop: a public network without a node."""
    from assay_core.chain.networks import node_url

    return invocation.rpc_url or node_url(invocation.network) or DEFAULT_RPC


def _deploy(invocation: Invocation, settings: "DeploySettings", folder: Path | None, replace: bool) -> None:
    from assay_core.chain.deploy import DeployKey, price_deployment
    from assay_core.chain.deploy import deploy as deploy_contracts
    from assay_core.chain.keys import read_password

    rpc_url = _rpc_url(invocation)
    key = None
    if invocation.keystore is not None:
        path = invocation.keystore_path()
        key = DeployKey(path, read_password(invocation.password_path, f"Password of {path.stem}: "))
    keystore = None if key is None else key.keystore
    price = price_deployment(invocation.network, rpc_url, keystore, settings, folder=folder, replace=replace)
    for doubt in price.warnings:
        click.echo(f"beware: {doubt}", err=True)
    made = deploy_contracts(invocation.network, rpc_url, key, settings, folder=folder, replace=replace)
    head = f"deployed {made.network!r} on chain {made.chain_id}, from block {made.block}; code and immutables checked"
    invocation.emit({"dry_run": False, **made.model_dump(mode="json")}, [head, *fields(made.addresses.items())])


def _price(invocation: Invocation, settings: "DeploySettings", folder: Path | None, replace: bool) -> None:
    """What would be created where, and what it costs now."""
    from assay_core.chain.deploy import price_deployment

    keystore = None if invocation.keystore is None else invocation.keystore_path()
    price = price_deployment(
        invocation.network, _rpc_url(invocation), keystore, settings, folder=folder, replace=replace
    )
    data = {
        "dry_run": True,
        "network": invocation.network,
        "chain_id": price.chain_id,
        "deployer": price.deployer,
        "nonce": price.nonce,
        "gas_price_wei": price.gas_price_wei,
        "creations": [
            {"field": each.field, "contract": each.contract, "address": each.address, "gas": each.gas}
            | {"fee_wei": each.fee_wei}
            for each in price.creations
        ],
        "gas": price.gas,
        "fee_wei": price.fee_wei,
        "balance_wei": price.balance_wei,
        "warnings": list(price.warnings),
        "replaces": None if price.replaces is None else price.replaces.addresses,
    }
    invocation.emit(data, _price_lines(invocation.network, settings, price))


def _price_lines(network: str, settings: "DeploySettings", price: "Price") -> list[str]:
    rows = [
        [each.contract, each.address, f"{each.gas:,}", plain(each.fee_wei, COIN_DECIMALS)] for each in price.creations
    ]
    total = ["total", "", f"{price.gas:,}", plain(price.fee_wei, COIN_DECIMALS)]
    enough = "enough" if price.balance_wei >= price.needed_wei else "too little: half as much again as the fee is safe"
    lines = [
        "dry run: nothing was sent",
        f"would deploy {network!r} on chain {price.chain_id}, unbonding {duration(settings.unbonding_period_s)}",
        *table([*rows, total], ["contract", "address", "gas", "fee in coin"], right=frozenset({2, 3})),
        f"gas price {plain(price.gas_price_wei, GWEI_DECIMALS)} gwei; on a rollup the fee for data comes on top",
        f"deployer {price.deployer} holds {plain(price.balance_wei, COIN_DECIMALS)}, nonce {price.nonce}: {enough}",
    ]
    lines += [f"beware: {doubt}" for doubt in price.warnings]
    if price.replaces is not None:
        lines.append(f"would replace the live deployment, and keep its file as {price.replaces.retired_name}.json")
    return lines


def _check(invocation: Invocation, folder: Path | None) -> None:
    """Raises Stop: what is on the chain is not this release's."""
    from assay_core.chain.deployment import load_deployment
    from assay_core.chain.inspection import inspect_deployment
    from assay_core.chain.rpc import connect_http

    deployment = load_deployment(invocation.network, folder)
    checked = inspect_deployment(connect_http(invocation.rpc_url or deployment.rpc_url), deployment)
    data = {
        "network": deployment.network,
        "chain_id": deployment.chain_id,
        "unbonding_period_s": deployment.unbonding_period_s,
        "seal_delay": deployment.seal_delay,
        "header_wait": deployment.header_wait,
        "seat_bond_wei": deployment.seat_bond_wei,
        "reporter_bps": deployment.reporter_bps,
        "contracts": list(checked),
    }
    invocation.emit(data, _checked_lines(deployment, checked))


def _checked_lines(deployment: "Deployment", checked: "tuple[CheckedContract, ...]") -> list[str]:
    rows = [
        [
            each.field,
            each.address,
            f"{each.code_bytes:,}",
            "not Assay's: code not compared" if each.contract is None else f"is {each.contract}",
        ]
        for each in checked
    ]
    return [
        f"{deployment.network!r} on chain {deployment.chain_id} is what this release deploys",
        *table(rows, ["contract", "address", "bytes", "code, immutables, creation"], right=frozenset({2})),
        f"bonds unbond in {duration(deployment.unbonding_period_s or 0)}; "
        f"a reporter gets {(deployment.reporter_bps or 0) / 100:g} % of a slash; "
        f"a juror's seat locks {deployment.seat_bond_wei} wei",
        f"seeds come of the block {deployment.seal_delay} after an epoch's last work, by its hash after "
        f"{deployment.header_wait} more",
    ]
