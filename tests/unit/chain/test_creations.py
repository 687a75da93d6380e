"""What a deployment creates: addresses told beforehand, arguments by name."""

import pytest
from eth_utils.address import to_checksum_address

from assay_core.chain.abis import load_abi
from assay_core.chain.creations import (
    CONTRACTS,
    DEPLOYMENT,
    Constants,
    constructor_inputs,
    creation_address,
    immutable_name,
    plan_creations,
)

DEPLOYER = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
PARAMETERS = {name: [each for each, _ in constructor_inputs(load_abi(name))] for name in CONTRACTS.values()}
CONSTANTS = Constants(
    unbonding_period_s=1_000,
    min_window_s=30,
    seal_delay=4,
    header_wait=64,
    seat_bond_wei=10**17,
    reporter_bps=500,
    holder=DEPLOYER,
    supply=10**18,
)


@pytest.mark.parametrize(
    ("nonce", "address"),
    [
        (0, "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
        (1, "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
        (2, "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
        (3, "0xfffd933a0bc612844eaf0c6fe3e5b8e9b6c1d19c"),
    ],
)
def test_an_address_follows_from_creator_and_nonce(nonce: int, address: str) -> None:
    """Vectors of the Ethereum Stack Exchange's answer on how contract addresses are computed (question 760)."""
    assert creation_address(DEPLOYER, nonce) == to_checksum_address(address)


def test_each_contract_is_told_of_the_others() -> None:
    plan = plan_creations(DEPLOYER, 7, CONSTANTS, PARAMETERS)
    at = {each.field: each.address for each in plan}
    assert list(at) == list(CONTRACTS)
    assert list(at.values()) == [creation_address(DEPLOYER, 7 + i) for i in range(len(CONTRACTS))]
    for each in plan:
        assert list(each.arguments) == PARAMETERS[each.contract]
        assert each.field == "token" or each.arguments[DEPLOYMENT] == tuple(at.values())
    assert plan[0].arguments == {"holder": DEPLOYER, "supply": 10**18}
    by_field = {each.field: each.arguments for each in plan}
    constants = {name: value for each in by_field.values() for name, value in each.items() if name != DEPLOYMENT}
    assert constants == {
        **plan[0].arguments,
        "unbondingPeriod": 1_000,
        "sealDelay": 4,
        "minWindow": 30,
        "headerWait": 64,
        "seatBond": 10**17,
        "reporterBps": 500,
    }


def test_the_struct_of_all_contracts_is_in_the_order_in_which_they_are_created() -> None:
    """Addresses go in by their places: two that were swapped would be told of only when it is too late."""
    for contract in list(CONTRACTS.values())[1:]:
        (constructor,) = (entry for entry in load_abi(contract) if entry["type"] == "constructor")
        assert constructor["inputs"][0]["name"] == DEPLOYMENT
        assert [part["name"] for part in constructor["inputs"][0]["components"]] == list(CONTRACTS)


def test_a_token_that_is_there_already_is_not_created() -> None:
    token = "0x" + "11" * 20
    plan = plan_creations(DEPLOYER, 7, CONSTANTS, PARAMETERS, token=token)
    assert [each.field for each in plan] == [field for field in CONTRACTS if field != "token"]
    assert plan[0].address == creation_address(DEPLOYER, 7)
    assert plan[0].arguments[DEPLOYMENT] == (token, *(each.address for each in plan))


def test_a_parameter_without_a_value_is_told_to_anyone_who_adds_it() -> None:
    with pytest.raises(LookupError, match=r"Staking's constructor parameter 'surprise': add it to Constants"):
        plan_creations(DEPLOYER, 0, CONSTANTS, PARAMETERS | {"Staking": ["deployment", "surprise"]})


@pytest.mark.parametrize(
    ("parameter", "immutable"),
    [("token", "TOKEN"), ("unbondingPeriod", "UNBONDING_PERIOD"), ("reporterBps", "REPORTER_BPS")],
)
def test_immutables_are_named_after_parameters(parameter: str, immutable: str) -> None:
    assert immutable_name(parameter) == immutable
