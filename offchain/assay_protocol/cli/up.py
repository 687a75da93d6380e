"""`assay up`: a local network that stays up until Ctrl-C, and goes on at the next start."""

import shlex
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation

if TYPE_CHECKING:
    from assay_protocol.devnet.folder import Running
    from assay_protocol.devnet.localnet import LocalNetwork
    from assay_protocol.devnet.standing_network import Plan

EXAMPLE = """assay up                                   # then, in a second terminal:
source .assay/local/env
assay stake bond --role trainer 100 --keystore worker
assay trainer run --task 1 --keystore worker
assay up --fresh                           # another network, in the place of the former one"""
DEFAULT_PORTS = {"--chain-port": 8545, "--relay-port": 8600, "--explorer-port": 8080}
DEFAULT_VERIFIERS = 3
Port = click.IntRange(1, 65_535)


@command("up", example=EXAMPLE)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".assay/local"), show_default=True,
              metavar="DIR", help="Where keys, state and logs go.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Start over: what a former network left in the folder is removed.")
@click.option("--end-left", is_flag=True, help="End processes that a network left here when it was killed.")
@click.option("--task-file", type=existing_file, default=None, metavar="SPEC.TOML",
              help="The task to open.  [default: sorting, open until somebody closes it]")  # fmt: skip
@click.option("--verifiers", type=click.IntRange(1, 16), help="How many verifiers to run.  [default: 3]")
@click.option("--chain-port", type=Port, help="Port of the chain.  [default: 8545]")
@click.option("--relay-port", type=Port, help="Port of the first relay.  [default: 8600]")
@click.option("--explorer-port", type=Port, help="Port of the explorer.  [default: 8080]")
@pass_invocation
def up(
    invocation: Invocation,
    folder: Path,
    fresh: bool,
    end_left: bool,
    task_file: Path | None,
    verifiers: int | None,
    chain_port: int | None,
    relay_port: int | None,
    explorer_port: int | None,
) -> None:
    """Run a local network: chain, contracts, two relays that mirror each other, a task, verifiers, explorer.

    Stays up until Ctrl-C; what fails is started again. The next start goes on with its chain, keys and task, on the
    same ports; --fresh starts over. Time passes while it is down: what had to happen by then is missed. The network is
    called local, which is what all commands use by default; three funded keys, initiator, worker and judge, are ready
    for a second terminal.
    """
    from assay_protocol.devnet.folder import PROCESSES, claimed, empty
    from assay_protocol.devnet.localnet import LocalNetwork
    from assay_protocol.devnet.processes import Children
    from assay_protocol.devnet.standing_network import go_on, lasting_task, make, read_plan, watch

    folder, say, began = folder.resolve(), _progress(), time.monotonic()
    given = {"--chain-port": chain_port, "--relay-port": relay_port, "--explorer-port": explorer_port}
    with claimed(folder, "--folder", partial(_may_end, end_left)):
        former = None if fresh else read_plan(folder)
        ports = {name: given[name] or default for name, default in DEFAULT_PORTS.items()}
        if former is not None:
            used = (former.chain_port, former.relay_ports[0], former.explorer_port)
            ports = dict(zip(DEFAULT_PORTS, used, strict=True))
            is_as = {**ports, "--verifiers": len(former.verifiers), "--task-file": None}
            _refuse_other(folder, {**given, "--verifiers": verifiers, "--task-file": task_file}, is_as)
        _require_free(ports)
        if former is None:
            empty(folder)
        with _ended_by_ctrl_c(say), Children(folder / "logs", folder / PROCESSES) as children:
            network = LocalNetwork(folder, children, port=ports["--chain-port"])
            if former is None:
                chosen = task_file or lasting_task(folder)
                plan = make(network, chosen, list(ports.values()), verifiers or DEFAULT_VERIFIERS, say)
            else:
                go_on(network, plan := former, say)
            say(f"ready after {time.monotonic() - began:.0f} s")
            _tell(invocation, network, plan)
            watch(network, say)


def _progress() -> Callable[[str], None]:
    """A line for each step, on stderr."""
    return lambda line: click.echo(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}", err=True)


@contextmanager
def _ended_by_ctrl_c(say: Callable[[str], None]) -> Generator[None]:
    """Ctrl-C is how a network ends: in order, and to be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        say("the network has ended; `assay up` goes on with it, `assay up --fresh` starts over")


def _may_end(is_wanted: bool, left: "Sequence[Running]") -> bool:
    """Whether to end what a network that was killed has left: as the option says, else as the operator does."""
    if is_wanted or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return is_wanted
    names = ", ".join(str(each) for each in left)
    return click.confirm(f"A network was killed here, and {names} still run. End them?", err=True)


def _require_free(ports: dict[str, int]) -> None:
    """Raises Stop: somebody listens on one; nothing has been started or changed by then."""
    from assay_protocol.cli.ports import require_free_port

    if len(set(ports.values())) < len(ports):
        raise Stop(f"{', '.join(ports)} must differ")
    for name, port in ports.items():
        require_free_port("127.0.0.1", port, name)


def _refuse_other(folder: Path, given: dict[str, Any], former: dict[str, Any]) -> None:
    """Raises Stop: options that the network which stands here cannot follow."""
    other = [name for name, value in given.items() if value is not None and value != former[name]]
    if other:
        names = ", ".join(other)
        raise Stop(f"the network in {folder} goes on as it was, which leaves no choice of {names}: or add --fresh")


def _tell(invocation: Invocation, network: "LocalNetwork", plan: "Plan") -> None:
    env_file, relays = _write_env(network), list(network.chain.deployment.relays)
    found = {
        "rpc_url": network.rpc_url,
        "relay": relays[0],
        "relays": relays,
        "explorer": f"http://127.0.0.1:{plan.explorer_port}",
        "task_id": plan.task_id,
        "env_file": str(env_file),
        "logs": str(network.folder / "logs"),
    }
    shown = {**found, "relays": " ".join(relays)}
    lines = [f"{name:9} {value}" for name, value in shown.items() if name != "relay"]
    source = f"In a second terminal: source {shlex.quote(str(env_file))}"
    invocation.emit(found, [*lines, "", source, "Ctrl-C ends the network."])


def _write_env(network: "LocalNetwork") -> Path:
    """Settings for a shell, as `export` lines; commands keep their state here, not beside that of other networks."""
    path = network.folder / "env"
    wanted = {name: value for name, value in network.env_of("shell").items() if name.startswith("ASSAY_")}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in wanted.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path
