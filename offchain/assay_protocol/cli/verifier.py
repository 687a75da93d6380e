"""`assay verifier`: run a bonded verifier, and serve what it found. Two processes over one database."""

from contextlib import suppress

import click

from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.errors import Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    database_options,
    group,
    key_options,
    listen_options,
    pass_invocation,
    relay_options,
    stale_option,
    worker_options,
)
from assay_protocol.cli.ports import require_free_port
from assay_protocol.cli.status import all_or_one_task, show_daemons
from assay_protocol.cli.trainer import require_task_on_chain, task_option, worker_settings


@group("verifier")
def verifier() -> None:
    """Run a bonded verifier, and serve what it found."""


@verifier.action("run", example="assay verifier run --task 1 --keystore judge")
@task_option
@click.option(
    "--weight", metavar="AMOUNT", help="Tokens of the bond that judge this task.  [default: all that is free]"
)
@click.option("--juror-only", is_flag=True, help="Do not enlist: only judge disputes whose panels you are drawn for.")
@click.option("--no-challenge", is_flag=True, help="Do not dispute scores that you can prove wrong.")
@click.option(
    "--no-pass-on", is_flag=True, help="Do not put submissions on the relays that other verifiers cannot fetch."
)
@chain_options
@key_options
@relay_options
@database_options
@worker_options
@pass_invocation
def run(
    invocation: Invocation, task_id: int, weight: str | None, juror_only: bool, no_challenge: bool, no_pass_on: bool
) -> None:
    """Verify a task until Ctrl-C: check every submission, attest, settle, aggregate, publish, finalise, slash.

    The key is the operator's or its worker key; the operator must have bonded (`assay stake bond --role verifier`).
    Enlists by itself, with all of its bond that answers for nothing else unless --weight says how much; judges disputes
    too, once it has seats (`assay stake seats take`). A dispute takes a bond from the account of the key. What is under
    way is written down, and the next start goes on from there. With --json, logs are JSON lines.
    """
    from assay_protocol.cli.logs import start_logging
    from assay_verifier.app import run_verifier
    from assay_verifier.settings import load_verifier_settings

    start_logging(invocation.is_json)
    require_task_on_chain(invocation, task_id)
    settings = worker_settings(invocation, task_id, "verifier")
    run_verifier(
        load_verifier_settings(
            **settings,
            database_url=invocation.database_url,
            weight_wei=None if weight is None else _weight_wei(invocation, weight),
            enlist=False if juror_only else None,
            challenge=False if no_challenge else None,
            pass_on=False if no_pass_on else None,
        )
    )


def _weight_wei(invocation: Invocation, weight: str) -> int:
    """Raises Stop: no amount."""
    try:
        return parse_amount(weight, invocation.chain().token.decimals())
    except Stop as error:
        raise Stop(f"--weight: {error}") from error


@verifier.action("serve", example="assay verifier serve --port 8080\ncurl http://127.0.0.1:8080/tasks")
@click.option(
    "--root-path", metavar="PREFIX", envvar="ASSAY_ROOT_PATH", help="Prefix that a proxy serves it under, as /assay."
)
@stale_option
@database_options
@listen_options
@pass_invocation
def serve(invocation: Invocation, root_path: str | None, stale_after_s: float | None) -> None:
    """Serve what `verifier run` wrote: tasks, epochs, submissions with score, reason and evidence.

    Explorer pages are at /, the API's description at /docs, metrics for Prometheus at /metrics; /health is 503 where
    the daemon or its node stands still. Reads only the database and needs no key and no chain. With --json, logs are
    JSON lines.
    """
    from assay_protocol.cli.logs import start_logging
    from assay_verifier.service import run_service
    from assay_verifier.settings import load_serve_settings

    start_logging(invocation.is_json)
    settings = load_serve_settings(
        state_dir=invocation.worker_folder("verifier"),
        database_url=invocation.database_url,
        host=invocation.host,
        port=invocation.port,
        root_path=root_path,
        stale_after_s=stale_after_s,
    )
    require_free_port(settings.host, settings.port)
    with suppress(KeyboardInterrupt):  # the service has ended in order by then
        run_service(settings)


@verifier.action("status", example="assay verifier status\nassay verifier status --task 1 --json")
@all_or_one_task
@stale_option
@database_options
@pass_invocation
def status(invocation: Invocation, task_id: int | None, stale_after_s: float | None) -> None:
    """Tell what each verifier of this database does and waits for, what it earned, and what it could lose.

    Reads what the daemon writes into its database, and needs no key and no chain. Ends with 1 where a verifier does
    not run, or stands still.
    """
    from assay_core.daemon.lock import is_held
    from assay_protocol.cli.status import Daemon
    from assay_verifier.heartbeat import read_beats
    from assay_verifier.settings import load_serve_settings

    folder = invocation.worker_folder("verifier")
    settings = load_serve_settings(state_dir=folder, database_url=invocation.database_url)
    beats = [beat for beat in read_beats(settings.database) if task_id in (None, beat.task_id)]
    daemons = [Daemon(beat, is_held(folder / f"task-{beat.task_id}" / "verifier.lock")) for beat in beats]
    show_daemons(invocation, "verifier", daemons, stale_after_s)
