"""A network on this machine: Anvil, the contracts, what carries bundles, and funded parties.

Each process has a free loopback port. Everything lies in one folder: keystores with a throw-away password, state, logs,
and the deployment that all commands of this network read (`ASSAY_DEPLOYMENTS`).
"""

import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from eth_account.signers.local import LocalAccount
from web3.types import RPCEndpoint

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import Call
from assay_core.chain.deploy import DeploySettings, deploy
from assay_core.chain.deployment import Deployment
from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore
from assay_core.chain.sender import Sender
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Role, TaskParams
from assay_core.transport.choose import EngineName, Transport, open_engine
from assay_protocol.devnet.anvil import anvil_command, free_port
from assay_protocol.devnet.carriers import Carrier, plan_relays, start_boards, start_bucket, start_relays
from assay_protocol.devnet.processes import Children, wait_for_port

FEES_WEI = 100 * 10**18
WORKS_IN_FLIGHT = 8
PASSWORD = "local-network"  # protects nothing: keys of a throw-away chain


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with a key: an initiator, a trainer or a verifier."""

    name: str
    account: LocalAccount
    keystore: Path

    @property
    def address(self) -> Address:
        return Address(self.account.address)


class LocalNetwork:
    """Owns the chain and what carries bundles. The children are stopped by whoever owns `children`."""

    def __init__(self, folder: Path, children: Children, *, network: str = "local", port: int | None = None) -> None:
        self.folder = folder
        self.network = network
        self.children = children
        self.password_file = folder / "password"
        self.rpc_url = f"http://127.0.0.1:{port or free_port()}"
        self._chain: Chain | None = None
        self._carrier: Carrier | None = None
        self._treasury: Party | None = None
        self._seats: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.password_file.write_text(PASSWORD)

    @property
    def chain(self) -> Chain:
        if self._chain is None:
            raise Stop("the local network has no chain yet: start it first")
        return self._chain

    @property
    def carrier(self) -> Carrier:
        if self._carrier is None:
            raise Stop("nothing carries bundles in the local network yet: start relays first")
        return self._carrier

    def env_of(self, name: str) -> Mapping[str, str]:
        """Settings for the processes of one party: a state folder of its own, and its place among the relays."""
        if name not in self._seats:
            self._seats.append(name)
        place = self.carrier.env(self._seats.index(name))
        return {**self.env, **place, "ASSAY_STATE_DIR": str(self.folder / "state" / name)}

    @property
    def env(self) -> Mapping[str, str]:
        """Settings for all processes of this network."""
        return {
            "ASSAY_DEPLOYMENTS": str(self.folder / "deployments"),
            "ASSAY_NETWORK": self.network,
            "ASSAY_KEYS_DIR": str(self.folder / "keys"),
            "ASSAY_PASSWORD_FILE": str(self.password_file),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }

    def start_chain(self) -> None:
        """Start Anvil and deploy to it; the token's supply goes to a treasury, from which parties are funded.

        Each transaction makes a block of its own until `tick`, so that setting up is quick.
        """
        port = self.rpc_url.rsplit(":", 1)[1]
        command = [anvil_command(), "--port", port, "--silent", "--accounts", "1"]
        child = self.children.start("anvil", command)
        wait_for_port(child, int(port))
        self._treasury = self._new_party("treasury")
        settings = DeploySettings(token_holder=self._treasury.address)
        deployment = deploy(self.network, self.rpc_url, settings=settings, folder=self.folder / "deployments")
        self._chain = Chain.connect(deployment)
        self._give_coin(self._treasury)

    def tick(self, block_seconds: int = 1) -> None:
        """From now on a block every so many seconds, as on a real network."""
        self._ask_anvil("evm_setAutomine", False)
        self._ask_anvil("evm_setIntervalMining", block_seconds)

    def _ask_anvil(self, method: str, *parameters: object) -> None:
        answer = self.chain.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if "error" in answer:
            raise Stop(f"anvil refuses {method}: {answer['error']}; is it a current version?")

    def start_carrier(self, engine: EngineName, *, relays: int = 3, boards: int = 2) -> Carrier:
        """Start what carries bundles, whichever engine that is. Raises Stop."""
        match engine:
            case "relay":
                return self.start_relays([free_port() for _ in range(relays)])
            case "swarm":
                self._carrier = start_boards(self.children, boards, self.env)
            case "s3":
                self._carrier = start_bucket(self.children)
        return self._carrier

    def start_relay(self, port: int | None = None) -> str:
        """A single one. Returns its URL."""
        self.start_relays([port or free_port()])
        return self.chain.deployment.relays[0]

    def start_relays(self, ports: Sequence[int]) -> Carrier:
        """Start relays that mirror each other, and name them in the deployment."""
        graph, urls = plan_relays(ports)
        deployment: Deployment = self.chain.deployment.with_relays(urls)
        deployment.write(self.folder / "deployments")
        self._chain = Chain.connect(deployment)
        self._carrier = start_relays(self.children, graph, urls, self.folder, self.env)
        return self._carrier

    @property
    def deployment_file(self) -> Path:
        """What `connect` and all commands take."""
        return self.folder / "deployments" / f"{self.network}.json"

    def observer(self) -> AbstractContextManager[Transport]:
        """The engine as somebody uses it who is no party: it reads only, from every relay."""
        at = self.chain.deployment
        cache = self.folder / "cache"
        engine, tables = self.carrier.engine, self.carrier.tables
        return open_engine(engine, relays=at.relays, cache=cache, chain_id=at.chain_id, tables=tables)

    def _new_party(self, name: str) -> Party:
        keystore = self.folder / "keys" / f"{name}.json"
        return Party(name, new_keystore(keystore, PASSWORD, rounds=LOCAL_ROUNDS), keystore)

    def _give_coin(self, party: Party) -> None:
        self._ask_anvil("anvil_setBalance", party.address, hex(FEES_WEI))

    def party(self, name: str, tokens_wei: int) -> Party:
        """Make a key, and give it coin for fees and tokens."""
        if self._treasury is None:
            raise Stop("the local network has no chain yet: start it first")
        party = self._new_party(name)
        self._give_coin(party)
        self.send(self._treasury, self.chain.token.transfer(party.address, tokens_wei))
        return party

    def send(self, party: Party, *calls: Call) -> None:
        """Send calls one after the other from a party's key."""
        sender = Sender(self.chain, party.account)
        for call in calls:
            sender.send(call)

    def bond_trainers(self, parties: Sequence[Party], params: TaskParams) -> None:
        """Bond what several works in flight need, so that nobody has to wait for a claim."""
        for party in parties:
            self.bond(party, Role.TRAINER, max(params.trainer_bond, WORKS_IN_FLIGHT * params.fraud_slash))

    def bond_verifiers(self, parties: Sequence[Party], params: TaskParams) -> None:
        """Bond what judging full epochs needs, in equal parts."""
        needed = needed_electorate(params, params.max_epoch_units)
        for party in parties:
            self.bond(party, Role.VERIFIER, max(params.verifier_bond, -(-needed // len(parties))))

    def bond(self, party: Party, role: Role, amount_wei: int) -> None:
        staking = self.chain.staking
        approve = self.chain.token.approve(staking.address, amount_wei)
        self.send(party, approve, staking.bond(role, amount_wei))


@contextmanager
def local_network(folder: str | PathLike[str], *, relays: int = 2, block_seconds: int = 1) -> "Generator[LocalNetwork]":
    """A chain with contracts and relays that mirror each other, in a folder of its own, until the context ends.

    `LocalNetwork.party` makes funded keys, `LocalNetwork.deployment_file` is what `connect` takes.
    Raises Stop: no Anvil, or the folder is not empty and not of a former run.
    """
    root = Path(folder).resolve()
    empty_folder(root)
    with Children(root / "logs") as children:
        network = LocalNetwork(root, children)
        network.start_chain()
        network.start_relays([free_port() for _ in range(relays)])
        network.tick(block_seconds)
        yield network


def empty_folder(folder: Path, option: str = "--out") -> None:
    """Make a run's folder; a former run's is replaced, anything else is left alone.

    Raises Stop: it is not a run's, or the run has not ended.
    """
    marker = folder / ".assay-run"
    if folder.exists() and any(folder.iterdir()):
        if not marker.exists():
            raise Stop(f"{folder} is not empty and not of a former run: name another folder with {option}")
        if (owner := _running(marker)) is not None:
            raise Stop(
                f"a network runs in {folder}, started by process {owner}: end it, or name another folder with {option}"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(f"{os.getpid()}\n")


def _running(marker: Path) -> int | None:
    """The process that made a run's folder, if it is alive and not this one."""
    try:
        owner = int(marker.read_text())
    except ValueError:
        return None
    if owner == os.getpid():
        return None
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # alive, and somebody else's
        pass
    return owner
