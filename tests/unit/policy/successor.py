"""The next version of a policy, out of numbers alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.policy.weights import carry_over, write_tensors


def write_successor(previous: Path, weights: Mapping[str, npt.NDArray[np.float32]], target: Path) -> None:
    """Write the policy that follows `previous`: the same but for the trainable weights. Needs no model in memory."""
    carry_over(previous, target)
    write_tensors(target / WEIGHTS_NAME, weights)
