"""Calls sent one after another, and the approval that a payment needs first."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from assay_core.protocol.errors import Reverted, Stop

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.sender import Receipt, Sender
    from assay_core.protocol.types import Address

# Anybody may finalise; when somebody was quicker, what we wanted is done.
DONE_BY_OTHERS = frozenset({("finalise", "WrongPhase")})


def send_all(sender: "Sender", calls: "Sequence[Call]") -> "Iterator[tuple[Call, Receipt]]":
    """Send each call and wait for it; pass over what others have done. Raises Reverted, Unavailable, Stop."""
    for call in calls:
        try:
            yield call, sender.send(call)
        except Reverted as error:
            if (call.function, error.error) not in DONE_BY_OTHERS:
                raise


def approval(chain: "Chain", owner: "Address", spender: "Address", amount_wei: int) -> "list[Call]":
    """The approval that a payment needs first: none when the allowance suffices. Raises Stop: the balance does not."""
    balance = chain.token.balance_of(owner)
    if balance < amount_wei:
        money = chain.money()
        raise Stop(
            f"{owner} holds {money.show(balance)} but {money.show(amount_wei)} are needed: send it the missing "
            f"{money.show(amount_wei - balance)}"
        )
    if chain.token.allowance(owner, spender) >= amount_wei:
        return []
    return [chain.token.approve(spender, amount_wei)]
