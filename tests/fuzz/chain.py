"""Fuzz targets: what a node tells. Block headers, logs, and the sealed reports that lie in them."""

import json
from pathlib import Path
from typing import Any

import rlp
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import strategies as st

from assay_core.chain.abis import AbiEntry, canonical_type, entries, signature
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment
from assay_core.chain.events import EVENT_TYPES, Event, Log, decode_log
from assay_core.chain.headers import encode_header
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId
from assay_verifier.sealed import Envelope, Secret, Subject
from tests.fuzz.mutate import HOSTILE_JSON, canonical, damaged, documents
from tests.fuzz.target import Makers, Target

HASH = bytes(range(32))
ADDRESS = Address("0x" + "A1" * 20)
BLOCK: dict[str, Any] = {
    "parentHash": "0x" + HASH.hex(), "sha3Uncles": "0x" + HASH.hex(), "miner": "0x" + "a1" * 20,
    "stateRoot": "0x" + HASH.hex(), "transactionsRoot": "0x" + HASH.hex(), "receiptsRoot": "0x" + HASH.hex(),
    "logsBloom": "0x" + "00" * 256, "difficulty": "0x0", "number": "0x10", "gasLimit": "0x1c9c380", "gasUsed": "0x0",
    "timestamp": "0x65000000", "extraData": "0x", "mixHash": "0x" + HASH[::-1].hex(), "nonce": "0x0000000000000000",
    "baseFeePerGas": "0x7",
}  # fmt: skip


def header(_: Path) -> Target:
    """A node's block: its header has the hash that the node named, or there is none."""
    fields = [b"" if text in ("0x", "0x0") else bytes.fromhex(_even(text)) for text in BLOCK.values()]
    sample = {**BLOCK, "hash": "0x" + keccak(rlp.encode(fields)).hex()}
    assert encode_header(sample) is not None

    def read(data: bytes) -> None:
        try:
            block = json.loads(data)
        except (ValueError, RecursionError):  # as anyone who asks the node reads it
            return
        if isinstance(block, dict):
            encoded = encode_header(block)  # pyright: ignore[reportUnknownArgumentType]
            assert encoded is None or "0x" + keccak(encoded).hex() == block["hash"]

    return Target(
        "block header", documents([sample], raw=HOSTILE_JSON), read, [canonical(sample)], HOSTILE_JSON, typed=()
    )


def _even(text: str) -> str:
    digits = text.removeprefix("0x")
    return digits if len(digits) % 2 == 0 else "0" + digits


def sealed_report(_: Path) -> Target:
    """What opens is what was sealed: anything else is refused."""
    subject = Subject(TaskId(1), Epoch(2), Seed(HASH), ADDRESS)
    envelope = Envelope(Account.from_key(HASH[::-1]), 31_337, ADDRESS)
    secrets = [Secret(report, HASH, Root(HASH)) for report in (b"", b"\x64\x00\xff\xfe", b"\x64" * 1_024)]
    sealed = {envelope.seal(secret, subject): secret for secret in secrets}

    def read(data: bytes) -> None:
        assert envelope.open(data, subject) == sealed.get(data), "something else than was sealed"

    always = [b"", b"\x00" * 91, b"\x00" * 92, b"\xff" * 1_152]
    return Target("sealed report", damaged(list(sealed)), read, list(sealed), always)


def log(_: Path) -> Target:
    """Logs of our contracts, whatever their data are: an event with readable text, or a typed error."""
    at = Deployment.model_validate(
        {"network": "local", "chain_id": 1, "rpc_url": "http://127.0.0.1:8545", "block": 1, "git_commit": ""}
        | {field: f"0x{number:040x}" for number, field in enumerate(CONTRACTS, start=1)}
    )
    samples = [_sample(kind, at) for kind in EVENT_TYPES]

    def read(value: tuple[Log, bytes, bytes]) -> None:
        entry, topics, data = value
        words = tuple(topics[start : start + 32] for start in range(0, len(topics), 32))
        found = decode_log(Log(entry.address, (*entry.topics[:1], *words), data, 1, HASH, 0, HASH), at)
        assert isinstance(found, Event)
        assert getattr(found, "uri", "").isprintable() and getattr(found, "spec_uri", "").isprintable()

    @st.composite
    def inputs(draw: st.DrawFn) -> tuple[Log, bytes, bytes]:
        entry = draw(st.sampled_from(samples))
        topics = b"".join(entry.topics[1:])
        if draw(st.booleans()):
            topics = draw(damaged([topics]))
        return entry, topics, draw(damaged([entry.data]))

    valid = [(entry, b"".join(entry.topics[1:]), entry.data) for entry in samples]
    return Target("log", inputs(), read, valid, typed=(Malformed,))


def _sample(kind: type[Event], at: Deployment) -> Log:
    """A log of an event, as its contract emits it."""
    [entry] = [each for each in entries(kind.CONTRACT, "event") if each["name"] == kind.__name__]
    indexed = [part for part in entry["inputs"] if part["indexed"]]
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    topics = [keccak(text=signature(entry)), *(encode([canonical_type(part)], [_value(part)]) for part in indexed)]
    data = encode([canonical_type(part) for part in plain], [_value(part) for part in plain])
    field = next(field for field, name in CONTRACTS.items() if name == kind.CONTRACT)
    return Log(at.addresses[field], tuple(topics), data, 1, HASH, 0, HASH)


def _value(part: AbiEntry, kind: str | None = None) -> Any:
    """Something of an ABI type."""
    kind = kind or str(part["type"])
    if kind.endswith("]"):
        item, _, size = kind.removesuffix("]").rpartition("[")
        return [_value(part, item)] * int(size or 2)
    if kind == "tuple":
        return tuple(_value(each) for each in part["components"])
    if kind.startswith("bytes"):
        return HASH[: int(kind.removeprefix("bytes") or 32)]
    return {"address": ADDRESS, "bool": True, "string": "assay:0x01"}.get(kind, 1)


CHAIN: Makers = {"block header": header, "sealed report": sealed_report, "log": log}
