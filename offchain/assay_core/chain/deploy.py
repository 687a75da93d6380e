"""Deploy the contracts, to a local chain by itself and to others through ape, check what came out, and write its file.

`price_deployment` and `deploy` refuse the same things, before anything is sent.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from assay_core.chain.ape import run_ape
from assay_core.chain.artifacts import Artifact, load_artifacts
from assay_core.chain.assumptions import doubts_about
from assay_core.chain.bytecode import creation_input
from assay_core.chain.checkout import source_commit
from assay_core.chain.create import create_all
from assay_core.chain.creations import Constants, Creation, constructor_inputs, plan_creations
from assay_core.chain.deployment import NETWORK_NAME, Deployment, deployments_folder, load_deployment
from assay_core.chain.inspection import CONSTANTS, inspect_deployment
from assay_core.chain.keys import development_account, keystore_address, load_account
from assay_core.chain.networks import LOCAL_CHAINS, ape_choice
from assay_core.chain.rpc import asking_node, connect_http
from assay_core.chain.signers import RemoteAccount
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address
from assay_core.protocol.web import public_url

SEAL_DELAY = 4  # so many proposers in a row would have to be in league to foresee what is spot-checked
SLOWEST_BLOCK_S, SPARE_BLOCKS = 12, 6  # a least window has these for each block of a seal's delay, and beyond
LOCAL_POLL_S, PUBLIC_POLL_S = 0.05, 2.0  # between two looks for a receipt
HEADER_WAIT = 64  # time for anybody to show a header, and far from 256, when a chain has forgotten the block's hash
# Who deploys on a local chain when no key is named; it is also the first account of ape's test accounts.
ANVIL_DEPLOYER = development_account()


@dataclass(frozen=True, slots=True)
class DeploySettings:
    """`token` None deploys AssayToken and gives its supply to `token_holder`, by default the deployer."""

    unbonding_period_s: int = 14 * 86_400
    min_window_s: int | None = None  # by default 1 on a local chain
    seal_delay: int | None = None  # blocks; by default 1 on a local chain, which makes blocks as needed
    header_wait: int | None = None  # blocks; by default 0 on a local chain
    seat_bond_wei: int = 10 * 10**18
    reporter_bps: int = 1_000
    token: Address | None = None
    token_holder: Address | None = None
    token_supply_wei: int = 10**27
    relays: tuple[str, ...] = ()

    def on(self, chain_id: int) -> "DeploySettings":
        """The same with all that is open chosen for a chain."""
        is_local = chain_id in LOCAL_CHAINS
        delay = self.seal_delay if self.seal_delay is not None else 1 if is_local else SEAL_DELAY
        wait = self.header_wait if self.header_wait is not None else 0 if is_local else HEADER_WAIT
        least = 1 if is_local else SLOWEST_BLOCK_S * (delay + SPARE_BLOCKS)
        window = self.min_window_s if self.min_window_s is not None else least
        return replace(self, min_window_s=window, seal_delay=delay, header_wait=wait)

    def constants(self, deployer: Address) -> Constants:
        """What the constructors take. Raises Stop: what depends on the chain is not chosen yet."""
        if self.min_window_s is None or self.seal_delay is None or self.header_wait is None:
            raise Stop("choose a least window, a seal delay and a header wait: DeploySettings.on does, for a chain")
        return Constants(
            unbonding_period_s=self.unbonding_period_s,
            min_window_s=self.min_window_s,
            seal_delay=self.seal_delay,
            header_wait=self.header_wait,
            seat_bond_wei=self.seat_bond_wei,
            reporter_bps=self.reporter_bps,
            holder=self.token_holder or deployer,
            supply=self.token_supply_wei,
        )


@dataclass(frozen=True, slots=True)
class DeployKey:
    """A keystore and its password. In its place a `RemoteAccount` can deploy."""

    keystore: Path
    password: str

    def __repr__(self) -> str:
        return f"DeployKey({self.keystore})"


@dataclass(frozen=True, slots=True)
class CreationCost:
    """What creating one contract takes. `fee_wei` is at the present gas price; a rollup's fee for data comes on top."""

    field: str
    contract: str
    address: str
    gas: int
    fee_wei: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a deployment would cost and make; `replaces` is the deployment whose file it would take."""

    chain_id: int
    deployer: Address
    nonce: int
    gas_price_wei: int
    balance_wei: int
    creations: tuple[CreationCost, ...]
    replaces: Deployment | None
    warnings: tuple[str, ...]  # where this chain is not what the contracts rely on

    @property
    def gas(self) -> int:
        return sum(each.gas for each in self.creations)

    @property
    def fee_wei(self) -> int:
        return sum(each.fee_wei for each in self.creations)

    @property
    def needed_wei(self) -> int:
        """What the deployer should hold: gas gets dearer between the creations, and senders reserve more than they use.

        Running dry half-way costs all that was spent until then.
        """
        return self.fee_wei * 3 // 2


def price_deployment(
    network: str,
    rpc_url: str,
    key: Path | Address | None = None,
    settings: DeploySettings | None = None,
    *,
    folder: Path | None = None,
    replace: bool = False,
) -> Price:
    """What `deploy` would do, sending nothing and unlocking no key: that of a keystore, or of an address.

    Raises Stop: no such network, another chain, no key, or a live deployment would be replaced.
    Unavailable: the node is down.
    """
    settings = settings or DeploySettings()
    if not re.match(NETWORK_NAME, network):
        raise Stop(f"{network!r} cannot be a network's name: use lower-case letters, digits, - and _")
    if settings.unbonding_period_s < 1:
        raise Stop("the unbonding period must be a second at least; a task's windows must fit into it")
    web3 = connect_http(rpc_url)
    with asking_node(f"connecting to {public_url(rpc_url)}"):
        chain_id, gas_price = web3.eth.chain_id, int(web3.eth.gas_price)
    if key is None and chain_id not in LOCAL_CHAINS:
        raise Stop(f"{public_url(rpc_url)} serves chain {chain_id}, not a local one: name a keystore to deploy with")
    ape_choice(network, chain_id, rpc_url)
    replaces = _former(network, folder or deployments_folder(), web3, chain_id, replace)
    settings = settings.on(chain_id)
    deployer = Address(ANVIL_DEPLOYER.address) if key is None else _address_in(key) if isinstance(key, Path) else key
    nonce, balance = _nonce(web3, deployer), _balance(web3, deployer)
    artifacts = load_artifacts()
    costs = tuple(
        _cost(web3, deployer, creation, artifacts[creation.contract], gas_price)
        for creation in _plan(deployer, nonce, settings, artifacts)
    )
    doubts = doubts_about(web3, chain_id, settings.seal_delay or 0)
    return Price(chain_id, deployer, nonce, gas_price, balance, costs, replaces, doubts)


def _address_in(keystore: Path) -> Address:
    """Raises Stop: it does not tell; a price is told without opening it."""
    if (address := keystore_address(keystore)) is None:
        raise Stop(
            f"{keystore} does not name its address: make one that does, with `assay keys import NAME {keystore}`"
        )
    return address


def deploy(
    network: str,
    rpc_url: str,
    key: DeployKey | RemoteAccount | None = None,
    settings: DeploySettings | None = None,
    *,
    folder: Path | None = None,
    replace: bool = False,
    timeout_s: float = 600.0,
) -> Deployment:
    """Deploy, check, and write `<folder>/<network>.json`. Without a key a local chain's development account deploys.

    ape, which deploys to public networks, knows keystores alone: a signer's account does without it on any chain.
    With `replace` the file of a live deployment is kept under its `retired_name`, for those who have money there.
    Raises Stop: what `price_deployment` refuses, no ape, no balance, or what was made is not as it should be.
    Unavailable: node or signer is down.
    """
    settings = settings or DeploySettings()
    folder = folder or deployments_folder()
    named = key.keystore if isinstance(key, DeployKey) else None if key is None else Address(key.address)
    price = price_deployment(network, rpc_url, named, settings, folder=folder, replace=replace)
    settings = settings.on(price.chain_id)
    if price.balance_wei < price.needed_wei:
        raise Stop(
            f"{price.deployer} holds {Web3.from_wei(price.balance_wei, 'ether')} coins to pay for a deployment that "
            f"costs about {Web3.from_wei(price.fee_wei, 'ether')} on chain {price.chain_id}: fund it with "
            f"{Web3.from_wei(price.needed_wei, 'ether')}, since gas may get dearer on the way"
        )
    if price.chain_id in LOCAL_CHAINS or isinstance(key, RemoteAccount):
        created = _create(network, rpc_url, key, settings, price, timeout_s)
    else:
        created = _create_through_ape(network, rpc_url, key, settings, timeout_s)
    deployment = created.model_copy(
        update={
            **{name: getattr(settings, name) for name in CONSTANTS},
            "relays": settings.relays,
            # The file is shared: it must not hold an API key.
            "rpc_url": rpc_url if created.chain_id in LOCAL_CHAINS else public_url(rpc_url),
        }
    )
    inspect_deployment(connect_http(rpc_url), deployment)
    if price.replaces is not None:
        retired = price.replaces
        retired.model_copy(update={"network": retired.retired_name}).write(folder)
    deployment.write(folder)
    return deployment


def _former(network: str, folder: Path, web3: Web3, chain_id: int, replace: bool) -> Deployment | None:
    """The live deployment of that name, if any. Raises Stop without `replace`: there is one, or none can tell."""
    path = folder / f"{network}.json"
    if not path.is_file():
        return None
    try:
        former = load_deployment(path)
    except Stop as error:
        if replace:
            return None
        raise Stop(f"{error}; or add --replace to give it up for a new deployment") from error
    if former.chain_id != chain_id:
        if replace:
            return former
        raise Stop(
            f"{path} is of chain {former.chain_id}, and the node serves chain {chain_id}: use a node of that chain, "
            "deploy under another --network name, or add --replace"
        )
    contracts = [Web3.to_checksum_address(address) for field, address in former.addresses.items() if field != "token"]
    with asking_node("code of the former deployment"):
        is_live = any(web3.eth.get_code(address) for address in contracts)
    if is_live and not replace:
        raise Stop(
            f"{network!r} is deployed on chain {chain_id} already, and money may lie in its contracts ({path}): deploy "
            f"under another --network name, or add --replace, which keeps the file as {former.retired_name}.json"
        )
    return former if is_live else None


def _nonce(web3: Web3, deployer: Address) -> int:
    """Raises Stop: a transaction of the deployer is under way, so no address could be told beforehand."""
    account = Web3.to_checksum_address(deployer)
    with asking_node("nonce"):
        latest = web3.eth.get_transaction_count(account, "latest")
        pending = web3.eth.get_transaction_count(account, "pending")
    if pending != latest:
        raise Stop(f"{deployer} has transactions under way: wait until they are mined, then deploy")
    return latest


def _balance(web3: Web3, deployer: Address) -> int:
    with asking_node("balance"):
        return web3.eth.get_balance(Web3.to_checksum_address(deployer))


def _plan(
    deployer: Address, nonce: int, settings: DeploySettings, artifacts: Mapping[str, Artifact]
) -> tuple[Creation, ...]:
    """As both ways of creating them make it."""
    constants = settings.constants(deployer)
    parameters = {name: [each for each, _ in constructor_inputs(made.abi)] for name, made in artifacts.items()}
    return plan_creations(deployer, nonce, constants, parameters, token=settings.token)


def _cost(web3: Web3, deployer: Address, creation: Creation, artifact: Artifact, gas_price: int) -> CreationCost:
    """By the node's estimate; constructors call no other contract, so the others need not be there yet."""
    data = creation_input(artifact, creation.arguments)
    with asking_node(f"gas of {creation.contract}"):
        try:
            gas = web3.eth.estimate_gas({"from": Web3.to_checksum_address(deployer), "data": Web3.to_hex(data)})
        except (ContractLogicError, Web3RPCError) as error:
            raise Stop(
                f"{creation.contract} cannot be created with these settings: {str(error)[:300]}; change them, "
                "or the node"
            ) from error
    return CreationCost(creation.field, creation.contract, creation.address, gas, gas * gas_price)


