"""`assay demo`."""

import sys
from pathlib import Path

import click

from offchain.cli.invocation import Invocation
from offchain.cli.options import command, pass_invocation

EXAMPLE = """assay demo                       # four minutes at most; leaves runs/demo/summary.json and reward.png
assay demo --out /tmp/run --json
assay demo --real                # SmolLM2-135M-Instruct; on two cores about 20 minutes"""


@command("demo", example=EXAMPLE)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, metavar="DIR",
              help="Where summary, picture, keys, state and logs go; a former run's folder is replaced.")  # fmt: skip
@click.option(
    "--real", is_flag=True, help="Train SmolLM2-135M-Instruct on a reasoning-gym dataset, as long as it takes."
)
@pass_invocation
def demo(invocation: Invocation, out: Path, real: bool) -> None:
    """Watch a local network train a model and catch two cheats.

    Starts a chain, the contracts, a relay, three verifiers, three honest trainers and two cheats as separate processes.
    One cheat rolls out with another model, the other submits an altered update. Ends by itself. Exit code 0 means: the
    policy learned, both cheats were slashed and earned nothing, no honest trainer was slashed, every honest trainer
    claimed exactly what the contracts owe it, and all verifiers derived the same policies.
    """
    from rich.console import Console

    from offchain.cli.demo.run import Demo
    from offchain.cli.localnet import empty_folder
    from offchain.cli.processes import Children

    plan = _plan(out.resolve(), real)
    empty_folder(plan.out)
    console = Console(stderr=invocation.is_json)
    with Children(plan.out / "logs") as children:
        outcome = Demo(plan, children, console).run()
    invocation.emit(outcome.summary(), _lines(plan.out, outcome.failures(), outcome.rewards))
    if outcome.failures():
        sys.exit(1)


def _plan(out: Path, real: bool):
    from offchain.cli.demo.run import DemoPlan

    tasks = Path(__file__).parent
    if real:
        return DemoPlan(tasks / "real.toml", out, rise=0.35, train_seconds=6 * 3600, settle_seconds=7200, prompts=32)
    return DemoPlan(tasks / "sorting.toml", out, rise=0.4, train_seconds=165, settle_seconds=60, prompts=256)


def _lines(out: Path, failures: list[str], rewards: tuple[float, ...]) -> list[str]:
    kept = [
        f"the policy learned: mean held-out reward {rewards[0]:.3f} → {rewards[-1]:.3f}",
        "both cheats were slashed and earned nothing; no honest trainer was slashed",
        "every honest trainer claimed exactly what the contracts owe it",
        "all verifiers derived the same policies",
    ]
    verdict = [f"✗ {failure}" for failure in failures] or [f"✓ {promise}" for promise in kept]
    return [*verdict, f"summary, picture and logs: {out}"]
