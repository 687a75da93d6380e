"""What a deployment would cost, and what is found on the chain of one, as people and programs read it. Pure."""

from collections.abc import Sequence
from typing import Any

from assay_core.chain.deploy import Price
from assay_core.chain.deployment import Deployment
from assay_core.chain.inspection import CONSTANTS, CheckedContract
from assay_core.inspect.formatting import duration, table
from assay_core.protocol.amounts import COIN_DECIMALS, GWEI_DECIMALS, Money, plain


def price_json(network: str, price: Price) -> dict[str, Any]:
    """What would be created where, and what it costs now."""
    facts = ("chain_id", "deployer", "nonce", "gas_price_wei", "creations", "gas", "fee_wei", "balance_wei", "warnings")
    return {
        "dry_run": True,
        "network": network,
        **{name: getattr(price, name) for name in facts},
        "replaces": None if price.replaces is None else price.replaces.addresses,
    }


def price_lines(network: str, unbonding_period_s: int, price: Price) -> list[str]:
    """The same for people."""
    rows = [
        [each.contract, each.address, f"{each.gas:,}", plain(each.fee_wei, COIN_DECIMALS)] for each in price.creations
    ]
    total = ["total", "", f"{price.gas:,}", plain(price.fee_wei, COIN_DECIMALS)]
    enough = "enough" if price.balance_wei >= price.needed_wei else "too little: half as much again as the fee is safe"
    lines = [
        "dry run: nothing was sent",
        f"would deploy {network!r} on chain {price.chain_id}, unbonding {duration(unbonding_period_s)}",
        *table([*rows, total], ["contract", "address", "gas", "fee in coin"], right=frozenset({2, 3})),
        f"gas price {plain(price.gas_price_wei, GWEI_DECIMALS)} gwei; on a rollup the fee for data comes on top",
        f"deployer {price.deployer} holds {plain(price.balance_wei, COIN_DECIMALS)}, nonce {price.nonce}: {enough}",
    ]
    lines += [f"beware: {doubt}" for doubt in price.warnings]
    if price.replaces is not None:
        lines.append(f"would replace the live deployment, and keep its file as {price.replaces.retired_name}.json")
    return lines


def checked_json(deployment: Deployment, checked: Sequence[CheckedContract]) -> dict[str, Any]:
    """What was found to be as it should be: constants and contracts."""
    facts = ("network", "chain_id", *CONSTANTS)
    return {**{name: getattr(deployment, name) for name in facts}, "contracts": checked}


def checked_lines(deployment: Deployment, checked: Sequence[CheckedContract], money: Money) -> list[str]:
    """The same for people."""
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
        f"a task's windows have at least {duration(deployment.min_window_s or 0)}; "
        f"a reporter gets {(deployment.reporter_bps or 0) / 100:g} % of a slash; "
        f"a juror's seat locks {money.show(deployment.seat_bond_wei or 0)}",
        f"seeds come of the block {deployment.seal_delay} after an epoch's last submission, by its hash after "
        f"{deployment.header_wait} more",
    ]
