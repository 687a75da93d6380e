"""`assay demo`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, pass_invocation

if TYPE_CHECKING:
    from assay_core.transport.choose import EngineName

EXAMPLE = """assay demo                       # four minutes at most; leaves runs/demo/summary.json and reward.png
assay demo --out /tmp/run --json
assay demo --engine swarm        # or s3: the bucket that ASSAY_S3_* names, else one on this machine
assay demo --real                # SmolLM2-135M-Instruct; on two cores about 20 minutes"""
ENGINES = ("relay", "swarm", "s3")


@command("demo", example=EXAMPLE)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, metavar="DIR",
              help="Where summary, picture, keys, state and logs go; a former run's folder is replaced.")  # fmt: skip
@click.option("--engine", type=click.Choice(ENGINES), default="relay", show_default=True,
              help="What carries policies and submissions.")  # fmt: skip
@click.option(
    "--real", is_flag=True, help="Train SmolLM2-135M-Instruct on a reasoning-gym dataset, as long as it takes."
)
@pass_invocation
def demo(invocation: Invocation, out: Path, engine: "EngineName", real: bool) -> None:
    """Watch a local network train a model and catch two cheats.

    Starts a chain, the contracts, three relays that mirror each other, three verifiers, three honest trainers and two
    cheats as separate processes. One cheat rolls out with another model, the other submits an altered update. In
    mid-run a relay is killed, and the assistant that shares a trainer's inner steps. Ends by itself. Exit code 0 means:
    the policy learned, both cheats were slashed and earned nothing, no honest trainer was slashed, each had all its
    submissions accepted and claimed exactly what the contracts owe it, all verifiers derived the same policies, and
    nobody missed the dead.
    """
    from rich.console import Console

    from assay_protocol.devnet.demo.report import report_lines
    from assay_protocol.devnet.demo.run import Demo, make_plan
    from assay_protocol.devnet.folder import PROCESSES, fresh
    from assay_protocol.devnet.processes import Children

    plan = make_plan(out.resolve(), engine, is_real=real)
    console = Console(stderr=invocation.is_json)
    with fresh(plan.out, "--out"), Children(plan.out / "logs", plan.out / PROCESSES) as children:
        outcome = Demo(plan, children, console).run()
    invocation.emit(outcome.summary(), report_lines(plan.out, outcome))
    if outcome.failures():
        sys.exit(1)
