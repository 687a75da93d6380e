"""Strangers who call what only the contracts may call of one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from specs.acts import KEEPERS_ONLY, Act
from specs.facts import Fact
from specs.history import History
from specs.words import Address
from tests.differential.calls import nothing_of


@dataclass(frozen=True, slots=True)
class Meddle(Act):
    """With arguments that are all nothing."""

    @property
    def arguments(self) -> tuple[Any, ...]:
        return nothing_of(self.CONTRACT, self.FUNCTION)

    def against(self, h: History) -> Iterator[str]:
        yield "NotAuthorised"

    def follows(self, h: History) -> Iterator[Fact]:
        yield from ()


def _meddle_with(contract: str, function: str) -> type[Meddle]:
    return type(f"Meddle_{contract}_{function}", (Meddle,), {"CONTRACT": contract, "FUNCTION": function})


MEDDLING = [_meddle_with(contract, function) for contract, names in KEEPERS_ONLY.items() for function in names]


def meddle(stranger: Address) -> list[Act]:
    return [each(stranger) for each in MEDDLING]
