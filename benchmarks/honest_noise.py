"""Honest works that must all be accepted: `make bench-noise`.

    python -m benchmarks.honest_noise [--works N] [--jobs N] [--seed N] [--minutes M]

Small works of the task in `examples/sorting.toml`, half of them made and judged by machines that compute in float32
under that file's thresholds, half by machines of which one at least rolls out or prefills in less, under the spec's
defaults. All train in float32, as recipes say. Each is rolled out, proved, trained, written as a bundle, opened and
judged in full by the verifier's judge. The policies are version 0 and two that have learned more. Prints how many were
judged and rejected, and the largest that each check measured; writes the table into docs/calibration.md. The exit code
is 1 when one was rejected.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from offchain.calibration.conditions import computing, under
from offchain.calibration.thresholds import FLOAT32_ONLY, HONEST
from offchain.cli.calibrate import plan
from offchain.cli.calibration_works import (
    TASK,
    TRAINER,
    CalibrationBench,
    Job,
    Made,
    Setting,
    open_bench,
    start_process,
)
from offchain.cli.taskfile import TaskFile, read_task_file
from offchain.environments import make_environment
from offchain.environments.interface import Environment
from offchain.outer.codecs import codec_named
from offchain.outer.updates import FOLDER, write_update
from offchain.policy import initial_policy, save_policy
from offchain.policy.interface import Policy
from offchain.protocol.header import WorkHeader
from offchain.protocol.manifest import BundleKind, BundleLimits
from offchain.protocol.spec import CheckSpec, EnvironmentSpec, RolloutSpec, TaskSpec, ToplocSpec
from offchain.protocol.types import BPS, Epoch, PolicyVersion, Root, Work, WorkIndex
from offchain.recipe.trace import TRACE_NAME, trace_bytes
from offchain.rollouts.table import ROLLOUTS_NAME, rollouts_bytes
from offchain.shardcast.store import build_bundle, open_bundle
from verifier.case import Case
from verifier.judge import judge
from verifier.verdict import SCORE_FULL

TASK_FILE = Path(__file__).parents[1] / "examples" / "sorting.toml"
PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
BEGIN, END = "<!-- made by `make bench-noise`: begin -->", "<!-- made by `make bench-noise`: end -->"
WARM_UPS = (32, 64, 192)  # supervised steps behind the three policies
SPEC_ROOT, POLICY_ROOT = (Root(sha256(word).digest()) for word in (b"spec", b"policy"))
VERSION = PolicyVersion(1)
FIRST_WORK = 1_000_000  # numbers that `assay calibrate` never reaches: its thresholds come from other works


@dataclass(slots=True)
class Outcome:
    """What became of works of one regime: `largest` is what each check measured at most, beside its threshold."""

    works: int = 0
    rejected: list[str] = field(default_factory=list[str])
    largest: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def add(self, other: "Outcome") -> None:
        self.works += other.works
        self.rejected += other.rejected
        for check, (measured, threshold) in other.largest.items():
            self.largest[check] = (max(measured, self.largest.get(check, (0.0, 0.0))[0]), threshold)


@dataclass(frozen=True, slots=True)
class Bench:
    loaded: Policy
    task_environment: Environment

    def policy(self, root: Root) -> Policy:
        return self.loaded

    def environment(self) -> Environment:
        return self.task_environment


def small_spec(task: TaskFile) -> TaskSpec:
    """The task's, with works of 16 completions and 4 inner steps; half-right answers count, so that most teach."""
    return task.spec.model_copy(
        update={
            "environment": EnvironmentSpec(name="sorting", args={"digits": 4, "partial": True}),
            "rollout": RolloutSpec(groups=4, group_size=4),
            "recipe": task.spec.recipe.model_copy(update={"inner_steps": 4, "groups_per_step": 2}),
        }
    )


