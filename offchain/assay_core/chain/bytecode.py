"""Is the code at an address the one compiled here, and do its immutables hold what the constructor was to put there?

Pure. Code with immutables differs from the compiler's output just where those lie: these words are masked for the
comparison, and then each is compared with the value that the constructor's arguments make it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from assay_core.chain.artifacts import Artifact
from assay_core.chain.creations import CONTRACTS, DEPLOYMENT, constructor_inputs, immutable_name

WORD = 32
DOMAIN_NAME = "Assay"
DOMAIN_VERSIONS = {"AssayToken": "1"}  # of ERC20Permit
DOMAIN_VERSION = "2"  # of all other signatures that Assay's contracts take
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where deployed code is not as it should be: in an immutable, or (`immutable` None) in the code itself."""

    immutable: str | None
    found: str
    wanted: str


def compare(
    artifact: Artifact, code: bytes, arguments: Mapping[str, object], address: str, chain_id: int
) -> Mismatch | None:
    """The first difference between the code at `address` and the artifact, with these constructor arguments."""
    if len(code) != len(artifact.runtime):
        return Mismatch(None, f"{len(code)} bytes", f"{len(artifact.runtime)} bytes")
    masked = _masked(code, artifact)
    wanted = _masked(artifact.runtime, artifact)
    if masked != wanted:
        at = next(i for i in range(len(wanted)) if masked[i] != wanted[i])
        return Mismatch(None, f"0x{masked[at]:02x} at byte {at}", f"0x{wanted[at]:02x}")
    values = expected_immutables(artifact.contract, arguments, address, chain_id)
    for name, places in artifact.immutables.items():
        if name not in values:
            raise LookupError(f"no value is known for {artifact.contract}.{name}: add it to expected_immutables")
        for place in places:
            word = code[place : place + WORD]
            if word != values[name]:
                return Mismatch(name, _shown(word, arguments, name), _shown(values[name], arguments, name))
    return None


def expected_immutables(
    contract: str, arguments: Mapping[str, object], address: str, chain_id: int
) -> dict[str, bytes]:
    """Each immutable's word: those named after a constructor parameter or another contract's field, and those of
    OpenZeppelin's EIP712 (5.x).
    """
    version = DOMAIN_VERSIONS.get(contract, DOMAIN_VERSION)
    name_hash, version_hash = keccak(text=DOMAIN_NAME), keccak(text=version)
    domain = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    return {name: _word(value) for name, value in _named(arguments).items()} | {
        "_cachedDomainSeparator": keccak(
            abi_encode(domain, [keccak(DOMAIN_TYPE), name_hash, version_hash, chain_id, address])
        ),
        "_cachedChainId": _word(chain_id),
        "_cachedThis": _word(address),
        "_hashedName": name_hash,
        "_hashedVersion": version_hash,
        "_name": _short_string(DOMAIN_NAME),
        "_version": _short_string(version),
    }


def creation_input(artifact: Artifact, arguments: Mapping[str, object]) -> bytes:
    """Data of the transaction that creates the contract."""
    inputs = constructor_inputs(artifact.abi)
    return artifact.creation + abi_encode([kind for _, kind in inputs], [arguments[name] for name, _ in inputs])


def creation_arguments(artifact: Artifact, data: bytes) -> dict[str, object] | None:
    """The constructor's arguments in a creation's data; None where that holds other code, or is not exactly encoded."""
    if not data.startswith(artifact.creation):
        return None
    inputs = constructor_inputs(artifact.abi)
    kinds = [kind for _, kind in inputs]
    try:
        values: Sequence[object] = abi_decode(kinds, data[len(artifact.creation) :])
    except DecodingError:
        return None
    arguments: dict[str, object] = {
        name: _readable(kind, value) for (name, kind), value in zip(inputs, values, strict=True)
    }
    return arguments if creation_input(artifact, arguments) == data else None


def _readable(kind: str, value: Any) -> object:
    """A decoded argument with addresses as people write them."""
    if kind == "address":
        return to_checksum_address(value)
    if kind.startswith("("):
        return tuple(_readable(part, each) for part, each in zip(kind[1:-1].split(","), value, strict=True))
    return value


def _named(arguments: Mapping[str, object]) -> dict[str, object]:
    """Values by the immutable that may hold them; of the struct of all addresses, each by itself."""
    values = {immutable_name(parameter): value for parameter, value in arguments.items() if parameter != DEPLOYMENT}
    addresses = cast("Sequence[object]", arguments.get(DEPLOYMENT, ()))
    return values | {immutable_name(field): each for field, each in zip(CONTRACTS, addresses, strict=False)}


def _masked(code: bytes, artifact: Artifact) -> bytes:
    masked = bytearray(code)
    for places in artifact.immutables.values():
        for place in places:
            masked[place : place + WORD] = bytes(WORD)
    return bytes(masked)


def _word(value: object) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(WORD, "big")
    return bytes.fromhex(str(value).removeprefix("0x")).rjust(WORD, b"\0")


def _short_string(text: str) -> bytes:
    """OpenZeppelin's ShortString: up to 31 bytes from the left, their number in the last."""
    return text.encode().ljust(WORD - 1, b"\0") + bytes([len(text.encode())])


def _shown(word: bytes, arguments: Mapping[str, object], immutable: str) -> str:
    """A word as its parameter's type reads; others in hex."""
    kind = type(_named(arguments).get(immutable))
    if kind is int:
        return str(int.from_bytes(word, "big"))
    if kind is str and not any(word[:12]):
        return to_checksum_address(word[12:])
    return "0x" + word.hex()
