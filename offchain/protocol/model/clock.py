"""When something happens in the model, and how it says no."""

from dataclasses import dataclass

from offchain.protocol.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Block:
    """All that a transaction can know of the world; `timestamp` in seconds, `prevrandao` 32 bytes."""

    number: int
    timestamp: int
    prevrandao: bytes = bytes(32)


@dataclass(slots=True)
class Clock:
    """The block in which the model's next calls happen; shared by its parts."""

    block: Block

    @property
    def number(self) -> int:
        return self.block.number

    @property
    def now(self) -> int:
        return self.block.timestamp


class Refused(ProtocolError):
    """What the contracts would revert with: `error` is the custom error's name, `Panic` for arithmetic."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def require(condition: bool, error: str) -> None:
    if not condition:
        raise Refused(error)


def minus(amount: int, less: int) -> int:
    """Checked subtraction, as Solidity does it."""
    require(amount >= less, "Panic")
    return amount - less
