"""`assay up`: a local network that stays up until Ctrl-C."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation

if TYPE_CHECKING:
    from assay_protocol.devnet.localnet import LocalNetwork
    from assay_protocol.devnet.processes import Children

EXAMPLE = """assay up                                   # then, in a second terminal:
source .assay/local/env
assay stake bond --role trainer 100 --keystore worker
assay trainer run --task 1 --keystore worker"""
TOKEN = 10**18
STARTING_TOKENS = 10_000


@command("up", example=EXAMPLE)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".assay/local"), show_default=True,
              metavar="DIR", help="Where keys, state and logs go; a former network there is replaced.")  # fmt: skip
@click.option("--task-file", type=existing_file, default=None, metavar="SPEC.TOML",
              help="The task to open.  [default: that of the demo, sorting]")  # fmt: skip
@click.option(
    "--verifiers", type=click.IntRange(1, 16), default=3, show_default=True, help="How many verifiers to run."
)
@click.option(
    "--chain-port", type=click.IntRange(1, 65_535), default=8545, show_default=True, help="Port of the chain."
)
@click.option(
    "--relay-port", type=click.IntRange(1, 65_535), default=8600, show_default=True, help="Port of the first relay."
)
@click.option("--explorer-port", type=click.IntRange(1, 65_535), default=8080, show_default=True,
              help="Port of the explorer.")  # fmt: skip
@pass_invocation
def up(
    invocation: Invocation,
    folder: Path,
    task_file: Path | None,
    verifiers: int,
    chain_port: int,
    relay_port: int,
    explorer_port: int,
) -> None:
    """Run a local network: chain, contracts, two relays that mirror each other, a task, verifiers, explorer.

    Stays up until Ctrl-C. The network is called local, which is what all commands use by default; three funded keys,
    initiator, worker and judge, are ready for a second terminal.
    """
    from assay_protocol.cli.ports import require_free_port
    from assay_protocol.devnet.anvil import free_port
    from assay_protocol.devnet.localnet import LocalNetwork, empty_folder
    from assay_protocol.devnet.processes import Children
    from assay_protocol.tasks import network_task

    folder = folder.resolve()
    for port, name in ((chain_port, "--chain-port"), (relay_port, "--relay-port"), (explorer_port, "--explorer-port")):
        require_free_port("127.0.0.1", port, name)
    empty_folder(folder, "--folder")
    with Children(folder / "logs") as children:
        network = LocalNetwork(folder, children, port=chain_port)
        network.start_chain()
        network.start_relays([relay_port, free_port()])
        task_id = _open_task(network, task_file or network_task("sorting"))
        for role in ("worker", "judge"):
            network.party(role, STARTING_TOKENS * TOKEN)
        explorer = _start_verifiers(network, children, verifiers, task_id, explorer_port)
        env_file = _write_env(network)
        found = {
            "rpc_url": network.rpc_url,
            "relay": network.chain.deployment.relays[0],
            "relays": list(network.chain.deployment.relays),
            "explorer": explorer,
            "task_id": task_id,
            "env_file": str(env_file),
            "logs": str(folder / "logs"),
        }
        shown = {**found, "relays": " ".join(network.chain.deployment.relays)}
        lines = [f"{name:9} {value}" for name, value in shown.items() if name != "relay"]
        invocation.emit(found, [*lines, "", f"In a second terminal: source {env_file}", "Ctrl-C ends the network."])
        while True:
            children.check()
            time.sleep(1)


def _open_task(network: "LocalNetwork", task_file: Path) -> int:
    initiator = network.party("initiator", STARTING_TOKENS * TOKEN)
    arguments = ("task", "open", str(task_file), "--keystore", initiator.name, "--json")
    return int(
        json.loads(network.children.run_assay("task-open", *arguments, env=network.env_of(initiator.name)))["task_id"]
    )


def _start_verifiers(network: "LocalNetwork", children: "Children", count: int, task_id: int, port: int) -> str:
    """Bond and start the verifiers, and an explorer over the first one's database. Returns its URL."""
    from assay_core.protocol.types import TaskId
    from assay_protocol.devnet.processes import wait_for_port

    parties = [network.party(f"verifier-{number}", STARTING_TOKENS * TOKEN) for number in range(1, count + 1)]
    network.bond_verifiers(parties, network.chain.registry.params_of(TaskId(task_id)))
    network.tick()
    for party in parties:
        arguments = ("verifier", "run", "--task", str(task_id), "--keystore", party.name)
        children.assay(party.name, *arguments, env=network.env_of(party.name))
    first = parties[0].name
    arguments = ("verifier", "serve", "--port", str(port))
    wait_for_port(children.assay("explorer", *arguments, env=network.env_of(first)), port)
    return f"http://127.0.0.1:{port}"


def _write_env(network: "LocalNetwork") -> Path:
    """Settings for a shell, as `export` lines; commands keep their state here, not beside that of other networks."""
    path = network.folder / "env"
    wanted = {name: value for name, value in network.env_of("shell").items() if name.startswith("ASSAY_")}
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in wanted.items()))
    return path
