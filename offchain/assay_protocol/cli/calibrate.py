"""`assay calibrate`: thresholds of a task's checks, from honest noise and the best cheats on its own policy."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation

if TYPE_CHECKING:
    from assay_core.protocol.spec import TaskSpec

GROUPS = 8


@command("calibrate", example="assay calibrate examples/sorting.toml --submissions 48 --toml float32")
@click.argument("task_file", metavar="SPEC.toml", type=existing_file)
@click.option(
    "--submissions", type=click.IntRange(4, 100_000), default=48, show_default=True, help="Honest submissions to make."
)
@click.option(
    "--groups",
    type=click.IntRange(1, 65_535),
    metavar="N",
    help=f"Groups in each of them.  [default: the task's, {GROUPS} at most]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other submissions.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes at work.")
@click.option(
    "--toml",
    type=click.Choice(["float32", "mixed"]),
    help="Print nothing but the tables to paste, for this precision of trainers and verifiers.",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw both populations: svg or png."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for calibration.json, calibration.svg, float32.toml and mixed.toml.",
)
@pass_invocation
def calibrate(
    invocation: Invocation,
    task_file: Path,
    submissions: int,
    groups: int | None,
    seed: int,
    jobs: int,
    toml: str | None,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure how far honest machines lie apart on this task, and how far the best cheats lie off; suggest thresholds.

    Submissions are rolled out, proved, trained and checked as a trainer and a verifier do, under other precisions,
    attention kernels, batches, padding, threads and libraries. `float32`: everybody computes in float32 (tight
    thresholds, which tell an int8 policy). `mixed`: bfloat16 and float16 are allowed too (wide ones, which do not).

    Seconds for a tiny policy; minutes to hours for a real one: try --submissions 8 --groups 2 first.
    """
    from assay_protocol.calibration import report, runs
    from assay_protocol.calibration.thresholds import FLOAT32_ONLY, MIXED
    from assay_protocol.task_file import load_task_file

    task = load_task_file(task_file)
    spec = _smaller(task.spec, groups)
    with click.progressbar(length=1, label=f"{submissions} honest submissions and some cheats", file=sys.stderr) as bar:

        def tell(done: int, jobs: int) -> None:
            bar.length = jobs
            bar.update(done - bar.pos)

        measured = runs.measure(task, spec, submissions, seed, jobs, tell)
    found = [runs.calibrate(spec, measured, regime) for regime in (FLOAT32_ONLY, MIXED)]
    written = report.write(found, task.spec.title, plot, out)
    if toml is not None and not invocation.is_json:
        click.echo(next(each.toml() for each in found if each.regime.name == toml))
        return
    data = {"task": spec.title, "submissions": submissions, "groups": spec.rollout.groups, "seed": seed}
    regimes = {each.regime.name: {**each.json(), "toml": each.toml()} for each in found}
    invocation.emit({**data, "regimes": regimes}, [*report.to_lines(found), *(f"written: {path}" for path in written)])


def _smaller(spec: "TaskSpec", groups: int | None) -> "TaskSpec":
    chosen = groups or min(spec.rollout.groups, GROUPS)
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"groups": chosen})})
