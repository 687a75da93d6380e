"""One call, said twice: to a contract as ABI bytes, to the model as a Python call."""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from offchain.chain.abis import canonical_type, entries, signature
from offchain.protocol.model import KEEPERS_ONLY, Network, Refused
from offchain.protocol.types import Address, TaskParams, Work

PARTS = {
    "AssayToken": "token",
    "Staking": "staking",
    "TaskRegistry": "registry",
    "Attestations": "attestations",
    "Challenges": "challenges",
    "Payouts": "payouts",
}


@dataclass(frozen=True, slots=True)
class Action:
    """`arguments` as the model takes them; `encoded` where the contract takes others: signatures."""

    caller: Address
    contract: str
    function: str
    arguments: tuple[Any, ...] = ()
    encoded: tuple[Any, ...] | None = None

    def data(self) -> bytes:
        return call_data(self.contract, self.function, self.arguments if self.encoded is None else self.encoded)

    def perform(self, model: Network) -> str | None:
        """The name of the error with which the model refuses; None: it does not."""
        try:
            if self.function in KEEPERS_ONLY.get(self.contract, ()):
                model.meddle(self.contract, self.function)
            getattr(getattr(model, PARTS[self.contract]), _snake(self.function))(self.caller, *self.arguments)
        except Refused as refusal:
            return refusal.error
        return None


def call_data(contract: str, function: str, arguments: Sequence[Any]) -> bytes:
    selector, inputs, _ = _function(contract, function)
    return selector + encode(inputs, [_plain(each) for each in arguments])


@cache
def view_data(contract: str, function: str, arguments: tuple[Any, ...]) -> bytes:
    """As `call_data`: the same questions are asked again and again."""
    return call_data(contract, function, arguments)


@cache
def read_answer(contract: str, function: str, answer: bytes) -> Any:
    """What a view answered; a tuple, unless it is one value."""
    values = decode(_function(contract, function)[2], answer)
    return values[0] if len(values) == 1 else tuple(values)


def nothing_of(contract: str, function: str) -> tuple[Any, ...]:
    """Arguments that are all zero, empty and nobody."""
    return tuple(_zero(kind) for kind in _function(contract, function)[1])


@cache
def _function(contract: str, function: str) -> tuple[bytes, list[str], list[str]]:
    (entry,) = (each for each in entries(contract, "function") if each["name"] == function)
    inputs, outputs = ([canonical_type(part) for part in entry[side]] for side in ("inputs", "outputs"))
    return keccak(text=signature(entry))[:4], inputs, outputs


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _plain(value: Any) -> Any:
    if isinstance(value, (TaskParams, Work)):
        return astuple(value)
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value  # pyright: ignore


def _zero(kind: str) -> Any:
    if kind.endswith("[]"):
        return []
    if kind.startswith("("):
        return tuple(_zero(each) for each in kind[1:-1].split(","))
    if kind.startswith("bytes"):
        return bytes(int(kind.removeprefix("bytes") or 0))
    return {"address": "0x" + "00" * 20, "bool": False, "string": ""}.get(kind, 0)
