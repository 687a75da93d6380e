"""A peer of a synchronous group as a process: `python -m tests.integration.sync_peer SETTINGS`.

It fits a line by gradient descent, H inner steps on data of its own between two exchanges, and writes a policy version
(weights and momentum) after each outer step. A line of JSON per outer step tells how it goes.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay_core.aggregation.codecs import Float32
from assay_core.aggregation.collective import SyncGroup, SyncLimits, SyncPlace
from assay_core.aggregation.division import Turn
from assay_core.aggregation.optimizer import outer_step
from assay_core.bundle.tensor_files import write_tensors

TRUTH = np.array([1.0, -2.0, 3.0], np.float32)
INNER_STEPS, INNER_LR = 5, 0.1


def inner_update(weights: Float32, seed: int) -> Float32:
    """Pseudo-gradient of some local steps: before minus after."""
    random, after = np.random.default_rng(seed), weights.copy()
    for _ in range(INNER_STEPS):
        inputs = random.standard_normal((16, 3)).astype(np.float32)
        after -= INNER_LR * inputs.T @ (inputs @ (after - TRUTH)) / 16
    return weights - after


def share_of(update: Float32, made_at: int) -> Callable[[Turn], Float32]:
    """[D + 1]: an update and its weight. One that was made from older weights than the group's has no say."""

    def share(turn: Turn) -> Float32:
        weight = np.float32(turn.step == made_at)
        return np.concatenate([update * weight, np.full(1, weight, np.float32)])

    return share


def is_whole(total: Float32) -> bool:
    """Somebody had a say."""
    return bool(total[-1] > 0)


def newest_version(folder: Path) -> tuple[int, dict[str, Float32]]:
    """The last policy version on this machine, or the first of all."""
    from safetensors.numpy import load_file

    versions = sorted(folder.glob("*.safetensors"))
    if not versions:
        return 0, {"weights": np.zeros(3, np.float32), "momentum": np.zeros(3, np.float32)}
    return int(versions[-1].stem), load_file(versions[-1])


def write_version(folder: Path, step: int, state: dict[str, Float32]) -> None:
    partial = folder / f"{step:06d}.partial"
    write_tensors(partial, state)
    partial.rename(folder / f"{step:06d}.safetensors")


def main(settings: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    folder = Path(settings["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    started_from, state = newest_version(folder)
    place = SyncPlace(settings["lighthouse"], "127.0.0.1", settings["seat"])
    limits = SyncLimits(min_peers=settings["min_peers"], exchange_s=5, join_s=30, deadline_s=90)
    group = SyncGroup(place, lambda: state, state.update, step=started_from, limits=limits)
    inner = 0
    while group.step < settings["steps"]:
        time.sleep(settings["inner_s"])
        update = inner_update(state["weights"], 1_000 * settings["seat"] + group.step)
        inner += 1
        found = group.add_up(share_of(update, group.step), is_whole)
        after = outer_step(
            {"weights": state["weights"]},
            {"weights": state["momentum"]},
            {"weights": found.total[:-1] / found.total[-1]},
            lr=0.7,
            momentum_decay=0.6,
        )
        state["weights"], state["momentum"] = after.weights["weights"], after.momentum["weights"]
        write_version(folder, group.step, state)
        line = {
            "step": group.step,
            "peers": found.peers,
            "attempts": found.attempts,
            "inner": inner,
            "started_from": started_from,
            "at": time.time(),
            "weights": state["weights"].tolist(),
        }
        print(json.dumps(line), flush=True)
    group.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
