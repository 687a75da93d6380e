"""Reverts are told by the error's name and values, whoever raised it."""

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from web3.exceptions import ContractCustomError, ContractLogicError

from offchain.chain.abis import CONTRACTS, AbiEntry, canonical_type, entries, signature
from offchain.chain.reverts import decode_revert, reverted

CALLER = "0x00000000000000000000000000000000DeaDBeef"
ALL_ERRORS = [
    pytest.param(contract, entry, id=f"{contract}.{entry['name']}")
    for contract in CONTRACTS
    for entry in entries(contract, "error")
]
SAMPLES: dict[str, object] = {
    "address": CALLER,
    "bytes32": b"\x05" * 32,
    "string": "windows",
    "uint256": 2**255,
}


def revert_data(form: str, *values: object) -> bytes:
    inside = form[form.index("(") + 1 : -1]
    return keccak(text=form)[:4] + encode(inside.split(",") if inside else [], values)


@pytest.mark.parametrize(("contract", "entry"), ALL_ERRORS)
def test_every_error_of_every_contract_is_decoded(contract: str, entry: AbiEntry) -> None:
    types = [canonical_type(part) for part in entry["inputs"]]
    values = [SAMPLES.get(kind, 7) for kind in types]
    found = decode_revert(keccak(text=signature(entry))[:4] + encode(types, values), contract)
    assert found.name == entry["name"]
    is_phase = [part["internalType"] == "enum EpochPhase" for part in entry["inputs"]]
    texts = ["0x" + value.hex() if isinstance(value, bytes) else value for value in values]
    shown = ["missed" if phase else text for phase, text in zip(is_phase, texts, strict=True)]
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


@given(st.binary(max_size=300))
def test_decoding_never_fails(data: bytes) -> None:
    assert decode_revert(data).name


def test_what_web3_raises_becomes_our_error() -> None:
    data = "0x" + revert_data("BudgetTooSmall(uint256,uint256)", 1, 2).hex()
    error = reverted(ContractCustomError(data, data=data), "TaskRegistry.openTask")
    assert str(error) == "TaskRegistry.openTask reverts with BudgetTooSmall(budget=1, needed=2)"
    silent = reverted(ContractLogicError("execution reverted"), "Staking.bond")
    assert silent.error == "Unknown" and silent.arguments == {"message": "execution reverted"}
