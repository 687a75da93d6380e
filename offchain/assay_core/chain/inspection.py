"""Are the contracts of a deployment those of this release? For who deployed them, and for a stranger about to bond.

Compared are the code on the chain and its immutables, and the transactions that created it: other creation code could
have written balances into a contract whose code is beyond reproach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from web3 import Web3
from web3.exceptions import TransactionNotFound

from assay_core.chain.artifacts import Artifact, load_artifacts
from assay_core.chain.bytecode import compare, creation_arguments
from assay_core.chain.creations import (
    CONTRACTS,
    DEPLOYMENT,
    Constants,
    arguments_of,
    constructor_inputs,
    creation_values,
)
from assay_core.chain.deployment import Deployment
from assay_core.chain.rpc import asking_node
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address
from assay_core.protocol.web import public_url

Addresses = tuple[str, ...]
BEWARE = "bond nothing there"
# Of a deployment's file, and of `Constants`.
CONSTANTS = ("unbonding_period_s", "min_window_s", "seal_delay", "header_wait", "seat_bond_wei", "reporter_bps")


@dataclass(frozen=True, slots=True)
class CheckedContract:
    """A contract that is what it should be. `contract` None: a token of others, whose code nobody compared."""

    field: str
    contract: str | None
    address: Address
    code_bytes: int
    tx_hash: str | None


@dataclass(frozen=True, slots=True)
class _Creation:
    """A creation as the chain has it."""

    data: bytes
    block: int


def inspect_deployment(
    web3: Web3, deployment: Deployment, artifacts: Mapping[str, Artifact] | None = None
) -> tuple[CheckedContract, ...]:
    """Check all contracts. A token without a creation in the file is another's: only that it has code is checked.

    Raises Stop: another chain, no contract, other code, another immutable, another creation, or too little in the file
    to tell. Unavailable: the node is down.
    """
    artifacts = load_artifacts() if artifacts is None else artifacts
    with asking_node("chain id"):
        chain_id = web3.eth.chain_id
    if chain_id != deployment.chain_id:
        raise Stop(
            f"the node serves chain {chain_id}, but {deployment.network!r} is on chain {deployment.chain_id}: "
            "name a node of that chain with --rpc-url"
        )
    constants = _constants(deployment)
    codes = {field: _code(web3, deployment, field) for field in CONTRACTS}
    checked: list[CheckedContract] = []
    for field, contract in CONTRACTS.items():
        if field == "token" and field not in deployment.creations:
            checked.append(CheckedContract(field, None, deployment.token, len(codes[field]), None))
            continue
        _check(web3, deployment, field, artifacts[contract], constants, codes[field])
        at = deployment.addresses[field]
        checked.append(CheckedContract(field, contract, at, len(codes[field]), deployment.creations[field]))
    return tuple(checked)


def _check(
    web3: Web3, deployment: Deployment, field: str, artifact: Artifact, constants: Constants, code: bytes
) -> None:
    parameters = {artifact.contract: [name for name, _ in constructor_inputs(artifact.abi)]}
    values = creation_values(constants, deployment.addresses)
    _compare_code(
        deployment, field, artifact, code, {n: v for n, v in values.items() if n in parameters[artifact.contract]}
    )
    creation = _creation(web3, deployment, field)
    told = creation_arguments(artifact, creation.data)
    if told is None:
        raise Stop(
            f"{_named(deployment, field)} was created by other code than this release's (transaction "
            f"{deployment.creations[field]}), which may have written into its storage: {BEWARE}"
        )
    # Who got how much of a new token is for its creator to choose.
    wanted = told if field == "token" else arguments_of(artifact.contract, parameters, values)
    if difference := _difference(told, wanted):
        raise Stop(
            f"{_named(deployment, field)} was created for another deployment: it was told {difference}, as it must by "
            f"the file: {BEWARE}; get the right file from the deployer, or deploy again"
        )
    if creation.block < deployment.block:
        raise Stop(
            f"{_named(deployment, field)} was created in block {creation.block}, before block {deployment.block}, "
            "where the file begins, so events would be missed: put the lower number into the file"
        )


def _difference(told: Mapping[str, object], wanted: Mapping[str, object]) -> str | None:
    """The first constructor argument that is another: `NAME IS instead of MUST BE`; of the struct of all addresses, one
    contract's.
    """
    for name, value in wanted.items():
        if name == DEPLOYMENT:
            parts = zip(CONTRACTS, cast(Addresses, told[name]), cast(Addresses, value), strict=True)
        else:
            parts = ((name, told[name], value),)
        for part, found, right in parts:
            if found != right:
                return f"{part} {found} instead of {right}"
    return None


def _compare_code(
    deployment: Deployment, field: str, artifact: Artifact, code: bytes, arguments: Mapping[str, object]
) -> None:
    found = compare(artifact, code, arguments, deployment.addresses[field], deployment.chain_id)
    if found is None:
        return
    here = _named(deployment, field)
    if found.immutable is None:
        raise Stop(
            f"{here} has other code than this release's ({found.found} instead of {found.wanted}): {BEWARE}, "
            f"unless the deployment is of another release: its commit is {deployment.git_commit}"
        )
    raise Stop(
        f"{here}: {found.immutable} is {found.found} instead of {found.wanted}, as it must be by the file: {BEWARE}; "
        "get the right file from the deployer, or deploy again"
    )


def _named(deployment: Deployment, field: str) -> str:
    return f"{CONTRACTS[field]} at {deployment.addresses[field]}"


def _constants(deployment: Deployment) -> Constants:
    values = {name: getattr(deployment, name) for name in CONSTANTS}
    if missing := [name for name, value in values.items() if value is None]:
        raise Stop(
            f"the file of {deployment.network!r} does not say {' and '.join(missing)}, so that cannot be checked: get "
            "the whole file from the deployer"
        )
    return Constants(**values)


def _code(web3: Web3, deployment: Deployment, field: str) -> bytes:
    address = deployment.addresses[field]
    with asking_node(f"code of {field}"):
        code = bytes(web3.eth.get_code(Web3.to_checksum_address(address)))
    if not code:
        raise Stop(
            f"no {CONTRACTS[field]} at {address} on chain {deployment.chain_id}: the chain was started again or the "
            "file is wrong; get the right file from the deployer, or deploy again"
        )
    return code


def _creation(web3: Web3, deployment: Deployment, field: str) -> _Creation:
    here = _named(deployment, field)
    tx_hash = deployment.creations.get(field)
    if tx_hash is None:
        raise Stop(
            f"the file of {deployment.network!r} does not name the transaction that created {here}: get the whole file "
            "from the deployer"
        )
    try:
        with asking_node(f"creation of {field}"):
            sent: Any = web3.eth.get_transaction(tx_hash)  # pyright: ignore[reportArgumentType]
            receipt: Any = web3.eth.get_transaction_receipt(tx_hash)  # pyright: ignore[reportArgumentType]
    except TransactionNotFound:
        url = public_url(deployment.rpc_url)
        raise Stop(
            f"the node has no transaction {tx_hash}, which the file names as the creation of {here}: name a node with "
            f"the whole history (--rpc-url; the file's is {url}), or get the right file"
        ) from None
    if receipt["contractAddress"] != deployment.addresses[field] or receipt["status"] != 1:
        raise Stop(f"transaction {tx_hash} did not create {here}: {BEWARE}; get the right file from the deployer")
    return _Creation(bytes(sent["input"]), int(receipt["blockNumber"]))
