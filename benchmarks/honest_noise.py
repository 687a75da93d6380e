"""Honest submissions that must all be accepted: `make bench-noise`, `make bench-noise-smollm2`.

    python -m benchmarks.honest_noise [--policy tiny|smollm2] [--submissions N] [--jobs N] [--seed N] [--minutes M]
                                      [--record FILE] [--part K/N]

Small submissions of the task in `examples/sorting.toml` or `examples/smollm2.toml`, half of them made and judged by
machines that compute in float32 under that file's thresholds, half by machines of which one at least rolls out or
prefills in less, under the spec's defaults. All train in float32, as recipes say. Each is rolled out, proved, trained,
written as a bundle, opened and judged in full by the verifier's judge. The tiny policies are version 0 and two that
have learned more. Prints how many were judged and rejected, and the largest that each check measured; writes the table
into docs/calibration.md. The exit code is 1 when one was rejected.

With `--record`, each submission's outcome is appended to a file of JSON lines as soon as it is known, and submissions
that the file has already (of the same policy, spec and seed) are not judged again. With `--part`, several machines
share the submissions; their records, one after the other in one file, are a record of all.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.header import SubmissionHeader
from assay_core.bundle.manifest import BundleLimits
from assay_core.environments import make_environment
from assay_core.policy import save_policy
from assay_core.protocol.spec import CheckSpec, TaskSpec, ToplocSpec, parse_spec
from assay_core.protocol.types import Epoch, PolicyVersion
from assay_protocol.calibration.conditions import computing, under
from assay_protocol.calibration.runs import plan
from assay_protocol.calibration.submissions import (
    TASK,
    TRAINER,
    CalibrationContext,
    Job,
    Setting,
    open_context,
    start_process,
)
from assay_protocol.calibration.thresholds import FLOAT32_ONLY, HONEST
from assay_protocol.task_file import load_task_file
from assay_verifier.checks import update
from assay_verifier.judge import judge
from assay_verifier.verdict import SCORE_FULL
from benchmarks.honest_subjects import SUBJECTS, Subject
from tests.submissions import POLICY_ROOT, SPEC_ROOT, Draft, LoadedContext, case_of, write

PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
VERSION = PolicyVersion(1)
FIRST_SUBMISSION = 1_000_000  # numbers that `assay calibrate` never reaches: its thresholds come from other submissions


@dataclass(frozen=True, slots=True)
class Judged:
    """One honest submission's outcome.

    `measured`: what each check found, and its threshold; `rejected`: why, if it was.
    """

    key: str
    regime: str
    machines: str
    measured: Mapping[str, tuple[float, float]]
    rejected: str | None

    def json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "regime": self.regime,
            "machines": self.machines,
            "measured": {check: list(values) for check, values in self.measured.items()},
            "rejected": self.rejected,
        }


@dataclass(slots=True)
class Outcome:
    """What became of submissions of one regime: `largest` is what each check measured at most, beside its threshold."""

    submissions: int = 0
    trained: int = 0  # the others had nothing to learn: their groups' rewards were all alike
    rejected: list[str] = field(default_factory=list[str])
    largest: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def add(self, submission: Judged) -> None:
        self.submissions += 1
        self.trained += submission.measured.get(update.NAME_NORM, (0.0, 0.0))[0] > 0
        if submission.rejected is not None:
            self.rejected.append(f"{submission.rejected} ({submission.machines})")
        for check, (measured, threshold) in submission.measured.items():
            self.largest[check] = (max(measured, self.largest.get(check, (0.0, 0.0))[0]), threshold)


def limits_of(spec: TaskSpec, regime: str) -> TaskSpec:
    """The thresholds that a task of this regime has: its file's, or the spec's defaults."""
    if regime == FLOAT32_ONLY.name:
        return spec
    return spec.model_copy(update={"toploc": ToplocSpec(), "checks": CheckSpec()})


def key_of(settings: Sequence[Setting], job: Job) -> str:
    """Tells submissions apart that were judged otherwise: by number, machines, seed and spec."""
    setting = settings[job.number % len(settings)]
    spec = limits_of(parse_spec(setting.spec), job.regime)
    text = f"{setting.seed} | {job.made} | {job.judged} | {spec.to_bytes().decode()}"
    return f"{job.number}-{sha256(text.encode()).hexdigest()[:16]}"


def judge_one(settings: Sequence[Setting], job: Job) -> Judged:
    """Make and judge one honest submission; policy and spec go by its number."""
    context = open_context(settings[job.number % len(settings)])
    spec = limits_of(context.spec, job.regime)
    with tempfile.TemporaryDirectory(prefix="noise-") as folder:
        made, header = context.make(job.number, job.made), header_of(context, job.number)
        draft = Draft(header, made.rollouts, made.result.pseudo_gradient, made.result.trace)
        root = write(draft, spec, Path(folder)).root
        manifest = open_bundle(Path(folder), BundleLimits(spec.limits.submission_bytes), root)
        case = case_of(header, spec, root)  # everything is checked
        with computing(job.judged.flags(), context.policy.backbone.module()):
            judged = LoadedContext(under(context.policy, job.judged), context.environment)
            verdict = judge(case, judged, Path(folder), manifest).verdict
    last = verdict.findings[-1]
    return Judged(
        key=key_of(settings, job),
        regime=job.regime,
        machines=f"{job.made} | {job.judged}",
        measured={each.check: (float(each.measured), float(each.threshold)) for each in verdict.findings},
        rejected=None if verdict.score == SCORE_FULL else f"submission {job.number}: {last.check}: {last.detail}",
    )


def header_of(context: CalibrationContext, number: int) -> SubmissionHeader:
    seed = context.seed(number)
    return SubmissionHeader(TASK, Epoch(number), TRAINER, VERSION, POLICY_ROOT, seed, SPEC_ROOT, {"assay": "noise"})


# ---- all of them


def judge_all(subject: Subject, chosen: argparse.Namespace) -> tuple[list[Judged], bool]:
    """Judge until all are done or the time is up; whether all were."""
    task = load_task_file(subject.task_file)
    specs = subject.specs(task.spec)
    environment = make_environment(specs[0].environment)
    until = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="noise-policies-") as folder:
        policies = subject.policies(task, environment)
        for number, policy in enumerate(policies):
            save_policy(policy, Path(folder) / str(number))
        settings = [
            Setting(str(Path(folder) / str(number)), spec.to_bytes(), chosen.seed)
            for spec in specs
            for number in range(len(policies))
        ]
        honest = (job for job in plan(chosen.submissions, chosen.seed, policies[0]) if job.what == HONEST)
        part, parts = chosen.part
        jobs = [replace(job, number=FIRST_SUBMISSION + job.number) for job in honest if job.number % parts == part]
        del policies  # the processes load their own
        known = read_record(chosen.record)
        done = [known[key] for key in (key_of(settings, job) for job in jobs) if key in known]
        left = [job for job in jobs if key_of(settings, job) not in known]
        context = get_context("spawn")
        with ProcessPoolExecutor(chosen.jobs, context, initializer=start_process, initargs=(1,)) as pool:
            for submission in pool.map(partial(judge_one, settings), left):
                append_record(chosen.record, submission)
                done.append(submission)
                if len(done) % (chosen.submissions // 20 or 1) == 0:
                    print(f"{len(done)} of {len(jobs)} judged", file=sys.stderr, flush=True)
                if time.monotonic() > until:
                    pool.shutdown(wait=False, cancel_futures=True)
                    break
    return done, len(done) == len(jobs)


def read_record(path: Path | None) -> dict[str, Judged]:
    """By key; what a cut left half-written at the end is left out."""
    found: dict[str, Judged] = {}
    if path is None or not path.exists():
        return found
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        measured = {check: (values[0], values[1]) for check, values in row["measured"].items()}
        found[row["key"]] = Judged(row["key"], row["regime"], row["machines"], measured, row["rejected"])
    return found


def append_record(path: Path | None, submission: Judged) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(submission.json()) + "\n")


def totals_of(submissions: Iterable[Judged]) -> dict[str, Outcome]:
    totals: dict[str, Outcome] = {}
    for submission in submissions:
        totals.setdefault(submission.regime, Outcome()).add(submission)
    return totals


# ---- what is written


def table_lines(totals: Mapping[str, Outcome]) -> list[str]:
    lines = [
        "| regime | honest submissions judged | of them with an update to replay | rejected |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {regime} | {each.submissions:,} | {each.trained:,} | {len(each.rejected)} |"
        for regime, each in sorted(totals.items())
    ]
    lines += ["", "| check, at most | " + " | ".join(f"{name} | its threshold" for name in sorted(totals)) + " |"]
    lines += ["|---|" + "---|---|" * len(totals)]
    checks = [name for name in next(iter(totals.values())).largest]
    for check in checks:
        cells = [totals[name].largest[check] for name in sorted(totals)]
        if any(measured or threshold for measured, threshold in cells):
            shown = " | ".join(f"{measured:.3g} | {threshold:.3g}" for measured, threshold in cells)
            lines.append(f"| {check} | {shown} |")
    return lines


def write_into_page(lines: Sequence[str], command: str) -> None:
    begin, end = (f"<!-- made by `{command}`: {word} -->" for word in ("begin", "end"))
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if found and closed:
        PAGE.write_text("\n".join([before + begin, "", *lines, "", end + after]))


def _part(text: str) -> tuple[int, int]:
    part, parts = map(int, text.split("/"))
    if not 0 <= part < parts:
        raise ValueError(text)
    return part, parts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", choices=sorted(SUBJECTS), default="tiny")
    parser.add_argument("--submissions", type=int, help="2,000 of a tiny policy, 200 of SmolLM2 by default")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so many, with what was judged")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append outcomes, skip submissions that it has")
    parser.add_argument(
        "--part", type=_part, default=(0, 1), metavar="K/N", help="of the submissions, every Nth from K on"
    )
    chosen = parser.parse_args()
    subject = SUBJECTS[chosen.policy]
    chosen.submissions = chosen.submissions or subject.submissions
    began = time.monotonic()
    submissions, is_all = judge_all(subject, chosen)
    totals = totals_of(submissions)
    lines = table_lines(totals)
    print("\n".join(lines))
    print(
        f"\n{time.monotonic() - began:.0f} s"
        + ("" if is_all else ": the time was up before all submissions were judged")
    )
    if (
        is_all and chosen.part[1] == 1 and chosen.submissions >= subject.submissions
    ):  # a trial run leaves the page alone
        write_into_page(lines, subject.command)
    rejected = [miss for each in totals.values() for miss in each.rejected]
    for miss in rejected:
        print(f"an honest submission was rejected: {miss}", file=sys.stderr)
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
