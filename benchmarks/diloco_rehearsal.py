"""A run without chain, relay and processes: trainers one after the other, but each step by the project's own code.

What is left out changes no number of the training: TOPLOC's proofs, the verification, the waiting. Settings are tried
here, in minutes, and confirmed by `diloco_network.py`.
"""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.evaluate import evaluate
from assay_core.protocol.encoding import derive
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Seed, SubmissionIndex
from assay_protocol.devnet.demo.observe import EVALUATION_SEED
from assay_trainer.inner import train
from assay_trainer.rollout import roll_out
from assay_verifier.aggregate import write_next
from assay_verifier.inbox import Delivery
from benchmarks.diloco_plan import Plan, write_task_file


@dataclass(frozen=True, slots=True)
class Point:
    """A policy version: the completions behind it, and its reward on held-out prompts."""

    samples: int
    reward: float


def rehearse(plan: Plan, prompts: int, every: int = 1) -> list[Point]:
    """The reward after every `every` epochs.

    From then on this process computes with one thread, as the processes of a network do.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return _rehearse(plan, prompts, every, Path(folder))


def _rehearse(plan: Plan, prompts: int, every: int, folder: Path) -> list[Point]:
    task = write_task_file(plan, folder / "task.toml")
    spec, environment = task.spec, make_environment(task.spec.environment)
    save_policy(initial_policy(task.policy, task.seed, environment), folder / "policy-0")
    versions = [Delivery(folder / "policy-0", build_bundle(folder / "policy-0", BundleKind.POLICY, {"version": 0}))]
    points, samples = list[Point](), 0
    for epoch in count():
        if samples >= plan.samples(spec.rollout.group_size):
            break
        submissions = [
            (
                SubmissionIndex(index),
                1,
                _make_submission(versions[max(0, epoch - plan.lag)], spec, task.seed, epoch, seat, folder),
            )
            for index, seat in enumerate(plan.members(epoch))
        ]
        if epoch % every == 0:
            points.append(Point(samples, _reward(versions[-1], spec, prompts)))
            print(f"{plan.label}, seed {plan.seed}: epoch {epoch}: {points[-1]}", file=sys.stderr, flush=True)
        samples += len(submissions) * plan.groups * spec.rollout.group_size
        target = folder / f"policy-{epoch + 1}"
        write_next(spec, versions[-1], submissions, target)
        versions.append(Delivery(target, build_bundle(target, BundleKind.POLICY, {"version": epoch + 1})))
    return [*points, Point(samples, _reward(versions[-1], spec, prompts))]


def _make_submission(policy: Delivery, spec: TaskSpec, seed: Seed, epoch: int, seat: int, folder: Path) -> Delivery:
    own = derive(seed, "rehearsal", epoch, seat)
    submission = folder / f"submission-{seat}"
    shutil.rmtree(submission, ignore_errors=True)
    submission.mkdir()
    loaded = load_policy(policy.directory)
    environment = make_environment(spec.environment)
    completions = [row.completion for batch in roll_out(loaded, environment, spec, own) for row in batch]
    train(loaded, Rollouts(spec.rollout.group_size, tuple(completions)), spec, own, submission)
    return Delivery(submission, build_bundle(submission, BundleKind.SUBMISSION, {}))


def _reward(policy: Delivery, spec: TaskSpec, prompts: int) -> float:
    loaded = load_policy(policy.directory)
    return evaluate(loaded, make_environment(spec.environment), EVALUATION_SEED, prompts, spec.sampler)
