"""A chain that is only paper: blocks follow each other, and nothing happens but by the specification."""

from collections.abc import Sequence

from eth_utils.crypto import keccak

from assay_core.chain.creations import CONTRACTS
from specs.acts import Act, perform
from specs.facts import Fact
from specs.history import Choices
from specs.properties import Log
from specs.words import Address, Block
from tests.differential.calls import named_fields
from tests.differential.node import Mined, Receipt, Transaction
from tests.differential.twin import Twin, address_of, endow


class Paper:
    """A ledger that answers nothing."""

    def __init__(self) -> None:
        self._block = Block(0, 0, bytes(32), bytes(32))

    def mine(self, transactions: Sequence[Transaction], timestamp: int) -> tuple[Block, list[Mined]]:
        number = self._block.number + 1
        hashed = keccak(self.header(number))
        self._block = Block(number, timestamp, keccak(hashed), hashed)
        return self._block, []

    def skip(self, blocks: int, seconds: int) -> list[Block]:
        times = [self._block.time] * (blocks - 1) + [self._block.time + seconds]
        return [self.mine([], time)[0] for time in times]

    def header(self, number: int) -> bytes:
        return b"header of block %d" % number

    def receipts(self, mined: Sequence[Mined]) -> list[Receipt]:
        raise NotImplementedError("paper knows nothing but the specification")

    def call(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes]:
        raise NotImplementedError("paper knows nothing but the specification")


class PaperTwin(Twin):
    """The specification alone, played as beside a chain: its facts must keep what is looked for in logs."""

    def step(self, acts: Sequence[Act], seconds: int = 1) -> list[str | None]:
        block, _ = self.node.mine([], self.now + seconds)
        self.h.enter(block)
        self.refusals = [self._perform(act) for act in acts]
        self.observer.check_held()
        return self.refusals

    def compare(self, recent: int | None = None) -> int:
        """There is nothing to compare with."""
        return 0

    def _perform(self, act: Act) -> str | None:
        self.h.choices = Choices()
        before = self.h.count
        reasons = perform(self.h, act)
        told = self.h.since(before)
        assert not reasons or not told, f"{act} was refused, and yet {told} happened"
        for fact in told:
            self._observe(fact)
        refusal = min(reasons, default=None)
        self.outcomes[f"{act.CONTRACT}.{act.FUNCTION}", refusal or ""] += 1
        return refusal

    def _observe(self, fact: Fact) -> None:
        if not fact.SILENT:
            fields = named_fields(fact)
            self.observer.see(Log(self.h.block.number, self.now, "", type(fact).__name__, fields))


def make_paper_twin(roles: Sequence[str]) -> Twin:
    contracts = {name: address_of(f"contract {name}") for name in CONTRACTS.values()}
    return endow(Paper(), contracts, roles, PaperTwin)