def _create(
    network: str,
    rpc_url: str,
    key: DeployKey | RemoteAccount | None,
    settings: DeploySettings,
    price: Price,
    timeout_s: float,
) -> Deployment:
    account = load_account(key.keystore, key.password) if isinstance(key, DeployKey) else key or ANVIL_DEPLOYER
    poll_s = LOCAL_POLL_S if price.chain_id in LOCAL_CHAINS else PUBLIC_POLL_S
    artifacts = load_artifacts()
    plan = _plan(price.deployer, price.nonce, settings, artifacts)
    planned = [(creation, cost.gas) for creation, cost in zip(plan, price.creations, strict=True)]
    made = create_all(
        connect_http(rpc_url), account, price.nonce, planned, artifacts, timeout_s=timeout_s, poll_s=poll_s
    )
    addresses = {each.field: each.address for each in plan} | ({"token": settings.token} if settings.token else {})
    return Deployment.model_validate(
        {
            "network": network,
            "chain_id": price.chain_id,
            "rpc_url": rpc_url,
            "git_commit": source_commit(),
            "block": made.block,
            "creations": dict(made.creations),
            **addresses,
        }
    )


def _create_through_ape(
    network: str, rpc_url: str, key: DeployKey | None, settings: DeploySettings, timeout_s: float
) -> Deployment:
    if key is None:
        raise Stop("name a keystore to deploy with")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "deployment.json"
        run_ape(_arguments(network, key, settings, out), rpc_url, key.password, timeout_s)
        try:
            return Deployment.model_validate_json(out.read_bytes())
        except (OSError, ValidationError) as error:
            raise Stop("ape wrote no usable deployment: run `make setup`, then deploy again") from error


def _arguments(network: str, key: DeployKey, settings: DeploySettings, out: Path) -> list[str]:
    arguments = ["--name", network, "--out", str(out)]
    arguments += ["--unbonding-period", str(settings.unbonding_period_s), "--min-window", str(settings.min_window_s)]
    arguments += ["--seal-delay", str(settings.seal_delay), "--header-wait", str(settings.header_wait)]
    arguments += ["--seat-bond", str(settings.seat_bond_wei), "--reporter-bps", str(settings.reporter_bps)]
    arguments += ["--token-supply", str(settings.token_supply_wei)]
    arguments += ["--keystore", str(key.keystore.resolve()), "--password-file", "-"]
    if settings.token is not None:
        arguments += ["--token", settings.token]
    if settings.token_holder is not None:
        arguments += ["--token-holder", settings.token_holder]
    return arguments
