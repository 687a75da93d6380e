"""The network of `assay up`: made once, and gone on with at each further start, until somebody wants another one."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.localnet import LocalNetwork
from assay_protocol.devnet.processes import wait_for_port
from assay_protocol.tasks import example_task

PLAN = "network.json"  # written last: a network without it never stood
TOKEN = 10**18
STARTING_TOKENS = 10_000
ROLES = ("worker", "judge")  # keys for a newcomer, besides the initiator's
# So that task 1 of a network stays open for days: the example as it is but for budget and number of epochs.
LASTING = {r'^budget = "[0-9]+"': 'budget = "5000"', r"^max_epochs = [0-9]+": "max_epochs = 0"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network consists of. `ports`: of the chain, of the relays, of the explorer."""

    chain_port: int
    relay_ports: tuple[int, ...]
    explorer_port: int
    verifiers: tuple[str, ...]
    task_id: int

    def write(self, folder: Path) -> None:
        (folder / PLAN).write_text(json.dumps(asdict(self)))


def read_plan(folder: Path) -> Plan | None:
    """Of the network that stood here; None: none ever did. Raises Stop: what says so is damaged."""
    try:
        return TypeAdapter(Plan).validate_json((folder / PLAN).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise Stop(f"{folder / PLAN} is damaged: start over with --fresh") from error


def lasting_task(folder: Path) -> Path:
    """The task file of a network that is to stand for long, for its users to read."""
    text = example_task("sorting").read_text()
    for pattern, line in LASTING.items():
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert count == 1, pattern
    path = folder / "task.toml"
    path.write_text(text)
    return path


def make(network: LocalNetwork, task_file: Path, ports: Sequence[int], verifiers: int, say: Say) -> Plan:
    """All of a network, from nothing. Raises Stop: something does not start; then there is no network."""
    chain_port, relay_port, explorer_port = ports
    say(f"starting a chain (Anvil) on port {chain_port}, and deploying the contracts")
    network.start_chain()
    relay_ports = (relay_port, free_port())
    say(f"starting relays on ports {relay_port} and {relay_ports[1]}")
    network.start_relays(relay_ports)
    say("opening task 1, which builds its first policy")
    task_id = network.open_task(network.party("initiator", STARTING_TOKENS * TOKEN), task_file)
    for role in ROLES:
        network.party(role, STARTING_TOKENS * TOKEN)
    say(f"bonding {verifiers} verifiers")
    names = tuple(f"verifier-{number}" for number in range(1, verifiers + 1))
    parties = [network.party(name, STARTING_TOKENS * TOKEN) for name in names]
    network.bond_verifiers(parties, network.chain.registry.params_of(task_id))
    plan = Plan(chain_port, relay_ports, explorer_port, names, task_id)
    _start_services(network, plan, say)
    plan.write(network.folder)
    return plan


def go_on(network: LocalNetwork, plan: Plan, say: Say) -> None:
    """Start what a former run has left. Raises Stop."""
    say(f"going on with the chain on port {plan.chain_port}")
    network.resume_chain()
    say(f"starting relays on ports {', '.join(str(port) for port in plan.relay_ports)}")
    network.start_relays(plan.relay_ports)
    network.env_of("initiator")  # seats are given in this order, as when it was made
    _start_services(network, plan, say)


def watch(network: LocalNetwork, say: Say) -> None:
    """Start again what fails, for ever. Raises Stop: something fails again and again."""
    while True:
        if "anvil" in network.children.revive(say):
            network.wait_for_node(network.children["anvil"])
            network.tick()
        time.sleep(1)


def _start_services(network: LocalNetwork, plan: Plan, say: Say) -> None:
    """The verifiers, and an explorer over the first one's database."""
    network.tick()
    say(f"starting {len(plan.verifiers)} verifiers, and the explorer on port {plan.explorer_port}")
    for name in plan.verifiers:
        arguments = ("verifier", "run", "--task", str(plan.task_id), "--keystore", name)
        network.children.assay(name, *arguments, env=network.env_of(name))
    arguments = ("verifier", "serve", "--port", str(plan.explorer_port))
    explorer = network.children.assay("explorer", *arguments, env=network.env_of(plan.verifiers[0]))
    wait_for_port(explorer, plan.explorer_port)
