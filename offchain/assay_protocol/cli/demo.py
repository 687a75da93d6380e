"""`assay demo`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_core.inspect.formatting import table
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, pass_invocation

if TYPE_CHECKING:
    from assay_core.transport.choose import EngineName
    from assay_protocol.devnet.demo.outcome import Aftermath, DemoOutcome, GroupWork, Spread, Traffic
    from assay_protocol.devnet.demo.run import DemoPlan

EXAMPLE = """assay demo                       # four minutes at most; leaves runs/demo/summary.json and reward.png
assay demo --out /tmp/run --json
assay demo --engine swarm        # or s3: the bucket that ASSAY_S3_* names, else one on this machine
assay demo --real                # SmolLM2-135M-Instruct; on two cores about 20 minutes"""
ENGINES = ("relay", "swarm", "s3")


@command("demo", example=EXAMPLE)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, metavar="DIR",
              help="Where summary, picture, keys, state and logs go; a former run's folder is replaced.")  # fmt: skip
@click.option("--engine", type=click.Choice(ENGINES), default="relay", show_default=True,
              help="What carries policies and works.")  # fmt: skip
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
    works accepted and claimed exactly what the contracts owe it, all verifiers derived the same policies, and nobody
    missed the dead.
    """
    from rich.console import Console

    from assay_protocol.devnet.demo.run import Demo
    from assay_protocol.devnet.localnet import empty_folder
    from assay_protocol.devnet.processes import Children

    plan = _plan(out.resolve(), engine, real)
    empty_folder(plan.out)
    console = Console(stderr=invocation.is_json)
    with Children(plan.out / "logs") as children:
        outcome = Demo(plan, children, console).run()
    invocation.emit(outcome.summary(), _lines(plan.out, outcome))
    if outcome.failures():
        sys.exit(1)


def _plan(out: Path, engine: "EngineName", real: bool) -> "DemoPlan":
    from assay_protocol.devnet.demo.run import DemoPlan
    from assay_protocol.tasks import network_task

    if real:
        return DemoPlan(
            network_task("real"), out, rise=0.35, train_seconds=6 * 3600, settle_seconds=7200, prompts=32, engine=engine
        )
    return DemoPlan(
        network_task("sorting"),
        out,
        rise=0.4,
        train_seconds=600,
        settle_seconds=300,
        prompts=256,
        engine=engine,
        is_assisted=True,
    )


def _lines(out: Path, outcome: "DemoOutcome") -> list[str]:
    if failures := outcome.failures():
        verdict = [f"✗ {failure}" for failure in failures]
    else:
        verdict = [f"✓ {promise}" for promise in _kept(outcome)]
    return [*_sent(outcome.traffic), "", *_spread(outcome.spread), *verdict, f"summary, picture and logs: {out}"]


def _kept(outcome: "DemoOutcome") -> list[str]:
    """What a run without failures has shown."""
    rewards = outcome.rewards
    return [
        f"the policy learned: mean held-out reward {rewards[0]:.3f} → {rewards[-1]:.3f}",
        "both cheats were slashed and earned nothing; no honest trainer was slashed",
        "every honest trainer had all its works accepted and claimed exactly what the contracts owe it",
        "all verifiers derived the same policies",
        *(_survived(each, outcome.group) for each in outcome.aftermath),
    ]


def _survived(death: "Aftermath", group: "GroupWork | None") -> str:
    if group is not None and death.name == group.assistant:
        return (
            f"{group.leader} shared {group.shared} of its {group.inner_steps} inner steps with an assistant, which was "
            f"killed amid a work's at {death.at_s:.0f} s; all {death.works} works committed since were accepted"
        )
    return (
        f"{death.name} was killed at {death.at_s:.0f} s; since then {death.policies} policy versions were published, "
        f"and all {death.works} works that honest trainers committed were accepted"
    )


def _spread(spread: "Spread") -> list[str]:
    """What a new policy costs whoever follows the task."""
    from assay_protocol.devnet.demo.view import kilobytes

    if not spread.versions or not spread.made_bytes:
        return []
    whole, fetched = spread.bundle_bytes / spread.versions, spread.fetched_bytes / spread.versions
    return [
        f"a new policy is {kilobytes(whole)}; whoever has the version before fetched {kilobytes(fetched)} of it, the "
        "step that leads there, and made the rest",
        "",
    ]


def _sent(traffic: Sequence["Traffic"]) -> list[str]:
    """Bytes of each honest trainer beside those of data-parallel training."""
    from assay_protocol.devnet.demo.view import kilobytes

    head = (
        "trainer",
        "works",
        "inner steps",
        "updates sent",
        "per inner step",
        "data-parallel",
        "fewer",
        "whole works",
    )
    rows = [
        (
            each.name,
            str(each.works),
            str(each.inner_steps),
            kilobytes(each.update_bytes),
            kilobytes(each.update_bytes / max(1, each.inner_steps)),
            kilobytes(each.data_parallel_bytes),
            f"{each.times_fewer:.0f}×",
            kilobytes(each.work_bytes),
        )
        for each in traffic
    ]
    return table(rows, head, frozenset(range(1, len(head))))
