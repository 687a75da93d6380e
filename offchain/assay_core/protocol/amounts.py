"""Amounts as people write them, and exactly what they stand for: "10.5" is tokens, "7 wei" is wei. Never a float."""

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext

from assay_core.protocol.errors import Stop

COIN_DECIMALS, GWEI_DECIMALS = 18, 9  # of a chain's coin, which pays for gas
SHOWN_PLACES = 6
MAX_AMOUNT = 2**128 - 1
TOKENS = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?|\.[0-9]{1,40}")
WEI = re.compile(r"([0-9]{1,40}) ?wei")


@dataclass(frozen=True, slots=True)
class Money:
    """What a token is called, and how many decimal places it has."""

    symbol: str
    decimals: int

    def show(self, wei: int) -> str:
        """For people, e.g. `10.5 ASSAY`: six places, never more than there is; what they cannot show is told in wei.

        Exact amounts are for programs, in wei.
        """
        shown = abs(wei) // self._step * self._step
        if shown == 0 and wei != 0:
            return f"{wei} wei"
        return self._named(shown if wei > 0 else -shown)

    def at_least(self, wei: int) -> str:
        """What somebody has to come up with: as `show`, but never less than it is."""
        return self._named(-(-wei // self._step) * self._step)

    @property
    def _step(self) -> int:
        return 10 ** max(0, self.decimals - SHOWN_PLACES)

    def _named(self, wei: int) -> str:
        return f"{plain(wei, self.decimals)} {self.symbol}".rstrip()


def plain(wei: int, decimals: int) -> str:
    """Exact decimal number of tokens: no exponent, no needless zeros."""
    whole, part = divmod(abs(wei), 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return ("-" if wei < 0 else "") + str(whole) + (f".{fraction}" if fraction else "")


def parse_amount(text: str, decimals: int) -> int:
    """Wei of an amount. Raises Stop: not an amount, more decimal places than the token has, or absurdly large."""
    text = text.strip().replace("_", "")
    if exact := WEI.fullmatch(text):
        wei = int(exact[1])
    elif TOKENS.fullmatch(text):
        with localcontext(prec=100):
            scaled = Decimal(text).scaleb(decimals)
            if scaled != scaled.to_integral_value():
                raise Stop(f"amount {text!r} has more than the token's {decimals} decimal places")
            wei = int(scaled)
    else:
        raise Stop(f'{text[:60]!r} is not an amount: write tokens as "10.5", or wei as "7 wei"')
    if wei > MAX_AMOUNT:
        raise Stop(f"amount {text[:60]!r} is larger than any balance can be")
    return wei


def parse_rate(text: str) -> int:
    """Basis points of a rate such as "0.5" or "50%". Raises Stop: not one, outside of 0 to 1, or finer than 0.0001."""
    number = text.strip()
    if not TOKENS.fullmatch(number.removesuffix("%")):
        raise Stop(f'{text[:60]!r} is not a rate: write "0.5" or "50%"')
    rate = Decimal(number.removesuffix("%")) * (100 if number.endswith("%") else 10_000)
    if rate != rate.to_integral_value() or not 0 <= rate <= 10_000:
        raise Stop(f"rate {text[:60]!r} must lie between 0 and 1, in steps of 0.0001")
    return int(rate)
