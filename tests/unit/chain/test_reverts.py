"""Reverts are told by the error's name and values, anyone who raised it."""

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from web3.exceptions import ContractCustomError, ContractLogicError

from assay_core.chain.abis import CONTRACTS, AbiEntry, canonical_type, entries, signature
from assay_core.chain.reverts import ENUMERATIONS, decode_revert, reverted
from assay_core.inspect import wording as words

CALLER = "0x00000000000000000000000000000000DeaDBeef"
ALL_ERRORS = [
    pytest.param(contract, entry, id=f"{contract}.{entry['name']}")
    for contract in CONTRACTS
    for entry in entries(contract, "error")
]
SAMPLES: dict[str, object] = {
    "address": CALLER,
    "bytes32": b"\x05" * 32,
    "bytes31": b"\x06" * 31,
    "string": "windows",
    "uint256": 2**255,
}


def revert_data(form: str, *values: object) -> bytes:
    inside = form[form.index("(") + 1 : -1]
    return keccak(text=form)[:4] + encode(inside.split(",") if inside else [], values)


@pytest.mark.parametrize(("contract", "entry"), ALL_ERRORS)
def test_every_error_of_every_contract_is_decoded(contract: str, entry: AbiEntry) -> None:
    types = [canonical_type(part) for part in entry["inputs"]]
    is_enumeration = [part["internalType"] in ENUMERATIONS for part in entry["inputs"]]
    values = [1 if is_one else SAMPLES.get(kind, 7) for is_one, kind in zip(is_enumeration, types, strict=True)]
    found = decode_revert(keccak(text=signature(entry))[:4] + encode(types, values), contract)
    assert found.name == entry["name"]
    texts = ["0x" + value.hex() if isinstance(value, bytes) else value for value in values]
    shown = [
        ENUMERATIONS[part["internalType"]](1).name.lower() if is_one else text
        for is_one, part, text in zip(is_enumeration, entry["inputs"], texts, strict=True)
    ]
    assert list(found.arguments.values()) == shown
    assert list(found.arguments) == [part["name"] for part in entry["inputs"]]


@pytest.mark.parametrize(
    ("data", "name", "arguments"),
    [
        pytest.param(b"", "Empty", {}, id="nothing"),
        pytest.param(revert_data("Error(string)", "no"), "Error", {"reason": "no"}, id="require with a text"),
        pytest.param(revert_data("Panic(uint256)", 17), "Panic", {"code": 17}, id="overflow"),
        pytest.param(
            revert_data("ERC20InsufficientAllowance(address,uint256,uint256)", CALLER, 1, 2),
            "ERC20InsufficientAllowance",
            {"spender": CALLER, "allowance": 1, "needed": 2},
            id="the token",
        ),
        pytest.param(
            revert_data("SafeERC20FailedOperation(address)", CALLER),
            "SafeERC20FailedOperation",
            {"token": CALLER},
            id="a library",
        ),
        pytest.param(b"\x01\x02\x03\x04\x05", "Unknown", {"data": "0x0102030405"}, id="of a stranger"),
        pytest.param(bytes.fromhex("4e487b7100"), "Unknown", {"data": "0x4e487b7100"}, id="cut off"),
    ],
)
def test_reverts_are_named(data: bytes, name: str, arguments: dict[str, object]) -> None:
    found = decode_revert(data)
    assert (found.name, found.arguments) == (name, arguments)


@pytest.mark.parametrize(
    "error",
    [
        *("EmptyCommitment()", "AlreadyCommitted(address)", "AlreadyRevealed(address)", "NotCommitted(address)"),
        *("CommitmentMismatch(bytes31,bytes31)", "WasPresent(address)", "AlreadyPenalised(address)"),
        *("SeedBlockTooRecent(uint256)", "SeedBlockForgotten(uint256)", "HeaderAwaited(uint256)"),
        *("WrongHeader(bytes32,bytes32)", "UnsupportedToken(uint256,uint256)"),
    ],
)
def test_errors_of_libraries_have_their_names_and_words_for_people(error: str) -> None:
    name, inside = error[:-1].split("(")
    values = [SAMPLES.get(kind, 7) for kind in inside.split(",") if kind]
    found = decode_revert(revert_data(error, *values))
    assert found.name == name and "Unknown" not in str(found.arguments)
    assert words.refusal(name, "it reverts") != "it reverts" or name == "UnsupportedToken"


@given(st.binary(max_size=300))
def test_decoding_never_fails(data: bytes) -> None:
    assert decode_revert(data).name


def test_what_web3_raises_becomes_our_error() -> None:
    data = "0x" + revert_data("BudgetTooSmall(uint256,uint256)", 1, 2).hex()
    error = reverted(ContractCustomError(data, data=data), "TaskRegistry.openTask")
    assert str(error) == "TaskRegistry.openTask reverts with BudgetTooSmall(budget=1, needed=2)"
    silent = reverted(ContractLogicError("execution reverted"), "Staking.bond")
    assert silent.error == "Unknown" and silent.arguments == {"message": "execution reverted"}
