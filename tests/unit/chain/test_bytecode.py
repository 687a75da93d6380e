"""Deployed code against compiled code: every change of a byte is found, and told as what it is."""

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from assay_core.chain.artifacts import Artifact
from assay_core.chain.bytecode import compare, creation_arguments, creation_input, expected_immutables
from assay_core.chain.creations import CONTRACTS, DEPLOYMENT, immutable_name

CHAIN = 31_337
ADDRESS = "0x" + "5A" * 20
OWNER = "0x00000000000000000000000000000000000000AA"
ARGUMENTS: dict[str, object] = {"owner": OWNER, "unbondingPeriod": 1_000}
ABI: tuple[dict[str, Any], ...] = (
    {
        "type": "constructor",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "unbondingPeriod", "type": "uint40"}],
    },
)
PLACES = {"OWNER": (10, 80), "UNBONDING_PERIOD": (120,), "_cachedThis": (160,)}
ARTIFACT = Artifact("Sample", ABI, bytes.fromhex("60806040"), bytes(range(10)) + bytes(190), PLACES)
IN_IMMUTABLES = {place + i: name for name, places in PLACES.items() for place in places for i in range(32)}


def deployed() -> bytearray:
    code, values = bytearray(ARTIFACT.runtime), expected_immutables("Sample", ARGUMENTS, ADDRESS, CHAIN)
    for name, places in PLACES.items():
        for place in places:
            code[place : place + 32] = values[name]
    return code


def test_honest_code_passes() -> None:
    assert compare(ARTIFACT, bytes(deployed()), ARGUMENTS, ADDRESS, CHAIN) is None


@given(st.integers(0, 199), st.integers(1, 255))
def test_any_other_byte_is_found_and_told_as_code_or_as_its_immutable(place: int, flip: int) -> None:
    code = deployed()
    code[place] ^= flip
    found = compare(ARTIFACT, bytes(code), ARGUMENTS, ADDRESS, CHAIN)
    assert found is not None and found.immutable == IN_IMMUTABLES.get(place)
    assert found.found != found.wanted


@pytest.mark.parametrize("code", [b"", bytes(deployed())[:-1], bytes(deployed()) + b"\0"])
def test_code_of_another_length_is_found(code: bytes) -> None:
    found = compare(ARTIFACT, code, ARGUMENTS, ADDRESS, CHAIN)
    assert found is not None and (found.immutable, found.wanted) == (None, "200 bytes")


@pytest.mark.parametrize(
    ("arguments", "address", "immutable", "shown"),
    [
        pytest.param(ARGUMENTS | {"unbondingPeriod": 5}, ADDRESS, "UNBONDING_PERIOD", ("1000", "5"), id="number"),
        pytest.param(ARGUMENTS | {"owner": ADDRESS}, ADDRESS, "OWNER", (OWNER, "0x" + "5A" * 20), id="address"),
        pytest.param(
            ARGUMENTS, OWNER, "_cachedThis", (f"0x{'5a' * 20:0>64}", f"0x{OWNER[2:].lower():0>64}"), id="itself"
        ),
    ],
)
def test_an_immutable_is_told_as_its_type_reads(
    arguments: dict[str, object], address: str, immutable: str, shown: tuple[str, str]
) -> None:
    found = compare(ARTIFACT, bytes(deployed()), arguments, address, CHAIN)
    assert found is not None and found.immutable == immutable
    assert (found.found.lower(), found.wanted.lower()) == (shown[0].lower(), shown[1].lower())


def test_every_place_of_an_immutable_is_compared() -> None:
    code = deployed()
    code[80 + 31] ^= 1  # the second of two
    found = compare(ARTIFACT, bytes(code), ARGUMENTS, ADDRESS, CHAIN)
    assert found is not None and found.immutable == "OWNER"


def test_each_address_of_the_struct_of_all_contracts_is_expected_in_its_immutable() -> None:
    addresses = tuple("0x" + f"{i:02x}" * 20 for i in range(1, len(CONTRACTS) + 1))
    values = expected_immutables("Sample", {DEPLOYMENT: addresses}, ADDRESS, CHAIN)
    found = {field: values[immutable_name(field)] for field in CONTRACTS}
    assert found == {field: bytes(12) + bytes([i]) * 20 for i, field in enumerate(CONTRACTS, 1)}


def test_the_struct_of_all_contracts_is_read_back_from_a_creation() -> None:
    kind = {
        "name": DEPLOYMENT,
        "type": "tuple",
        "components": [{"name": field, "type": "address"} for field in CONTRACTS],
    }
    artifact = Artifact("Sample", ({"type": "constructor", "inputs": [kind]},), b"\x60", b"", {})
    arguments: dict[str, object] = {DEPLOYMENT: tuple(OWNER for _ in CONTRACTS)}
    assert creation_arguments(artifact, creation_input(artifact, arguments)) == arguments


def test_an_immutable_that_nobody_knows_is_not_passed_over() -> None:
    with pytest.raises(LookupError, match=r"Sample\.OWNER"):
        compare(ARTIFACT, bytes(deployed()), {"unbondingPeriod": 1_000}, ADDRESS, CHAIN)


@pytest.mark.parametrize(("contract", "version"), [("AssayToken", "1"), ("Staking", "2"), ("Policies", "2")])
def test_the_domain_of_signatures_is_that_of_the_eip(contract: str, version: str) -> None:
    """The separator that eth-account signs with, for the same domain. Source: EIP-712."""
    from eth_account.messages import encode_typed_data

    types = {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Nothing": [{"name": "x", "type": "uint256"}],
    }
    domain = {"name": "Assay", "version": version, "chainId": CHAIN, "verifyingContract": ADDRESS}
    signed = encode_typed_data(
        full_message={"types": types, "domain": domain, "primaryType": "Nothing", "message": {"x": 1}}
    )
    assert expected_immutables(contract, {}, ADDRESS, CHAIN)["_cachedDomainSeparator"] == signed.header


@given(st.binary(min_size=20, max_size=20), st.integers(0, 2**40 - 1))
def test_the_arguments_of_a_creation_are_read_back(owner: bytes, period: int) -> None:
    data = creation_input(ARTIFACT, {"owner": "0x" + owner.hex(), "unbondingPeriod": period})
    read = creation_arguments(ARTIFACT, data)
    assert read is not None and read["unbondingPeriod"] == period and str(read["owner"]).lower() == "0x" + owner.hex()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x60\x80\x60\x41" + abi_encode(["address", "uint40"], [OWNER, 1]), id="other code"),
        pytest.param(ARTIFACT.creation + abi_encode(["address"], [OWNER]), id="too few"),
        pytest.param(ARTIFACT.creation + abi_encode(["address", "uint40"], [OWNER, 1]) + b"\0", id="a byte more"),
        pytest.param(ARTIFACT.creation + b"\xff" * 64, id="no address"),
    ],
)
def test_a_creation_that_is_not_exactly_encoded_has_no_arguments(data: bytes) -> None:
    assert creation_arguments(ARTIFACT, data) is None
