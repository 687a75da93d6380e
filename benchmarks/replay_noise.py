"""How far replays of honest trainings lie off on other machines, by each measure.

    python -m benchmarks.replay_noise [--submissions N] [--smollm2]

Submissions of a small sorting task are trained by a machine in float32 and replayed by others: other attention kernels,
batches, padding, threads and libraries (`offchain/assay_protocol/calibration/conditions.py`), smaller micro-batches,
and weights disturbed by 2e-7 of themselves, which stands for machines that we do not have. Whole and step by step, with
all weights trained and with adapters, under three codecs; or small submissions of `examples/syllogism-lora.toml`.
Prints the largest of each measure beside its default threshold.
"""

import argparse
import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from assay_core.aggregation.codecs import codec_named
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import Environment, make_environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.protocol.spec import CheckSpec, EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training import inner
from assay_core.training.inner import InnerResult, repeat_inner_step, run_inner_steps
from assay_core.training.states import Arrays, InnerState
from assay_protocol.calibration.conditions import FLOAT32, Condition, computing, offered, under
from assay_protocol.task_file import load_task_file
from assay_trainer.prover import prove
from assay_trainer.rollout import roll_out
from assay_verifier.checks import replay
from assay_verifier.verdict import Finding

SPEC = TaskSpec(
    title="sort four digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 4, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=8, group_size=4),
    recipe=RecipeSpec(inner_steps=4, groups_per_step=4, lr=3e-4),
)
START: dict[str, Any] = {"kind": "tiny", "layers": 2, "width": 64, "heads": 4, "context": 16}
ADAPTER: dict[str, Any] = {"rank": 4, "alpha": 8, "targets": ["blocks.*"]}
CODECS = ("fp32", "int8", "topk20")
OPEN = CheckSpec(min_replay_cosine=0.0, max_replay_norm_error=1e9, max_replay_topk_error=1e9)  # stops nothing
DISTURBED = 2e-7
SMALL_BATCHES = 64  # tokens in one forward and backward pass


@dataclass(frozen=True, slots=True)
class Machine:
    """Who replays. `policy` and `state` are what it makes of the numbers that it is given."""

    name: str
    condition: Condition = Condition()  # noqa: RUF009 - frozen
    micro_batch: int = inner.MICRO_BATCH_TOKENS
    is_disturbed: bool = False

    @contextlib.contextmanager
    def at_submission(self, policy: CausalPolicy) -> Generator[CausalPolicy]:
        before, inner.MICRO_BATCH_TOKENS = inner.MICRO_BATCH_TOKENS, self.micro_batch
        try:
            with computing(self.condition.flags(), policy.backbone.module()), self._disturbed(policy):
                yield under(policy, self.condition)
        finally:
            inner.MICRO_BATCH_TOKENS = before

    @contextlib.contextmanager
    def _disturbed(self, policy: CausalPolicy) -> Generator[None]:
        """All weights, those that are not trained too."""
        if not self.is_disturbed:
            yield
            return
        parameters = list(policy.backbone.module().parameters())
        kept = [parameter.detach().clone() for parameter in parameters]
        random = torch.Generator().manual_seed(1)
        try:
            with torch.no_grad():
                for parameter in parameters:
                    parameter.mul_(1 + DISTURBED * torch.randn(parameter.shape, generator=random))
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(parameters, kept, strict=True):
                    parameter.copy_(value)


def machines(policy: CausalPolicy) -> list[Machine]:
    return [
        *(Machine(str(each), each) for each in FLOAT32 if offered(each, policy)),
        Machine("small micro-batches", micro_batch=SMALL_BATCHES),
        Machine("disturbed weights", is_disturbed=True),
    ]


