"""A chain that is only paper: blocks follow each other, and nothing happens but in the model."""

from collections.abc import Sequence

from eth_utils.crypto import keccak

from offchain.protocol.model import Block
from offchain.protocol.types import Address
from tests.differential.calls import PARTS, Action
from tests.differential.node import Mined, Receipt, Transaction
from tests.differential.twin import ModelOf, Twin, account_of, endow, honest_model


class Paper:
    """A ledger that answers nothing."""

    def __init__(self) -> None:
        self._number = 0

    def mine(self, transactions: Sequence[Transaction], timestamp: int) -> tuple[Block, list[Mined]]:
        self._number += 1
        return Block(self._number, timestamp, keccak(self._number.to_bytes(8, "big"))), []

    def receipts(self, mined: Sequence[Mined]) -> list[Receipt]:
        raise NotImplementedError("paper knows nothing but the model")

    def call(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes]:
        raise NotImplementedError("paper knows nothing but the model")


class PaperTwin(Twin):
    """The model alone, played as beside a chain; after each call it looks for what must never happen."""

    def step(self, actions: Sequence[Action], seconds: int = 1) -> list[str | None]:
        self.perform(actions, seconds)
        return self.refusals

    def _perform(self, action: Action) -> str | None:
        shown = self.views(2)
        refusal = super()._perform(action)
        if refusal is not None:
            assert self.views(2) == shown, f"{action} was refused with {refusal}, and changed something"
        assert self.model.held() == self.model.owed(), f"{action}: what is held is not what is owed"
        return refusal


def make_paper_twin(roles: Sequence[str], model_of: ModelOf = honest_model) -> Twin:
    contracts = {name: Address(account_of(f"contract {name}").address) for name in PARTS}
    return endow(Paper(), contracts, roles, model_of, PaperTwin)
