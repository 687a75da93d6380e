"""A network on this machine: Anvil, the contracts, what carries bundles, and funded parties.

Each process has a free loopback port. Everything lies in one folder: keystores with a throw-away password, state, logs,
and the deployment that all commands of this network read (`ASSAY_DEPLOYMENTS`).
"""

import json
import os
import subprocess
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
from assay_core.chain.deployment import Deployment, load_deployment
from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Role, TaskId, TaskParams
from assay_core.transport.choose import EngineName, Transport, open_engine
from assay_protocol.devnet.anvil import anvil_command, free_port
from assay_protocol.devnet.carriers import Carrier, relay_url, start_bucket, start_relays, start_trackers
from assay_protocol.devnet.folder import PROCESSES, fresh
from assay_protocol.devnet.processes import Child, Children, wait_for_port
from assay_protocol.sending import send_all

STATE_EVERY_S = 30  # so much of the chain is lost at most when its node is killed
NODE_SETTLES_S = 0.3  # one that cannot have its port ends within
FEES_WEI = 100 * 10**18
SUBMISSIONS_IN_FLIGHT = 8
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
    """Owns the chain and what carries bundles. The children are stopped by anyone who owns `children`."""

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
        self._write_password()

    def _write_password(self) -> None:
        """For nobody else, as people keep theirs."""
        with os.fdopen(os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(PASSWORD)
        self.password_file.chmod(0o600)  # also one of a former run

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
            "ASSAY_SIGNER": "",  # its keys are its own
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }

    def start_chain(self) -> None:
        """Start Anvil and deploy to it; the token's supply goes to a treasury, from which parties are funded.

        Each transaction makes a block of its own until `tick`, so that setting up is quick.
        """
        self._start_node()
        self._treasury = self._new_party("treasury")
        settings = DeploySettings(token_holder=self._treasury.address)
        deployment = deploy(self.network, self.rpc_url, settings=settings, folder=self.folder / "deployments")
        self._chain = Chain.connect(deployment)
        self._give_coin(self._treasury)

    def resume_chain(self) -> None:
        """Start Anvil on the chain that a former run has left. Raises Stop: there is none, or it is another."""
        if not self._chain_file.is_file():
            raise Stop(f"{self._chain_file} is not there, so the chain is lost: start over with --fresh")
        self._start_node()
        self._chain = Chain.connect(load_deployment(str(self.deployment_file)))

    def _start_node(self) -> None:
        """With a state that outlives it: written at its end, and now and then."""
        port = self.rpc_url.rsplit(":", 1)[1]
        state = ("--state", str(self._chain_file), "--state-interval", str(STATE_EVERY_S))
        child = self.children.start("anvil", [anvil_command(), "--port", port, "--silent", "--accounts", "1", *state])
        self.wait_for_node(child)

    def wait_for_node(self, child: Child) -> None:
        """Until our own node answers. Raises Stop: it ended, as it does where somebody else has the port."""
        wait_for_port(child, int(self.rpc_url.rsplit(":", 1)[1]))
        try:
            code = child.process.wait(NODE_SETTLES_S)
        except subprocess.TimeoutExpired:
            return
        raise Stop(
            f"{child.name} ended with exit code {code}; is its port taken? Its log {child.log} ends:\n{child.tail()}"
        )

    def tick(self, block_seconds: int = 1) -> None:
        """From now on a block every so many seconds, as on a real network."""
        self._ask_anvil("evm_setAutomine", False)
        self._ask_anvil("evm_setIntervalMining", block_seconds)

    def _ask_anvil(self, method: str, *parameters: object) -> None:
        answer = self.chain.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if "error" in answer:
            raise Stop(f"anvil refuses {method}: {answer['error']}; is it a current version?")

    def start_carrier(self, engine: EngineName, *, relays: int = 3, trackers: int = 2) -> Carrier:
        """Start what carries bundles, whichever engine that is. Raises Stop."""
        match engine:
            case "relay":
                return self.start_relays([free_port() for _ in range(relays)])
            case "swarm":
                self._carrier = start_trackers(self.children, trackers, self.env)
            case "s3":
                self._carrier = start_bucket(self.children)
        return self._carrier

    def start_relay(self, port: int | None = None) -> str:
        """A single one. Returns its URL."""
        self.start_relays([port or free_port()])
        return self.chain.deployment.relays[0]

    def start_relays(self, ports: Sequence[int]) -> Carrier:
        """Start relays that mirror each other, and name them in the deployment."""
        urls = tuple(relay_url(port) for port in ports)
        if tuple(self.chain.deployment.relays) != urls:
            deployment: Deployment = self.chain.deployment.with_relays(urls)
            deployment.write(self.folder / "deployments")
            self._chain = Chain.connect(deployment)
        self._carrier = start_relays(self.children, ports, self.folder, self.env)
        return self._carrier

    @property
    def _chain_file(self) -> Path:
        return self.folder / "chain.json"

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
        send_all(self.chain, party.account, calls)

    def assay(self, party: Party, *arguments: str) -> str:
        """Run one `assay` command as a party, to its end. Returns what it printed. Raises Stop: it failed."""
        name = f"{party.name}-{arguments[0]}-{arguments[1]}"
        return self.children.run_assay(name, *arguments, "--keystore", party.name, env=self.env_of(party.name))

    def open_task(self, initiator: Party, task_file: Path) -> TaskId:
        """As an initiator does it. Raises Stop."""
        told = self.assay(initiator, "task", "open", str(task_file), "--json")
        return TaskId(int(json.loads(told)["task_id"]))

    def start_daemon(self, party: Party, role: str, task_id: TaskId, *more: str) -> Child:
        """`assay trainer run` or `assay verifier run`, as a party."""
        arguments = (role, "run", "--task", str(task_id), "--keystore", party.name)
        return self.children.assay(party.name, *arguments, *more, env=self.env_of(party.name))

    def bond_trainers(self, parties: Sequence[Party], params: TaskParams) -> None:
        """Bond what several submissions in flight need, so that nobody has to wait for a claim."""
        for party in parties:
            self.bond(party, Role.TRAINER, max(params.trainer_bond, SUBMISSIONS_IN_FLIGHT * params.fraud_slash))

    def bond_verifiers(self, parties: Sequence[Party], params: TaskParams) -> None:
        """Bond what judging full epochs needs, in equal parts."""
        needed = needed_electorate(params, params.max_epoch_units)
        for party in parties:
            self.bond(party, Role.VERIFIER, max(params.verifier_bond, -(-needed // len(parties))))

    def bond(self, party: Party, role: Role, amount_wei: int) -> None:
        bonding = self.chain.staking.bond(role, amount_wei)
        self.send(party, *self.chain.paying(party.address, amount_wei, bonding))


@contextmanager
def local_network(folder: str | PathLike[str], *, relays: int = 2, block_seconds: int = 1) -> "Generator[LocalNetwork]":
    """A chain with contracts and relays that mirror each other, in a folder of its own, until the context ends.

    `LocalNetwork.party` makes funded keys, `LocalNetwork.deployment_file` is what `connect` takes.
    Raises Stop: no Anvil, or the folder is not empty and not of a former run.
    """
    root = Path(folder).resolve()
    with fresh(root, "local_network(folder)"), Children(root / "logs", root / PROCESSES) as children:
        network = LocalNetwork(root, children)
        network.start_chain()
        network.start_relays([free_port() for _ in range(relays)])
        network.tick(block_seconds)
        yield network
