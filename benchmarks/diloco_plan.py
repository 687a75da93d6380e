"""What `make bench-diloco` runs: the demo's task with other settings, and who trains it in which epoch."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay_protocol.task_file import TaskFile, load_task_file

DEMO_TASK = Path(__file__).parents[1] / "offchain" / "assay_protocol" / "devnet" / "demo" / "sorting.toml"
COMPLETIONS_CHECKED = 64  # of each submission, drawn; the demo checks all


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of `epochs` epochs with `trainers` trainers, each with submissions of `groups` prompts.

    In epoch `dies_in` one trainer dies with its submission half made; in the next one another joins. None: nobody does.
    """

    label: str
    trainers: int
    epochs: int
    groups: int = 64
    groups_per_step: int = 16
    inner_steps: int = 16
    lr: str = "0.0002"
    codec: str = "int4"
    outer_lr: str = "0.7"
    momentum: str = "0.3"
    dies_in: int | None = None
    lag: int = 0  # policy versions that a submission may lie behind; in a rehearsal each lies as far
    seed: int = 7
    commit_window: int = 90  # seconds from the seal before; what a death costs the others, once

    def samples(self, group_size: int) -> int:
        """Completions at which runs are compared: all of the plan if nobody dies. A run ends with at least these."""
        return self.trainers * self.epochs * self.groups * group_size

    def members(self, epoch: int) -> list[int]:
        """Seats of those whose submissions an epoch has."""
        if self.dies_in is None or epoch < self.dies_in:
            return list(range(self.trainers))
        living = list(range(1, self.trainers))
        return living if epoch == self.dies_in else [*living, self.trainers]


def write_task_file(plan: Plan, path: Path, terms: Mapping[str, Any] | None = None) -> TaskFile:
    """The demo's task with a plan's settings. `terms` replace its own."""
    with DEMO_TASK.open("rb") as stream:
        content = tomllib.load(stream)
    task = content["task"]
    task["codec"] = plan.codec
    task["rollout"]["groups"] = plan.groups
    task["recipe"] |= {"inner_steps": plan.inner_steps, "groups_per_step": plan.groups_per_step, "lr": plan.lr}
    task["outer"] |= {"lr": plan.outer_lr, "momentum": plan.momentum}
    task["checks"]["completions_checked"] = COMPLETIONS_CHECKED
    content["terms"] |= dict(terms or {})
    content["policy"]["seed"] = plan.seed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} = {_inline(value)}\n" for name, value in content.items()))
    return load_task_file(path)


def _inline(value: Any) -> str:
    """A value as TOML writes it on one line; strings and numbers are JSON's."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_inline(item)}" for name, item in value.items()) + " }"
    return json.dumps(value)
