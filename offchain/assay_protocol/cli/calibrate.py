"""`assay calibrate`: thresholds of a task's checks, from honest noise and the best cheats on its own policy."""

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, pass_invocation

if TYPE_CHECKING:
    from assay_core.policy.causal import CausalPolicy
    from assay_core.protocol.spec import TaskSpec
    from assay_protocol.calibration.result import Calibration, Caught
    from assay_protocol.calibration.submissions import Job, Measured
    from assay_protocol.calibration.thresholds import Regime
    from assay_protocol.task_file import TaskFile

GROUPS = 8
CHEATS_EVERY = 8  # one work of each cheat for so many honest ones, and two at least


@command("calibrate", example="assay calibrate examples/sorting.toml --works 48 --toml float32")
@click.argument("task_file", metavar="SPEC.toml", type=existing_file)
@click.option("--works", type=click.IntRange(4, 100_000), default=48, show_default=True, help="Honest works to make.")
@click.option(
    "--groups",
    type=click.IntRange(1, 65_535),
    metavar="N",
    help=f"Groups in each of them.  [default: the task's, {GROUPS} at most]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other works.")
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
    works: int,
    groups: int | None,
    seed: int,
    jobs: int,
    toml: str | None,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure how far honest machines lie apart on this task, and how far the best cheats lie off; suggest thresholds.

    Works are rolled out, proved, trained and checked as a trainer and a verifier do, under other precisions, attention
    kernels, batches, padding, threads and libraries. `float32`: everybody computes in float32 (tight thresholds, which
    tell an int8 policy). `mixed`: bfloat16 and float16 are allowed too (wide ones, which do not).

    Seconds for a tiny policy; minutes to hours for a real one: try --works 8 --groups 2 first.
    """
    from assay_protocol.calibration.thresholds import FLOAT32_ONLY, MIXED
    from assay_protocol.task_file import load_task_file

    task = load_task_file(task_file)
    spec = _smaller(task.spec, groups)
    measured = _measure(task, spec, works, seed, jobs)
    found = [_calibration(spec, measured, regime) for regime in (FLOAT32_ONLY, MIXED)]
    written = _write(found, task, plot, out)
    if toml is not None and not invocation.is_json:
        click.echo(next(each.toml() for each in found if each.regime.name == toml))
        return
    data = {"task": spec.title, "works": works, "groups": spec.rollout.groups, "seed": seed}
    regimes = {each.regime.name: {**each.json(), "toml": each.toml()} for each in found}
    invocation.emit({**data, "regimes": regimes}, [*_lines(found), *(f"written: {path}" for path in written)])


def _smaller(spec: "TaskSpec", groups: int | None) -> "TaskSpec":
    chosen = groups or min(spec.rollout.groups, GROUPS)
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"groups": chosen})})


# ---- making and measuring


def _measure(task: "TaskFile", spec: "TaskSpec", works: int, seed: int, jobs: int) -> "list[Measured]":
    """Build policy version 0, then do all jobs in processes of their own, telling how far we are on stderr."""
    import os
    import tempfile
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    import torch

    from assay_core.environments import make_environment
    from assay_core.policy import initial_policy, save_policy
    from assay_core.protocol.errors import Rejected, Stop
    from assay_protocol.calibration.submissions import Setting, run_job, start_process

    torch.set_num_threads(1)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads of our processes must not spin
    try:
        policy = initial_policy(task.policy, task.seed, make_environment(spec.environment))
    except Rejected as error:
        raise Stop(f"{task.path}: [task] cannot be used: {error}") from error
    planned = plan(works, seed, policy)
    with tempfile.TemporaryDirectory(prefix="assay-calibrate-") as folder:
        save_policy(policy, Path(folder))
        run = partial(run_job, Setting(folder, spec.to_bytes(), seed))
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=start_process, initargs=(1,)) as pool:
            results = pool.map(run, planned)
            measured: list[Measured] = []
            with click.progressbar(length=len(planned), label=f"{len(planned)} works", file=sys.stderr) as progress:
                for found in results:
                    measured += found
                    progress.update(1)
            return measured


def plan(works: int, seed: int, policy: "CausalPolicy") -> "list[Job]":
    """Honest works, half of them in each regime, between machines drawn by the seed; and a few of each cheat."""
    from assay_protocol.calibration.conditions import FLOAT32, REDUCED, offered
    from assay_protocol.calibration.submissions import Job
    from assay_protocol.calibration.thresholds import FLOAT32_ONLY, HONEST, MIXED

    draw = random.Random(seed)
    float32, reduced = ([each for each in kinds if offered(each, policy)] for kinds in (FLOAT32, REDUCED))
    jobs: list[Job] = []
    for number in range(works):
        if number % 2 == 0:
            made, judged = float32[number // 2 % len(float32)], draw.choice(float32)
            jobs.append(Job(number, HONEST, made, judged, FLOAT32_ONLY.name))
        else:
            one, other = reduced[number // 2 % len(reduced)], draw.choice([*float32, *reduced])
            made, judged = (one, other) if draw.random() < 0.5 else (other, one)
            jobs.append(Job(number, HONEST, made, judged, MIXED.name))
    for number in range(works, works + max(2, works // CHEATS_EVERY)):
        jobs += [Job(number, "rollouts"), Job(number, "updates")]
    return jobs


# ---- what follows from it


def _calibration(spec: "TaskSpec", measured: "Sequence[Measured]", regime: "Regime") -> "Calibration":
    import math

    import numpy as np

    from assay_protocol.calibration.result import Calibration, tally
    from assay_protocol.calibration.sampling_noise import fit
    from assay_protocol.calibration.submissions import SAMPLING_CHEATS
    from assay_protocol.calibration.thresholds import HONEST, exceeded, populations, suggest

    works = _with_peers(measured)
    honest = [work for work in works if work.kind == HONEST and work.regime == regime.name]
    others = [work for work in works if work.kind == HONEST and work.regime != regime.name]
    cheats: dict[str, list[Measured]] = defaultdict(list)
    for work in works:
        if work.kind != HONEST:
            cheats[work.kind].append(work)
    samples = {HONEST: [work.values for work in honest]}
    samples |= {kind: [work.values for work in each] for kind, each in cheats.items()}
    thresholds = tuple(suggest(population, regime) for population in populations(spec, samples))

    sampled = [work for kind in cheats if kind in SAMPLING_CHEATS for work in cheats[kind]]
    noise = fit(
        np.concatenate([work.distances() for work in honest]),
        max(work.largest_shift for work in honest),
        regime,
        spec.checks,
        lambda checks: [work.doubt(checks) for work in sampled],
    )
    limits, doubt_limit = noise.applied(spec.checks), -math.log10(spec.checks.false_positive_rate)

    def failures(each: "Measured") -> tuple[str, ...]:
        by_tokens = ("sampling tokens",) if each.checked and each.doubt(limits) > doubt_limit else ()
        return (*exceeded(each.values, thresholds), *by_tokens)

    return Calibration(
        regime=regime,
        thresholds=thresholds,
        noise=noise,
        honest_doubt=max(work.doubt(limits) for work in honest),
        cheat_doubt={
            kind: min(work.doubt(limits) for work in cheats[kind]) for kind in sorted(SAMPLING_CHEATS & set(cheats))
        },
        doubt_limit=doubt_limit,
        honest=tally("honest", [failures(work) for work in honest]),
        other_honest=tally("honest, of the other regime", [failures(work) for work in others]),
        cheats=tuple(tally(kind, [failures(work) for work in each]) for kind, each in cheats.items()),
    )


def _with_peers(measured: "Sequence[Measured]") -> "list[Measured]":
    """Adds what only works together have: each update's length against the median, and its nearest neighbour.

    With it comes the cheat that these concern: each honest update, ten times as long.
    """
    from dataclasses import replace
    from statistics import median

    from assay_protocol.calibration.submissions import TENFOLD, Measured

    norms = [work.norm for work in measured if work.norm]
    middle = median(norms) if norms else 1.0
    sketches = [(place, work.sketch_K) for place, work in enumerate(measured) if work.sketch_K is not None]
    added: list[Measured] = []
    for place, work in enumerate(measured):
        if not work.norm or work.sketch_K is None:
            added.append(work)
            continue
        ratio = work.norm / middle
        nearest = max((float((work.sketch_K * other).sum()) for at, other in sketches if at != place), default=0.0)
        values = {"update_norm_ratio": ratio, "update_cosine": max(0.0, nearest)}
        added += [
            replace(work, values=work.values | values),
            Measured(TENFOLD, "", "", {"update_norm_ratio": 10 * ratio}),
        ]
    return added


# ---- what is shown


def _write(found: "Sequence[Calibration]", task: "TaskFile", plot: Path | None, out: Path | None) -> list[Path]:
    import json

    from assay_core.inspect.formatting import jsonable
    from assay_core.protocol.errors import Stop
    from assay_protocol.calibration.picture import draw_calibrations

    written: list[Path] = []
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for each in found:
                written.append(out / f"{each.regime.name}.toml")
                written[-1].write_text(each.toml() + "\n")
            written.append(out / "calibration.json")
            written[-1].write_text(json.dumps(jsonable([each.json() for each in found]), indent=2) + "\n")
        for path in [*([out / "calibration.svg"] if out else []), *([plot] if plot else [])]:
            draw_calibrations(path, found, f"{task.spec.title}: honest noise, the best cheats, thresholds")
            written.append(path)
    except (OSError, ValueError) as error:  # a folder that cannot be written, an ending that is no picture's
        raise Stop(f"cannot write the result: {error}") from error
    return written


def _lines(found: "Sequence[Calibration]") -> Iterator[str]:
    from assay_core.inspect.formatting import table

    for each in found:
        everybody = "float32 alone" if each.regime.name == "float32" else "bfloat16 and float16 allowed"
        yield f"{each.regime.name}: {everybody}; room {each.regime.room:g} above the honest maximum"
        yield from table(
            [_row(row) for row in (one.row() for one in each.thresholds)], HEAD, frozenset({1, 2, 4, 5, 6, 7})
        )
        yield from _noise_lines(each)
        yield ""
    yield from _caught_lines(found)
    yield ""
    for each in found:
        yield f"# {each.regime.name}"
        yield from each.toml().splitlines()
        yield ""
    yield (
        "Not calibrated: min_eos_probability, reward_tolerance, false_positive_rate, topk, chunk_tokens, "
        "max_replay_topk_error, max_replay_moment_error."
    )


HEAD = ("measure", "honest max", "floor", "nearest cheat told apart", "its min", "margin", "suggested", "default")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    def number(name: str) -> str:
        return "-" if row[name] is None else f"{row[name]:.3g}"

    exact = f"{row['suggested']:.7g}"
    margin = "-" if row["margin"] is None else f"{row['margin']:.3g}x"
    nearest = row["nearest_cheat"] or "none"
    return (
        row["threshold"], number("honest_max"), number("floor"), nearest, number("cheat_min"), margin, exact,
        f"{row['default']:.4g}",
    )  # fmt: skip


def _noise_lines(each: "Calibration") -> Iterator[str]:
    noise = each.noise
    yield (
        f"sampling: {noise.outside} of {noise.tokens} honest uniforms outside of their intervals, by "
        f"{noise.largest:.3g} at most; share {noise.share:g}, scale {noise.scale:g} (floor {noise.floor:.2g})"
    )
    cheats = ", ".join(f"{kind} {doubt:.3g}" for kind, doubt in each.cheat_doubt.items())
    yield f"  doubt: honest at most {each.honest_doubt:.3g}, limit {each.doubt_limit:.3g}, cheats at least: {cheats}"


def _caught_lines(found: "Sequence[Calibration]") -> Iterator[str]:
    from assay_core.inspect.formatting import table

    def cell(each: "Caught") -> str:
        by = f" ({', '.join(sorted(each.by))})" if each.by else ""
        return f"{each.failed} of {each.works}{by}"

    rows = [("honest works of the regime", *(cell(each.honest) for each in found))]
    rows += [("honest works of the other regime", *(cell(each.other_honest) for each in found))]
    rows += [
        (kinds[0].kind, *(cell(kind) for kind in kinds)) for kinds in zip(*(each.cheats for each in found), strict=True)
    ]
    yield from table(rows, ("rejected under the suggested thresholds", *(each.regime.name for each in found)))
