"""Step 3: prove which model produced the completions, with TOPLOC."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.spec import TaskSpec, ToplocSpec
from assay_core.protocol.types import Seed
from assay_core.toploc import Hidden, build_all
from assay_trainer.rollout import P, RolloutEnvironment, Sampler, roll_out


class WithHidden(Protocol):
    """A completion and the final hidden states of its N positions, [N, H] bfloat16 bit patterns."""

    @property
    def completion(self) -> Completion: ...
    @property
    def hidden_NH(self) -> npt.NDArray[np.uint16]: ...


def prove(batch: Sequence[WithHidden], toploc: ToplocSpec) -> list[Completion]:
    """The completions with their proofs. Raises ValueError: hidden states that are not finite."""
    sequences = [Hidden(row.hidden_NH, len(row.completion.prompt_ids)) for row in batch]
    proofs = build_all(sequences, topk=toploc.topk, chunk_tokens=toploc.chunk_tokens)
    return [replace(row.completion, proofs=tuple(proved)) for row, proved in zip(batch, proofs, strict=True)]


def proved_rollouts(policy: Sampler, environment: RolloutEnvironment[P], spec: TaskSpec, seed: Seed) -> Rollouts:
    """Steps 2 and 3 in one, where nobody looks on. Raises Malformed, ValueError, as they do."""
    batches = roll_out(policy, environment, spec, seed)
    return Rollouts(spec.rollout.group_size, tuple(row for batch in batches for row in prove(batch, spec.toploc)))
