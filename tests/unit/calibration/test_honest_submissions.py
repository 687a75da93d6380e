"""`benchmarks.honest_noise`: honest submissions are judged under the thresholds of their regime, and none twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.protocol.spec import CheckSpec, TaskSpec, ToplocSpec
from assay_protocol.calibration.conditions import FLOAT32, REDUCED, Condition
from assay_protocol.calibration.submissions import Job, Setting, start_process
from assay_protocol.calibration.thresholds import FLOAT32_ONLY, HONEST, MIXED
from assay_protocol.task_file import load_task_file
from benchmarks.honest_noise import (
    Judged,
    append_record,
    judge_one,
    key_of,
    limits_of,
    read_record,
    table_lines,
    totals_of,
)
from benchmarks.honest_subjects import LONG_EVERY, SUBJECTS

TINY = SUBJECTS["tiny"]
JOB = Job(7, HONEST, Condition(batch=3, padding=1), Condition(is_onednn=False), FLOAT32_ONLY.name)


def small_spec() -> TaskSpec:
    return TINY.specs(load_task_file(TINY.task_file).spec)[0]


def setting(folder: Path, spec: TaskSpec | None = None) -> Setting:
    return Setting(str(folder), (spec or small_spec()).to_bytes(), 0)


def judged(key: str, regime: str, norm: float, rejected: str | None = None) -> Judged:
    return Judged(key, regime, "here | there", {"update norm": (norm, 1.05), "toploc": (0.0, 38.0)}, rejected)


def test_an_honest_submission_between_two_machines_is_accepted(tmp_path: Path) -> None:
    start_process(1)
    task = load_task_file(TINY.task_file)
    spec = small_spec()
    start = task.policy | {"width": 32, "warmup": {"steps": 5, "batch": 32}}
    save_policy(initial_policy(start, task.seed, make_environment(spec.environment)), tmp_path)
    found = judge_one([setting(tmp_path)], JOB)
    assert found.rejected is None
    assert found.measured["sampling logprobs"][1] == spec.checks.max_logprob_error
    assert {"toploc", "sampling tokens", "update norm"} <= set(found.measured)


def test_each_regime_has_its_thresholds() -> None:
    spec = small_spec()
    assert limits_of(spec, FLOAT32_ONLY.name) == spec
    mixed = limits_of(spec, MIXED.name)
    assert (mixed.toploc, mixed.checks) == (ToplocSpec(), CheckSpec())
    assert mixed.rollout == spec.rollout


def test_submissions_judged_otherwise_have_other_keys(tmp_path: Path) -> None:
    spec = small_spec()
    tighter = spec.model_copy(update={"checks": spec.checks.model_copy(update={"max_logprob_error": 1e-4})})
    variants = [
        (setting(tmp_path), JOB),
        (setting(tmp_path), replace(JOB, number=8)),
        (setting(tmp_path), replace(JOB, judged=Condition())),
        (setting(tmp_path), replace(JOB, regime=MIXED.name)),
        (setting(tmp_path, tighter), JOB),
        (replace(setting(tmp_path), seed=1), JOB),
    ]
    assert len({key_of([each], job) for each, job in variants}) == len(variants)
    assert key_of([setting(tmp_path)], JOB) == key_of([setting(tmp_path / "elsewhere")], JOB)


def test_a_record_is_read_again_without_the_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.jsonl"
    submissions = [judged("a", "float32", 0.2), judged("b", "mixed", 0.0, "submission 3: toploc: far off")]
    for submission in submissions:
        append_record(path, submission)
    with path.open("a") as file:
        file.write('{"key": "c", "regi')
    assert read_record(path) == {"a": submissions[0], "b": submissions[1]}


@pytest.mark.parametrize("path", [None, Path("no-such-record.jsonl")])
def test_without_a_record_nothing_is_known(path: Path | None) -> None:
    assert read_record(path) == {}


def test_table_tells_how_many_taught_and_how_many_were_rejected() -> None:
    totals = totals_of([judged("a", "float32", 0.2), judged("b", "float32", 0.0), judged("c", "mixed", 0.1, "why")])
    assert totals["mixed"].rejected == ["why (here | there)"]
    lines = table_lines(totals)
    assert "| float32 | 2 | 1 | 0 |" in lines
    assert "| mixed | 1 | 1 | 1 |" in lines
    assert "| update norm | 0.2 | 1.05 | 0.1 | 1.05 |" in lines


def test_long_submissions_of_smollm2_meet_every_machine() -> None:
    subject = SUBJECTS["smollm2"]
    specs = subject.specs(load_task_file(subject.task_file).spec)
    assert len(specs) == LONG_EVERY
    assert len({each.sampler.max_new_tokens for each in specs}) == 2
    for machines in (FLOAT32, REDUCED):
        met = {(number % len(machines), number % LONG_EVERY) for number in range(len(machines) * LONG_EVERY)}
        assert len(met) == len(machines) * LONG_EVERY
