"""`assay trainer`: run a bonded worker, or help one."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.bundle.disk import expanded
from assay_protocol.cli.invocation import Invocation, engine_tables
from assay_protocol.cli.options import (
    chain_options,
    group,
    key_options,
    pass_invocation,
    relay_options,
    stale_option,
    state_option,
    worker_options,
)
from assay_protocol.cli.ports import require_free_port
from assay_protocol.cli.status import all_or_one_task, show_daemons

if TYPE_CHECKING:
    from assay_core.inspect.waiting import Wait

task_option = click.option("--task", "task_id", metavar="ID", type=click.IntRange(min=1), required=True, help="Task.")

secret_option = click.option(
    "--group-secret", metavar="FILE", envvar="ASSAY_GROUP_SECRET", help="What the members of a group prove to know."
)


@group("trainer")
def trainer() -> None:
    """Run a bonded trainer, or help one."""


@trainer.action("run", example="assay trainer run --task 1 --keystore worker")
@task_option
@click.option(
    "--group",
    "group_place",
    metavar="[HOST:]PORT",
    envvar="ASSAY_GROUP",
    help="Share inner steps with assistants that ask here (HOST: 127.0.0.1).  [default: train alone]",
)
@click.option(
    "--group-wait",
    "group_wait_s",
    type=click.FloatRange(1, 3_600),
    metavar="SECONDS",
    help="Time limit for an assistant that hangs in a step.  [default: 30]",
)
@secret_option
@click.option(
    "--submissions-each",
    type=click.IntRange(1, 1_024),
    metavar="COUNT",
    envvar="ASSAY_SUBMISSIONS_EACH",
    help="Submissions for each epoch, as far as the task allows.  [default: 1]",
)
@click.option(
    "--plant-rate",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    envvar="ASSAY_PLANT_RATE",
    help="Share of your submissions that are planted frauds.  [default: 0]",
)
@click.option(
    "--planter-keystore",
    metavar="NAME|ADDRESS",
    envvar="ASSAY_PLANTER_KEYSTORE",
    help="Who puts down the deposits of plants and decoys.  [default: --keystore]",
)
@click.option(
    "--planter-password-file",
    metavar="FILE",
    envvar="ASSAY_PLANTER_PASSWORD_FILE",
    help="Of that key.  [default: --password-file]",
)
@click.option("--no-decoys", is_flag=True, help="Show which of your submissions are plants, and save their gas.")
@click.option(
    "--leave/--stay",
    "leaves",
    default=None,
    help="When asked to end: leave the task, so that nobody waits for you.  [default: ask on a terminal, else stay]",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    envvar="ASSAY_METRICS_PORT",
    help="Serve /health and /metrics.  [default: not]",
)
@click.option(
    "--metrics-host", metavar="HOST", envvar="ASSAY_METRICS_HOST", help="Address of these.  [default: 127.0.0.1]"
)
@stale_option
@click.option("--adversary", metavar="NAME", hidden=True, help="Cheat in this way, to show that it is found out.")
@chain_options
@key_options
@relay_options
@state_option
@worker_options
@pass_invocation
def run(
    invocation: Invocation,
    task_id: int,
    group_place: str | None,
    group_wait_s: float | None,
    group_secret: str | None,
    submissions_each: int | None,
    plant_rate: float | None,
    planter_keystore: str | None,
    planter_password_file: str | None,
    no_decoys: bool,
    leaves: bool | None,
    metrics_port: int | None,
    metrics_host: str | None,
    stale_after_s: float | None,
    adversary: str | None,
) -> None:
    """Train for a task until it is over: roll out, prove, train, upload, commit, and again.

    The key is the operator's or its worker key; the operator must have bonded (`assay stake bond --role trainer`).
    Enlists by itself. Ctrl-C ends it after the step under way; the next start goes on from there. Epochs wait for you
    as long as you are enlisted: to end for longer, leave the task, as it offers then. With --json, logs are
    JSON lines.

    With --group, more of your machines can share the inner steps (`assay trainer assist`): they may come, leave and die
    at any time, at the cost of seconds. The group's secret is made in the state folder unless --group-secret names one;
    copy it to each of them. Only machines that you trust: whatever they put into your update, your bond answers for it.

    With --plant-rate, so many of your submissions are frauds that you have committed to as such: they are opened once
    they are judged, cost you no slash, and pay you where a verifier had paid one that it had to check. All others get a
    decoy, so that nobody knows which is which; deposits come back. `assay economics` says what rate makes looking pay.
    Plants are opened by this daemon alone: end it with plants under way (it says how many), and they are slashed as
    frauds unless it runs again before the challenge windows of their epochs are over.
    """
    from assay_protocol.cli.logs import start_logging
    from assay_trainer.settings import load_trainer_settings

    start_logging(invocation.is_json)
    require_task_on_chain(invocation, task_id)
    settings = load_trainer_settings(
        **worker_settings(invocation, task_id, "trainer"),
        group=group_place,
        group_secret=_path(group_secret),
        group_wait_s=group_wait_s,
        submissions_each=submissions_each,
        plant_rate=plant_rate,
        planter_keystore=None if planter_keystore is None else _planter_key(invocation, planter_keystore),
        planter_password_file=_path(planter_password_file),
        decoys=False if no_decoys else None,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        stale_after_s=stale_after_s,
    )
    if settings.metrics_port:
        require_free_port(settings.metrics_host, settings.metrics_port, "--metrics-port or --metrics-host")
    from assay_trainer.adversaries import make_adversary
    from assay_trainer.app import run_trainer

    cheat = None if adversary is None else make_adversary(adversary)
    run_trainer(settings, cheat, wants_to_leave=partial(_wants_to_leave, leaves))


@trainer.action("assist", example="assay trainer assist --leader http://10.0.0.5:8100 --group-secret group.secret")
@click.option(
    "--leader",
    metavar="URL",
    envvar="ASSAY_LEADER",
    required=True,
    help="The trainer to help: http:// and its --group.",
)
@secret_option
@click.option(
    "--group-host",
    metavar="HOST",
    envvar="ASSAY_GROUP_HOST",
    help="Where the others reach this machine.  [default: the address that it reaches the leader by]",
)
@state_option
@worker_options
@pass_invocation
def assist(invocation: Invocation, leader: str, group_secret: str | None, group_host: str | None) -> None:
    """Share the inner steps of a trainer of yours that runs with --group, until Ctrl-C.

    Needs no key, no chain and no relay: policy and rollouts come from the leader and are checked against their hashes.
    The secret is the file that the leader uses. It waits for a leader that is not there. The members of a group open
    further ports to each other, which ask nobody for a password: keep them on a network of your own.
    """
    from assay_protocol.cli.logs import start_logging
    from assay_trainer.app import run_assistant
    from assay_trainer.settings import load_assistant_settings

    start_logging(invocation.is_json)
    run_assistant(
        load_assistant_settings(
            leader=leader,
            group_secret=_path(group_secret),
            group_host=group_host,
            state_dir=invocation.worker_folder("assistant"),
            threads=invocation.threads,
            poll_s=invocation.poll_s,
            status_file=_path(invocation.status_file),
        )
    )


@trainer.action("status", example="assay trainer status\nassay trainer status --task 1 --json")
@all_or_one_task
@stale_option
@state_option
@pass_invocation
def status(invocation: Invocation, task_id: int | None, stale_after_s: float | None) -> None:
    """Tell what each trainer on this machine does and waits for, what it earned, and what it could lose.

    Reads what the daemon writes into its state folder, and needs no key and no chain. Ends with 1 where a trainer does
    not run, or stands still.
    """
    from assay_core.daemon.heartbeat import FILE_NAME, read_beat
    from assay_core.daemon.lock import is_held
    from assay_protocol.cli.status import Daemon, task_folders

    folders = task_folders(invocation.worker_folder("trainer"), task_id)
    found = [(beat, folder) for folder in folders if (beat := read_beat(folder / FILE_NAME)) is not None]
    show_daemons(
        invocation, "trainer", [Daemon(beat, is_held(folder / "lock")) for beat, folder in found], stale_after_s
    )


def _wants_to_leave(leaves: bool | None, wait: "Wait") -> bool:
    """What the option says, else the operator, where there is one at a terminal."""
    if leaves is None and sys.stdin.isatty() and sys.stderr.isatty():
        return click.confirm(f"{wait}. Leave the task, so that nobody waits for you?", default=False, err=True)
    if not leaves:
        click.echo(f"assay: {wait}; `assay stake leave --role trainer` of that task ends that", err=True)
    return bool(leaves)


def _planter_key(invocation: Invocation, name: str) -> Path:
    """Beside a signer an address is one of its accounts. Raises Stop: no such key."""
    from eth_utils.address import is_address

    return Path(name) if invocation.signer is not None and is_address(name) else invocation.keystore_named(name)


def _path(text: str | None) -> Path | None:
    return expanded(text) if text else None


def worker_settings(invocation: Invocation, task_id: int, role: str) -> dict[str, Any]:
    """What the daemons of both roles take; places are resolved here, so that names work as in all other
    commands.
    """
    return {
        "network": invocation.network,
        "rpc_url": invocation.rpc_url,
        "task_id": task_id,
        "keystore": invocation.chosen_key(),
        "signer": invocation.signer,
        "password_file": invocation.password_path,
        "state_dir": invocation.worker_folder(role),
        "relays": tuple(invocation.relays),
        "engine": invocation.engine,
        "engines": engine_tables(),
        "threads": invocation.threads,
        "poll_s": invocation.poll_s,
        "status_file": _path(invocation.status_file),
    }


def require_task_on_chain(invocation: Invocation, task_id: int) -> None:
    """An unknown task or network is told before models are imported. Raises Stop, Unavailable."""
    from assay_protocol.network import require_task

    invocation.chosen_key()
    require_task(invocation.chain(), task_id)
