"""`assay token`: balances and transfers of the token that tasks pay in."""

import click

from assay_core.inspect.formatting import fields
from assay_core.protocol.amounts import parse_amount, plain
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    address_option,
    chain_options,
    group,
    key_options,
    pass_invocation,
    transaction_options,
)
from assay_protocol.cli.transact import COIN_DECIMALS, transact


@group("token")
def token() -> None:
    """Show and send the token that tasks pay in."""


@token.action("balance", example="assay token balance --keystore worker")
@address_option
@chain_options
@key_options
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
    receiver = invocation.address_of(to)
    sender = invocation.address_of(None)
    chain = invocation.chain()
    money = chain.money()
    wei = parse_amount(amount, money.decimals)
    outcome = transact(invocation, chain, [chain.token.transfer(receiver, wei)])
    invocation.emit(
        outcome.json(**{"from": sender, "to": receiver, "amount_wei": wei}),
        outcome.lines(f"sent {money.show(wei)} to {receiver}"),
    )
