"""Send the transactions of a command one after another, or, with --dry-run, say what they would do and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay_core.inspect.formatting import moment
from assay_core.protocol.amounts import COIN_DECIMALS, plain
from assay_core.protocol.errors import Reverted, Stop
from assay_protocol.cli.invocation import Invocation

if TYPE_CHECKING:
    from assay_core.chain.contracts import Call
    from assay_core.chain.sender import EventKind, Receipt


@dataclass(frozen=True, slots=True)
class Done:
    """One transaction, sent or (without a hash) only simulated; then the fee is what it would cost at most now."""

    call: str
    gas: int
    fee_wei: int
    tx_hash: str | None = None

    def line(self) -> str:
        fee = f"gas {self.gas:,}, fee {plain(self.fee_wei, COIN_DECIMALS)}"
        return f"would send {self.call}: {fee}" if self.tx_hash is None else f"{self.call}: {fee}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command's transactions; `last`: the receipt of the last one that was sent."""

    invocation: Invocation
    done: Sequence[Done]
    last: "Receipt | None"

    def event(self, kind: "type[EventKind]") -> "EventKind | None":
        """What the last transaction did; None: it was not sent."""
        return None if self.last is None else self.last.event(kind)

    def tell(self, *achieved: str, **result: Any) -> None:
        """What was achieved (or, dry, that nothing was sent) and what it cost; for programs `result`, too."""
        is_dry_run = self.invocation.is_dry_run
        head = ("dry run: nothing was sent",) if is_dry_run else achieved
        data = {"dry_run": is_dry_run, "transactions": self.done, **result}
        self.invocation.emit(data, [*head, *(f"  {each.line()}" for each in self.done)])


def transact(invocation: Invocation, calls: "Sequence[Call]", *, refusals: Mapping[str, str] | None = None) -> Outcome:
    """Send `calls` in order from the chosen key.

    `refusals`: what to do about errors, by their names; `{argument}` stands for the moment that an error names.
    Raises Reverted, Unavailable, Stop (no key, it cannot pay).
    """
    from assay_protocol.sending import gas_of, gas_price_wei, require_coin, send_all

    chain, account = invocation.chain(), invocation.account()
    try:
        if invocation.is_dry_run:
            price, used = gas_price_wei(chain), gas_of(chain, account, calls)
            dry = [Done(str(call), gas, gas * price) for call, gas in zip(calls, used, strict=True)]
            require_coin(chain, account, sum(each.fee_wei for each in dry))
            return Outcome(invocation, dry, None)
        sent = send_all(chain, account, calls)
    except Reverted as error:
        if (told := (refusals or {}).get(error.error)) is None:
            raise
        moments = {name: moment(int(str(at))) for name, at in error.arguments.items() if f"{{{name}}}" in told}
        raise Stop(told.format(**moments)) from error
    done = [Done(str(call), each.gas_used, each.fee_wei, "0x" + each.tx_hash.hex()) for call, each in sent]
    return Outcome(invocation, done, sent[-1][1] if sent else None)
