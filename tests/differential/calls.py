"""One act, said to a contract as ABI bytes; and what a contract says, read.

Strings are read and written as bytes: anybody may put anything into them.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from assay_core.chain.abis import AbiEntry, canonical_type, entries, signature
from assay_core.chain.creations import CONTRACTS
from specs.acts import Act
from specs.facts import Fact
from specs.properties import Log
from specs.words import Block
from tests.differential.node import RawLog

NAMES = tuple(CONTRACTS.values())


def act_data(act: Act) -> bytes:
    return call_data(act.CONTRACT, act.FUNCTION, act.arguments)


def call_data(contract: str, function: str, arguments: Sequence[Any]) -> bytes:
    selector, inputs, _ = _function(contract, function)
    return selector + encode([_as_bytes(kind) for kind in inputs], [plain(each) for each in arguments])


@cache
def view_data(contract: str, function: str, arguments: tuple[Any, ...]) -> bytes:
    """As `call_data`: the same questions are asked again and again."""
    return call_data(contract, function, arguments)


@cache
def read_answer(contract: str, function: str, answer: bytes) -> Any:
    """What a view answered; a tuple, unless it is one value."""
    values = decode([_as_bytes(kind) for kind in _function(contract, function)[2]], answer)
    return values[0] if len(values) == 1 else tuple(values)


def nothing_of(contract: str, function: str) -> tuple[Any, ...]:
    """Arguments that are all zero, empty and nobody."""
    (entry,) = (each for each in entries(contract, "function") if each["name"] == function)
    return tuple(_zero(part) for part in entry["inputs"])


def read_log(log: RawLog, contract: str, block: Block) -> Log:
    """Raises KeyError: no event of this contract; eth_abi's errors: it does not decode."""
    entry = _events(contract)[log.topics[0]]
    indexed = [part for part in entry["inputs"] if part["indexed"]]
    others = [part for part in entry["inputs"] if not part["indexed"]]
    values = {part["name"]: _word(part, topic) for part, topic in zip(indexed, log.topics[1:], strict=True)}
    told = decode([_as_bytes(canonical_type(part)) for part in others], log.data)
    values |= {part["name"]: _named(part, value) for part, value in zip(others, told, strict=True)}
    return Log(block.number, block.time, contract, entry["name"], values)


def fact_fields(fact: Fact) -> dict[str, Any]:
    """What a fact's event tells, by the contract's names."""
    told = [each.name for each in fields(fact) if each.name not in (*fact.HIDDEN, "block", "number")]
    return {_camel(name): plain(getattr(fact, name)) for name in told}


def named_fields(fact: Fact) -> dict[str, Any]:
    """As `fact_fields`, with structs by field: as `read_log` reads them."""
    told = [each.name for each in fields(fact) if each.name not in (*fact.HIDDEN, "block", "number")]
    return {_camel(name): _by_name(getattr(fact, name)) for name in told}


def log_fields(log: Log) -> dict[str, Any]:
    return {name: _flat(value) for name, value in log.fields.items()}


def plain(value: Any) -> Any:
    """As eth_abi takes it: dataclasses and lists as tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(plain(getattr(value, each.name)) for each in fields(value))
    if isinstance(value, (list, tuple)):
        return tuple(plain(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    return value


@cache
def _function(contract: str, function: str) -> tuple[bytes, list[str], list[str]]:
    (entry,) = (each for each in entries(contract, "function") if each["name"] == function)
    inputs, outputs = ([canonical_type(part) for part in entry[side]] for side in ("inputs", "outputs"))
    return keccak(text=signature(entry))[:4], inputs, outputs


@cache
def _events(contract: str) -> dict[bytes, AbiEntry]:
    return {keccak(text=signature(entry)): entry for entry in entries(contract, "event")}


def _word(part: AbiEntry, topic: bytes) -> Any:
    return decode([canonical_type(part)], topic)[0]


def _as_bytes(kind: str) -> str:
    return kind.replace("string", "bytes")


def _named(part: AbiEntry, value: Any) -> Any:
    """Structs by field."""
    kind = str(part["type"])
    if kind == "tuple":
        return {each["name"]: _named(each, field) for each, field in zip(part["components"], value, strict=True)}
    if kind.startswith("tuple["):
        return [_named({**part, "type": "tuple"}, each) for each in value]
    return value


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_flat(each) for each in value.values())  # pyright: ignore[reportUnknownVariableType]
    return tuple(_flat(each) for each in value) if isinstance(value, (list, tuple)) else value  # pyright: ignore


def _by_name(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(each.name): _by_name(getattr(value, each.name)) for each in fields(value)}
    return [_by_name(each) for each in value] if isinstance(value, tuple) else value  # pyright: ignore


def _camel(name: str) -> str:
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(each.capitalize() for each in rest)


def _zero(part: AbiEntry) -> Any:
    kind = str(part["type"])
    if kind.endswith("[4]"):
        return tuple(_zero({**part, "type": kind[:-3]}) for _ in range(4))
    if kind.endswith("[]"):
        return ()
    if kind == "tuple":
        return tuple(_zero(each) for each in part["components"])
    if kind.startswith("bytes"):
        return bytes(int(kind.removeprefix("bytes") or 0))
    return {"address": "0x" + "00" * 20, "bool": False, "string": b""}.get(kind, 0)
