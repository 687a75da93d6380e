"""What a deployment creates: which contracts in which order, with which constructor arguments, at which addresses.

Pure, and free of web3 and pydantic: ape's own environment imports it too (scripts/deploy.py). A further contract is one
more line in `CONTRACTS` and a field of `Deployment`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

# Field of `Deployment` and contract, in the order of creation. Constructors take their arguments by name: a parameter
# called like a field is that contract's address, `deployment` all of them in this order (that of the struct of this
# name), and the others are in `Constants`.
CONTRACTS: Mapping[str, str] = {
    "token": "AssayToken",
    "staking": "Staking",
    "registry": "TaskRegistry",
    "commitments": "Commitments",
    "verifiers": "Verifiers",
    "attestations": "Attestations",
    "policies": "Policies",
    "panels": "Panels",
    "appeals": "Appeals",
    "payouts": "Payouts",
    "plants": "Plants",
}
DEPLOYMENT = "deployment"  # the constructor's parameter that names all contracts


@dataclass(frozen=True, slots=True)
class Constants:
    """What constructors take besides addresses; `holder` and `supply` (wei) concern a new AssayToken alone."""

    unbonding_period_s: int
    min_window_s: int  # of a task's terms
    seal_delay: int  # blocks
    header_wait: int  # blocks
    seat_bond_wei: int
    reporter_bps: int
    holder: str | None = None
    supply: int | None = None

    def by_parameter(self) -> dict[str, object]:
        """Values by the name that the constructors' parameters have."""
        named = {
            "unbondingPeriod": self.unbonding_period_s,
            "minWindow": self.min_window_s,
            "sealDelay": self.seal_delay,
            "headerWait": self.header_wait,
            "seatBond": self.seat_bond_wei,
            "reporterBps": self.reporter_bps,
            "holder": self.holder,
            "supply": self.supply,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Creation:
    """One contract to be: `arguments` are the constructor's, by parameter."""

    field: str
    contract: str
    address: str
    arguments: Mapping[str, object]


def creation_address(deployer: str, nonce: int) -> str:
    """Where the contract comes to that an account creates with this nonce. Source: Ethereum yellow paper, § 7."""
    encoded: bytes = rlp.encode([to_canonical_address(deployer), nonce])  # pyright: ignore[reportUnknownMemberType]
    return to_checksum_address(keccak(encoded)[12:])


def plan_creations(
    deployer: str,
    nonce: int,
    constants: Constants,
    parameters: Mapping[str, Sequence[str]],
    *,
    token: str | None = None,
) -> tuple[Creation, ...]:
    """The creations in order. The contracts name one another as immutables, so all addresses are known beforehand.

    Args:
        nonce: of the first creation.
        parameters: names of each contract's constructor parameters.
        token: an ERC-20 that is there already, instead of a new AssayToken.
    """
    fields = [field for field in CONTRACTS if field != "token" or token is None]
    at = {field: creation_address(deployer, nonce + i) for i, field in enumerate(fields)}
    addresses = {**({} if token is None else {"token": token}), **at}
    values = creation_values(constants, addresses)
    return tuple(
        Creation(field, CONTRACTS[field], at[field], arguments_of(CONTRACTS[field], parameters, values))
        for field in fields
    )


def creation_values(constants: Constants, addresses: Mapping[str, str]) -> dict[str, object]:
    """What constructors may ask for, by parameter; `addresses` are those of all contracts, by field."""
    return {
        **constants.by_parameter(),
        **addresses,
        DEPLOYMENT: tuple(addresses[field] for field in CONTRACTS),
    }


def arguments_of(
    contract: str, parameters: Mapping[str, Sequence[str]], values: Mapping[str, object]
) -> dict[str, object]:
    """A constructor's arguments out of all values there are. Raises LookupError: one has no value."""
    if missing := [name for name in parameters[contract] if name not in values]:
        raise LookupError(f"no value for {contract}'s constructor parameter {missing[0]!r}: add it to Constants")
    return {name: values[name] for name in parameters[contract]}


def constructor_inputs(abi: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name and type of each constructor parameter, structs as tuples."""
    constructors = [entry for entry in abi if entry["type"] == "constructor"]
    return [(str(each["name"]), _canonical(each)) for entry in constructors for each in entry["inputs"]]


def _canonical(parameter: Mapping[str, Any]) -> str:
    if parameter["type"] != "tuple":
        return str(parameter["type"])
    return f"({','.join(_canonical(part) for part in parameter['components'])})"


def immutable_name(parameter: str) -> str:
    """The immutable that holds a parameter: `unbondingPeriod` → `UNBONDING_PERIOD`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter).upper()
