"""An act: a call that somebody makes. Why it is refused, and what follows from it if it is not."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from specs.facts import Fact, Pulled
from specs.history import History
from specs.money import postings
from specs.rules import allowance, balance
from specs.words import Address

ACTS: dict[tuple[str, str], type["Act"]] = {}


@dataclass(frozen=True, slots=True)
class Act:
    """Fields after `by` are the call's arguments, in their order."""

    CONTRACT: ClassVar[str] = ""
    FUNCTION: ClassVar[str] = ""

    by: Address

    def __init_subclass__(cls, contract: str = "", function: str = "") -> None:
        if contract:
            cls.CONTRACT, cls.FUNCTION = contract, function
        # A class with slots is made twice, the second time without these words: that one counts.
        if cls.__module__.startswith("specs.") and cls.FUNCTION:
            ACTS[cls.CONTRACT, cls.FUNCTION] = cls

    @property
    def arguments(self) -> tuple[Any, ...]:
        return tuple(getattr(self, each.name) for each in fields(self)[1:])

    def against(self, h: History) -> Iterator[str]:
        """Names of all errors that would be right to refuse it with; none: it may not be refused."""
        raise NotImplementedError

    def follows(self, h: History) -> Iterator[Fact]:
        """What happens, each told before the next is asked for."""
        raise NotImplementedError


def perform(h: History, act: Act) -> set[str]:
    """The reasons against it. None: it has happened."""
    reasons = set(act.against(h))
    if not reasons:
        for fact in act.follows(h):
            h.tell(fact)
            for posting in postings(fact, h):
                h.ledger.post(posting)
    return reasons


def cannot_pay(h: History, who: Address, contract: str, amount: int) -> Iterator[str]:
    if amount > allowance(h, who, h.places[contract]):
        yield "ERC20InsufficientAllowance"
    if amount > balance(h, who):
        yield "ERC20InsufficientBalance"


def pull(h: History, who: Address, contract: str, amount: int) -> Pulled:
    return Pulled(who, h.places[contract], amount)
