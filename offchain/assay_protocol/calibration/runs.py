"""Make honest submissions and cheats of a task, measure them, and find thresholds between the two."""

import math
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch

from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.spec import TaskSpec
from assay_protocol.calibration.conditions import FLOAT32, REDUCED, offered
from assay_protocol.calibration.result import Calibration, tally
from assay_protocol.calibration.sampling_noise import fit
from assay_protocol.calibration.submissions import (
    SAMPLING_CHEATS,
    TENFOLD,
    Job,
    Measured,
    Setting,
    run_job,
    start_process,
)
from assay_protocol.calibration.thresholds import (
    FLOAT32_ONLY,
    HONEST,
    MIXED,
    Regime,
    exceeded,
    populations,
    suggest,
)
from assay_protocol.task_file import TaskFile

CHEATS_EVERY = 8  # one submission of each cheat for so many honest ones, and two at least


def measure(
    task: TaskFile, spec: TaskSpec, submissions: int, seed: int, jobs: int, tell: Callable[[int, int], None]
) -> list[Measured]:
    """Build policy version 0, then do all jobs in processes of their own; `tell` hears how many of how many are done.

    Raises Stop: the task's environment or policy cannot be used.
    """
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads of our processes must not spin
    try:
        policy = initial_policy(task.policy, task.seed, make_environment(spec.environment))
    except Rejected as error:
        raise Stop(f"{task.path}: [task] cannot be used: {error}") from error
    planned = plan(submissions, seed, policy)
    with tempfile.TemporaryDirectory(prefix="assay-calibrate-") as folder:
        save_policy(policy, Path(folder))
        run = partial(run_job, Setting(folder, spec.to_bytes(), seed))
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=start_process, initargs=(1,)) as pool:
            measured: list[Measured] = []
            for done, found in enumerate(pool.map(run, planned), 1):
                measured += found
                tell(done, len(planned))
            return measured


def plan(submissions: int, seed: int, policy: CausalPolicy) -> list[Job]:
    """Honest submissions, half of them in each regime, between machines drawn by the seed; and a few of each cheat."""
    draw = random.Random(seed)
    float32, reduced = ([each for each in kinds if offered(each, policy)] for kinds in (FLOAT32, REDUCED))
    jobs: list[Job] = []
    for number in range(submissions):
        if number % 2 == 0:
            made, judged = float32[number // 2 % len(float32)], draw.choice(float32)
            jobs.append(Job(number, HONEST, made, judged, FLOAT32_ONLY.name))
        else:
            one, other = reduced[number // 2 % len(reduced)], draw.choice([*float32, *reduced])
            made, judged = (one, other) if draw.random() < 0.5 else (other, one)
            jobs.append(Job(number, HONEST, made, judged, MIXED.name))
    for number in range(submissions, submissions + max(2, submissions // CHEATS_EVERY)):
        jobs += [Job(number, "rollouts"), Job(number, "updates")]
    return jobs


def calibrate(spec: TaskSpec, measured: Sequence[Measured], regime: Regime) -> Calibration:
    """What was measured, as one regime sees it: thresholds, and what they catch."""
    submissions = _with_peers(measured)
    honest = [each for each in submissions if each.kind == HONEST and each.regime == regime.name]
    others = [each for each in submissions if each.kind == HONEST and each.regime != regime.name]
    cheats: dict[str, list[Measured]] = defaultdict(list)
    for submission in submissions:
        if submission.kind != HONEST:
            cheats[submission.kind].append(submission)
    samples = {HONEST: [submission.values for submission in honest]}
    samples |= {kind: [submission.values for submission in each] for kind, each in cheats.items()}
    thresholds = tuple(suggest(population, regime) for population in populations(spec, samples))

    sampled = [submission for kind in cheats if kind in SAMPLING_CHEATS for submission in cheats[kind]]
    noise = fit(
        np.concatenate([submission.distances() for submission in honest]),
        max(submission.largest_shift for submission in honest),
        regime,
        spec.checks,
        lambda checks: [submission.doubt(checks) for submission in sampled],
    )
    limits, doubt_limit = noise.applied(spec.checks), -math.log10(spec.checks.false_positive_rate)

    def failures(each: Measured) -> tuple[str, ...]:
        by_tokens = ("sampling tokens",) if each.checked and each.doubt(limits) > doubt_limit else ()
        return (*exceeded(each.values, thresholds), *by_tokens)

    return Calibration(
        regime=regime,
        thresholds=thresholds,
        noise=noise,
        honest_doubt=max(submission.doubt(limits) for submission in honest),
        cheat_doubt={
            kind: min(each.doubt(limits) for each in cheats[kind]) for kind in sorted(SAMPLING_CHEATS & set(cheats))
        },
        doubt_limit=doubt_limit,
        honest=tally("honest", [failures(submission) for submission in honest]),
        other_honest=tally("honest, of the other regime", [failures(submission) for submission in others]),
        cheats=tuple(tally(kind, [failures(submission) for submission in each]) for kind, each in cheats.items()),
    )


def _with_peers(measured: Sequence[Measured]) -> list[Measured]:
    """Adds what only submissions together have: each update's length against the median, and its nearest neighbour.

    With it comes the cheat that these concern: each honest update, ten times as long.
    """
    norms = [submission.norm for submission in measured if submission.norm]
    middle = median(norms) if norms else 1.0
    sketches = [(place, each.sketch_K) for place, each in enumerate(measured) if each.sketch_K is not None]
    added: list[Measured] = []
    for place, submission in enumerate(measured):
        if not submission.norm or submission.sketch_K is None:
            added.append(submission)
            continue
        ratio = submission.norm / middle
        nearest = max(
            (float((submission.sketch_K * other).sum()) for at, other in sketches if at != place), default=0.0
        )
        values = {"update_norm_ratio": ratio, "update_cosine": max(0.0, nearest)}
        added += [
            replace(submission, values=submission.values | values),
            Measured(TENFOLD, "", "", {"update_norm_ratio": 10 * ratio}),
        ]
    return added
