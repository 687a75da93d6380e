"""All that happened, in order, and ways to look into it. What happened does not change, so answers are remembered."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from specs.facts import Fact
from specs.ledger import Ledger
from specs.words import NONE, Address, Block, Constants

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

GENESIS = Block(0, 0, NONE, NONE)


@dataclass(slots=True)
class Choices:
    """What the protocol leaves open, as somebody settled it. None: the lowest seats first."""

    jurors: tuple[Address, ...] | None = None


@dataclass(slots=True)
class _Index:
    """Facts of one kind by some of their fields."""

    fields: tuple[str, ...]
    found: dict[tuple[Any, ...], list[Fact]] = field(
        default_factory=lambda: cast(dict[tuple[Any, ...], list[Fact]], defaultdict(list))
    )

    def add(self, fact: Fact) -> None:
        self.found[tuple(getattr(fact, name) for name in self.fields)].append(fact)


class History:
    """`places`: addresses of the contracts by name."""

    def __init__(self, constants: Constants, places: Mapping[str, Address]) -> None:
        self.constants = constants
        self.places = places
        self.block = GENESIS
        self.blocks: dict[int, Block] = {}
        self.choices = Choices()
        self.ledger = Ledger()
        self.count = 0
        self._all: list[Fact] = []
        self._by_kind: dict[type[Fact], list[Fact]] = defaultdict(list)
        self._indices: dict[type[Fact], dict[tuple[str, ...], _Index]] = defaultdict(dict)
        self._folds: dict[tuple[Any, ...], tuple[int, Any]] = {}

    @property
    def now(self) -> int:
        return self.block.time

    def enter(self, block: Block) -> None:
        self.block = self.blocks[block.number] = block

    def tell(self, fact: Fact) -> None:
        fact.block, fact.number = self.block, self.count
        self.count += 1
        self._all.append(fact)
        for kind in type(fact).__mro__:
            if kind is Fact:
                break
            self._by_kind[kind].append(fact)
            for index in self._indices[kind].values():
                index.add(fact)

    def of(self, kind: type[F], **where: Any) -> Sequence[F]:
        """The facts of a kind, oldest first."""
        if not where:
            return cast(Sequence[F], self._by_kind[kind])
        names = tuple(where)
        index = self._indices[kind].get(names)
        if index is None:
            index = self._indices[kind][names] = _Index(names)
            for fact in self._by_kind[kind]:
                index.add(fact)
        return cast(Sequence[F], index.found.get(tuple(where.values()), ()))

    def since(self, number: int) -> Sequence[Fact]:
        """All facts from this number on."""
        return self._all[number:]

    def last(self, kind: type[F], **where: Any) -> F | None:
        found = self.of(kind, **where)
        return found[-1] if found else None

    def any(self, kind: type[F], **where: Any) -> bool:
        return len(self.of(kind, **where)) > 0

    def fold(self, name: str, start: T, step: Callable[[T, F], T], kind: type[F], **where: Any) -> T:
        """`step` over the facts of a kind; only those are gone through that came after the last time."""
        facts = self.of(kind, **where)
        key = (name, kind, tuple(where.items()))
        done, value = self._folds.get(key, (0, start))
        for fact in facts[done:]:
            value = step(value, fact)
        self._folds[key] = (len(facts), value)
        return value

    def total(self, amount: str, kind: type[F], **where: Any) -> int:
        return self.fold(amount, 0, lambda sum_, fact: sum_ + cast(int, getattr(fact, amount)), kind, **where)

    def each(self, name: str, kind: type[F], **where: Any) -> Sequence[Any]:
        """The different values of a field, in the order in which they first came up."""

        def step(seen: dict[Any, None], fact: F) -> dict[Any, None]:
            seen.setdefault(getattr(fact, name))
            return seen

        return list(self.fold(f"each {name}", {}, step, kind, **where))