def judge_one(settings: Sequence[Setting], job: Job) -> tuple[str, Outcome]:
    """Make and judge one honest work; the policy goes by its number."""
    bench = open_bench(settings[job.number % len(settings)])
    spec = bench.spec
    if job.regime != FLOAT32_ONLY.name:
        spec = spec.model_copy(update={"toploc": ToplocSpec(), "checks": CheckSpec()})
    with tempfile.TemporaryDirectory(prefix="noise-") as folder:
        root = write(Path(folder), bench, job, bench.make(job.number, job.made))
        manifest = open_bundle(Path(folder), BundleLimits(spec.limits.work_bytes), root)
        case = Case(
            task_id=TASK,
            epoch=Epoch(job.number),
            work=Work(TRAINER, WorkIndex(0), spec.rollout.groups, VERSION, root),
            spec=spec,
            spec_root=SPEC_ROOT,
            trainer_seed=bench.seed(job.number),
            epoch_seed=None,  # everything is checked
            policy_root=POLICY_ROOT,
            newest_version=VERSION,
            max_staleness=0,
            sampling_bps=BPS,
        )
        with computing(job.judged.flags(), bench.policy.backbone.module()):
            judged = Bench(under(bench.policy, job.judged), bench.environment)
            verdict = judge(case, judged, Path(folder), manifest).verdict
    outcome = Outcome(1, largest={each.check: (each.measured, each.threshold) for each in verdict.findings})
    if verdict.score != SCORE_FULL:
        last = verdict.findings[-1]
        outcome.rejected.append(f"work {job.number}: {last.check}: {last.detail} ({job.made} | {job.judged})")
    return job.regime, outcome


def write(folder: Path, bench: CalibrationBench, job: Job, made: Made) -> Root:
    """Put a work on disk, as its trainer would commit to it."""
    (folder / "trace").mkdir()
    (folder / ROLLOUTS_NAME).write_bytes(rollouts_bytes(made.rollouts))
    (folder / TRACE_NAME).write_bytes(trace_bytes(made.result.trace))
    write_update(folder / FOLDER, made.result.pseudo_gradient, codec_named(bench.spec.codec))
    header = WorkHeader(
        TASK, Epoch(job.number), TRAINER, VERSION, POLICY_ROOT, made.seed, SPEC_ROOT, {"assay": "noise"}
    )
    return build_bundle(folder, BundleKind.WORK, header.fields()).root


def judge_all(works: int, jobs: int, seed: int, minutes: float) -> tuple[dict[str, Outcome], bool]:
    """Judge until all are done or the time is up; whether all were."""
    task = read_task_file(TASK_FILE)
    spec = small_spec(task)
    environment = make_environment(spec.environment)
    until = time.monotonic() + 60 * minutes
    totals: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="noise-policies-") as folder:
        policies = [
            initial_policy(task.policy | {"warmup": {**task.policy["warmup"], "steps": steps}}, task.seed, environment)
            for steps in WARM_UPS
        ]
        settings = [Setting(str(Path(folder) / str(steps)), spec.to_bytes(), seed) for steps in WARM_UPS]
        for policy, setting in zip(policies, settings, strict=True):
            save_policy(policy, Path(setting.policy_folder))
        planned = [
            replace(job, number=FIRST_WORK + job.number) for job in plan(works, seed, policies[0]) if job.what == HONEST
        ]
        context = get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=start_process, initargs=(1,)) as pool:
            for done, (regime, outcome) in enumerate(pool.map(partial(judge_one, settings), planned), start=1):
                totals.setdefault(regime, Outcome()).add(outcome)
                if done % 100 == 0:
                    print(f"{done} of {works} judged", file=sys.stderr, flush=True)
                if time.monotonic() > until:
                    pool.shutdown(wait=False, cancel_futures=True)
                    return totals, done == works
    return totals, True


def table_lines(totals: dict[str, Outcome]) -> list[str]:
    lines = ["| regime | honest works judged | rejected |", "|---|---|---|"]
    lines += [f"| {regime} | {each.works:,} | {len(each.rejected)} |" for regime, each in sorted(totals.items())]
    lines += ["", "| check, at most | " + " | ".join(f"{name} | its threshold" for name in sorted(totals)) + " |"]
    lines += ["|---|" + "---|---|" * len(totals)]
    checks = [name for name in next(iter(totals.values())).largest]
    for check in checks:
        cells = [totals[name].largest[check] for name in sorted(totals)]
        if any(measured or threshold for measured, threshold in cells):
            shown = " | ".join(f"{measured:.3g} | {threshold:.3g}" for measured, threshold in cells)
            lines.append(f"| {check} | {shown} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=int, default=2_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many, with what was judged")
    chosen = parser.parse_args()
    began = time.monotonic()
    totals, is_all = judge_all(chosen.works, chosen.jobs, chosen.seed, chosen.minutes)
    lines = table_lines(totals)
    print("\n".join(lines))
    print(f"\n{time.monotonic() - began:.0f} s" + ("" if is_all else ": the time was up before all works were judged"))
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]))
    rejected = [miss for each in totals.values() for miss in each.rejected]
    for miss in rejected:
        print(f"an honest work was rejected: {miss}", file=sys.stderr)
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
