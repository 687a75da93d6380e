"""The policies and the shapes of submissions that `benchmarks.honest_noise` judges honest submissions of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay_core.environments.interface import Environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.protocol.spec import EnvironmentSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_protocol.task_file import TaskFile

EXAMPLES = Path(__file__).parents[1] / "examples"
WARM_UPS = (32, 64, 192)  # supervised steps behind the tiny policies
LONG_EVERY = 7  # coprime to the numbers of conditions and regimes, so that each of them gets long submissions
LONG_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Subject:
    """A task file, the policies tried on it, and the specs of the submissions; submissions go through all pairs in
    turn.
    """

    task_file: Path
    submissions: int
    command: str  # what writes its table into the page
    policies: Callable[[TaskFile, Environment], Sequence[CausalPolicy]]
    specs: Callable[[TaskSpec], Sequence[TaskSpec]]


def _warmed_up(task: TaskFile, environment: Environment) -> list[CausalPolicy]:
    """From hardly to well trained."""
    return [
        initial_policy(task.policy | {"warmup": {**task.policy["warmup"], "steps": steps}}, task.seed, environment)
        for steps in WARM_UPS
    ]


def _small_sorting(spec: TaskSpec) -> list[TaskSpec]:
    """Submissions of 16 completions and 4 inner steps; half-right answers count, so that most teach."""
    return [
        spec.model_copy(
            update={
                "environment": EnvironmentSpec(name="sorting", args={"digits": 4, "partial": True}),
                "rollout": RolloutSpec(groups=4, group_size=4),
                "recipe": spec.recipe.model_copy(update={"inner_steps": 4, "groups_per_step": 2}),
            }
        )
    ]


def _version_zero(task: TaskFile, environment: Environment) -> list[CausalPolicy]:
    return [initial_policy(task.policy, task.seed, environment)]


def _small_smollm2(spec: TaskSpec) -> list[TaskSpec]:
    """Submissions of 4 completions and 2 inner steps, most as short as the task's, one in seven longer."""
    short = spec.model_copy(
        update={
            "rollout": RolloutSpec(groups=2, group_size=2),
            "recipe": spec.recipe.model_copy(update={"inner_steps": 2, "groups_per_step": 1}),
        }
    )
    sampler = SamplerSpec(temperature=spec.sampler.temperature, max_new_tokens=LONG_TOKENS)
    return [*[short] * (LONG_EVERY - 1), short.model_copy(update={"sampler": sampler})]


SUBJECTS: Mapping[str, Subject] = {
    "tiny": Subject(EXAMPLES / "sorting.toml", 2_000, "make bench-noise", _warmed_up, _small_sorting),
    "smollm2": Subject(EXAMPLES / "smollm2.toml", 200, "make bench-noise-smollm2", _version_zero, _small_smollm2),
}