def measured(
    policy: CausalPolicy, spec: TaskSpec, rollouts: Rollouts, seed: Seed, machine: Machine
) -> Iterator[tuple[str, Finding]]:
    """Each measure of a submission that a plain machine has trained and `machine` replays, with what it was taken
    of.
    """
    states: list[InnerState] = []
    claimed = run_inner_steps(policy, rollouts, spec, seed, on_state=lambda number, state: states.append(state))
    if not states:
        return
    with machine.at_submission(policy) as other:
        again: InnerResult = run_inner_steps(other, rollouts, spec, seed)
    for name in CODECS:
        codec = codec_named(name)
        received = replay.through_codec(claimed.pseudo_gradient, codec)
        for finding in replay.compare(received, again.pseudo_gradient, codec, OPEN):
            yield f"whole, {name}", finding
    weights = {name: value.detach().numpy().copy() for name, value in policy.trainable().items()}
    for number, (before, after) in enumerate(pairwise([None, *states])):
        start: Arrays = weights if before is None else before.parameters
        with machine.at_submission(policy) as other:
            ours = repeat_inner_step(other, rollouts, spec, seed, number, before)
        for finding in replay.check_step(number, start, _known(after), ours, OPEN):
            yield "step by step", finding


def _known(state: InnerState | None) -> InnerState:
    assert state is not None
    return state


@dataclass(frozen=True, slots=True)
class Subject:
    """What is trained, and on which task."""

    name: str
    policy: CausalPolicy
    spec: TaskSpec
    environment: Environment

    def roll_out(self, seed: Seed) -> Rollouts:
        batches = roll_out(self.policy, self.environment, self.spec, seed)
        rows = tuple(row for batch in batches for row in prove(batch, self.spec.toploc))
        return Rollouts(self.spec.rollout.group_size, rows)


def sorting() -> Iterator[Subject]:
    environment = make_environment(SPEC.environment)
    for name, adapter in (("all weights", None), ("adapters", ADAPTER)):
        start = START | {"warmup": {"steps": 60, "batch": 64}, "adapter": adapter}
        yield Subject(name, initial_policy(start, Seed(bytes(32)), environment), SPEC, environment)


def smollm2() -> Iterator[Subject]:
    task = load_task_file(Path(__file__).parents[1] / "examples" / "syllogism-lora.toml")
    recipe = task.spec.recipe.model_copy(update={"inner_steps": 3, "groups_per_step": 1})
    spec = task.spec.model_copy(update={"rollout": RolloutSpec(groups=4, group_size=4), "recipe": recipe})
    environment = make_environment(spec.environment)
    yield Subject("SmolLM2's adapters", initial_policy(task.policy, task.seed, environment), spec, environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=10, help="for each policy and machine")
    parser.add_argument("--smollm2", action="store_true", help="adapters of a real model: minutes a submission")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    defaults = CheckSpec()
    thresholds = {
        replay.NAME_DIRECTION: 1 - defaults.min_replay_cosine,
        replay.NAME_LENGTH: defaults.max_replay_norm_error,
        replay.NAME_CHOICE: defaults.max_replay_norm_error,
        replay.NAME_LARGEST: defaults.max_replay_topk_error,
        replay.NAME_FIRST: defaults.max_replay_moment_error,
        replay.NAME_SECOND: defaults.max_replay_moment_error,
    }
    print("| trained | replay | measure | largest | by | default threshold |\n|---|---|---|---|---|---|", flush=True)
    for subject in smollm2() if chosen.smollm2 else sorting():
        worst: dict[tuple[str, str], tuple[float, str]] = defaultdict(lambda: (0.0, "-"))
        for number in range(chosen.submissions):
            seed = Seed(sha256(b"replay noise %d" % number).digest())
            rollouts = subject.roll_out(seed)
            for machine in machines(subject.policy):
                for what, finding in measured(subject.policy, subject.spec, rollouts, seed, machine):
                    key = (what, finding.check)
                    worst[key] = max(worst[key], (finding.measured, machine.name))
        for (what, check), (largest, by) in sorted(worst.items()):
            print(f"| {subject.name} | {what} | {check} | {largest:.2g} | {by} | {thresholds[check]:.2g} |", flush=True)


if __name__ == "__main__":
    main()
