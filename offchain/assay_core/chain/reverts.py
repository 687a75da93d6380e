"""What a contract said when it refused: custom errors by name and values, whichever contract they come from."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError

from assay_core.chain.abis import CONTRACTS, AbiEntry, canonical_type, entries, signature
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import (
    ChallengeState,
    DisputePhase,
    EpochPhase,
    PlantState,
    PolicyState,
    Role,
    SubmissionKind,
)

SOLIDITY_ERRORS: tuple[AbiEntry, ...] = (
    {"name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)

ENUMERATIONS: dict[str, type[IntEnum]] = {
    f"enum {each.__name__}": each
    for each in (Role, SubmissionKind, EpochPhase, DisputePhase, ChallengeState, PolicyState, PlantState)
}


def _openzeppelin_error(name: str, *inputs: str) -> AbiEntry:
    return {"name": name, "inputs": [dict(zip(("type", "name"), each.split(), strict=True)) for each in inputs]}


# Any ERC-20 may be the deployment's token, and libraries revert with errors that no ABI of ours needs to list.
OPENZEPPELIN_ERRORS = (
    _openzeppelin_error("ERC20InsufficientBalance", "address sender", "uint256 balance", "uint256 needed"),
    _openzeppelin_error("ERC20InvalidSender", "address sender"),
    _openzeppelin_error("ERC20InvalidReceiver", "address receiver"),
    _openzeppelin_error("ERC20InsufficientAllowance", "address spender", "uint256 allowance", "uint256 needed"),
    _openzeppelin_error("ERC20InvalidApprover", "address approver"),
    _openzeppelin_error("ERC20InvalidSpender", "address spender"),
    _openzeppelin_error("ERC2612ExpiredSignature", "uint256 deadline"),
    _openzeppelin_error("ERC2612InvalidSigner", "address signer", "address owner"),
    _openzeppelin_error("SafeERC20FailedOperation", "address token"),
    _openzeppelin_error("SafeCastOverflowedUintDowncast", "uint8 bits", "uint256 value"),
    _openzeppelin_error("ReentrancyGuardReentrantCall"),
    _openzeppelin_error("ECDSAInvalidSignature"),
    _openzeppelin_error("ECDSAInvalidSignatureLength", "uint256 length"),
    _openzeppelin_error("ECDSAInvalidSignatureS", "bytes32 s"),
    _openzeppelin_error("InvalidShortString"),
    _openzeppelin_error("StringTooLong", "string str"),
    _openzeppelin_error("AddressEmptyCode", "address target"),
    _openzeppelin_error("FailedCall"),
    _openzeppelin_error("InvalidAccountNonce", "address account", "uint256 currentNonce"),
    _openzeppelin_error("OwnableUnauthorizedAccount", "address account"),
)


@dataclass(frozen=True, slots=True)
class ContractError:
    """A custom error with its values by name; `Unknown(data)` when no contract of ours declares it."""

    name: str
    arguments: dict[str, object]


@cache
def _known_errors(first: str | None) -> dict[bytes, AbiEntry]:
    """By selector. Two contracts may name the values of one error differently: `first` has the word."""
    order = sorted(CONTRACTS, key=lambda contract: contract == first)
    declared = [entry for contract in order for entry in entries(contract, "error")]
    return {keccak(text=signature(entry))[:4]: entry for entry in (*OPENZEPPELIN_ERRORS, *SOLIDITY_ERRORS, *declared)}


def decode_revert(data: bytes, contract: str | None = None) -> ContractError:
    """Decode what a call, of `contract`, reverted with.

    Never raises: what cannot be read is `Unknown`, nothing at all `Empty`.
    """
    if not data:
        return ContractError("Empty", {})
    entry = _known_errors(contract if contract in CONTRACTS else None).get(data[:4])
    unknown = ContractError("Unknown", {"data": "0x" + data[:260].hex()})
    if entry is None:
        return unknown
    types = [canonical_type(part) for part in entry["inputs"]]
    try:
        values = decode(types, data[4:])
    except (DecodingError, UnicodeDecodeError):
        return unknown
    names = [str(part["name"]) or f"arg{position}" for position, part in enumerate(entry["inputs"])]
    shown = (_shown(part, value) for part, value in zip(entry["inputs"], values, strict=True))
    return ContractError(str(entry["name"]), dict(zip(names, shown, strict=True)))


def reverted(error: ContractLogicError, call: str) -> Reverted:
    """The protocol's error for what web3 raised; `call` reads `Contract.function`."""
    data = error.data
    if isinstance(data, str) and data.startswith("0x"):
        found = decode_revert(bytes.fromhex(data[2:]), call.split(".")[0])
    else:
        found = ContractError("Unknown", {"message": str(error.message or error)[:300]})
    return Reverted(found.name, found.arguments, call)


def _shown(part: AbiEntry, value: object) -> object:
    """Addresses as people write them, bytes as hex, enumerations by name; numbers and strings stay."""
    enumeration = ENUMERATIONS.get(str(part.get("internalType")))
    if enumeration is not None and value in [int(each) for each in enumeration]:
        return enumeration(value).name.lower()
    if part["type"] == "address":
        return to_checksum_address(str(value))
    return "0x" + value.hex() if isinstance(value, bytes) else value
