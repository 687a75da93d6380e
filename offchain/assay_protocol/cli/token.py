"""`assay token`: balances and transfers of the token that tasks pay in."""

import click

from assay_core.inspect.formatting import fields
from assay_core.protocol.amounts import COIN_DECIMALS, parse_amount, plain
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import address_options, group, pass_invocation, transaction_options
from assay_protocol.cli.transact import transact


@group("token")
def token() -> None:
    """Show, send and, on local chains, get the token that tasks pay in."""


@token.action("balance", example="assay token balance --keystore worker")
@address_options
@pass_invocation
def balance(invocation: Invocation, address: str | None) -> None:
    """Show what an address holds, in tokens and in the coin that pays for transactions."""
    holder = invocation.address_of(address)
    chain = invocation.chain()
    money, held, coin = chain.money(), chain.token.balance_of(holder), chain.balance_wei(holder)
    invocation.emit(
        {"address": holder, "balance_wei": held, "symbol": money.symbol, "decimals": money.decimals, "coin_wei": coin},
        fields([(holder, money.show(held)), ("for fees", plain(coin, COIN_DECIMALS))]),
    )


@token.action(
    "transfer", example="assay token transfer 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 10.5 --keystore main"
)
@click.argument("to", metavar="ADDRESS")
@click.argument("amount")
@transaction_options
@pass_invocation
def transfer(invocation: Invocation, to: str, amount: str) -> None:
    """Send AMOUNT tokens (such as 10.5) to ADDRESS."""
    receiver, sender = invocation.address_of(to), invocation.address_of()
    chain = invocation.chain()
    money = chain.money()
    wei = parse_amount(amount, money.decimals)
    outcome = transact(invocation, [chain.token.transfer(receiver, wei)])
    outcome.tell(f"sent {money.show(wei)} to {receiver}", **{"from": sender, "to": receiver, "amount_wei": wei})


@token.action("faucet", example="assay token faucet --keystore worker")
@address_options
@click.option("--amount", default="1000", show_default=True, help="Tokens.")
@pass_invocation
def faucet(invocation: Invocation, address: str | None, amount: str) -> None:
    """Give an address tokens and coin, on a chain of your own (Anvil)."""
    from assay_protocol.devnet.faucet import pour

    receiver = invocation.address_of(address)
    chain = invocation.chain()
    money = chain.money()
    wei = parse_amount(amount, money.decimals)
    pour(chain, receiver, wei)
    invocation.emit({"to": receiver, "amount_wei": wei}, [f"gave {money.show(wei)} to {receiver}"])
