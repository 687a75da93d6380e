"""`assay trainer`: run a bonded worker."""

from pathlib import Path
from typing import Any

import click

from offchain.cli.invocation import Invocation, engine_tables
from offchain.cli.options import (
    chain_options,
    group,
    key_options,
    pass_invocation,
    relay_options,
    state_option,
    worker_options,
)

task_option = click.option("--task", "task_id", metavar="ID", type=click.IntRange(min=1), required=True, help="Task.")


@group("trainer")
def trainer() -> None:
    """Run a bonded trainer."""


@trainer.action("run", example="assay trainer run --task 1 --keystore worker")
@task_option
@click.option("--deviation", metavar="NAME", hidden=True, help="Cheat in this way, to show that it is found out.")
@chain_options
@key_options
@relay_options
@state_option
@worker_options
@pass_invocation
def run(invocation: Invocation, task_id: int, deviation: str | None) -> None:
    """Train for a task until it is over: roll out, prove, train, upload, commit, and again.

    The key is the operator's or its worker key; the operator must have bonded (`assay stake bond --role trainer`).
    Enlists by itself. Ctrl-C ends it after the step under way; the next start goes on from there. With --json, logs are
    JSON lines.
    """
    from offchain.cli.logs import start_logging
    from trainer.app import run_trainer
    from trainer.deviations import make_deviation
    from trainer.settings import load_trainer_settings

    start_logging(invocation.is_json)
    require_task_on_chain(invocation, task_id)
    settings = load_trainer_settings(**worker_settings(invocation, task_id, "trainer"))
    run_trainer(settings, None if deviation is None else make_deviation(deviation))


def worker_settings(invocation: Invocation, task_id: int, role: str) -> dict[str, Any]:
    """What the daemons of both roles take; places are resolved here, so that names work as in all other commands."""
    return {
        "network": invocation.network,
        "rpc_url": invocation.rpc_url,
        "task_id": task_id,
        "keystore": invocation.keystore_path(),
        "password_file": invocation.password_path,
        "state_dir": invocation.worker_folder(role),
        "relays": tuple(invocation.relays),
        "engine": invocation.engine,
        "engines": engine_tables(),
        "threads": invocation.threads,
        "poll_s": invocation.poll_s,
        "status_file": Path(invocation.status_file).expanduser() if invocation.status_file else None,
    }


def require_task_on_chain(invocation: Invocation, task_id: int) -> None:
    """An unknown task or network is told before models are imported. Raises Stop, Unavailable."""
    from offchain.cli.task import require_task

    invocation.keystore_path()
    require_task(invocation.chain(), task_id)
