"""Where completions may end, when several tokens end one."""

import numpy as np
import pytest

from assay_core.bundle.trajectory import Completion, Finish, Rollouts
from assay_protocol.task_file import load_task_file
from assay_protocol.tasks import example_task
from assay_verifier.checks.termination import check

ENDS = (1, 7)


@pytest.mark.parametrize(
    ("ids", "finish", "fault"),
    [
        ((3, 1), "eos", None),
        ((3, 7), "eos", None),
        ((7, 1), "eos", "goes on after its end of sequence"),
        ((3, 4), "eos", "claims an end of sequence that is not there"),
        ((3, 7), "length", "claims to have met the length limit but ends its sequence"),
    ],
)
def test_any_of_the_ends_ends_a_completion(ids: tuple[int, ...], finish: Finish, fault: str | None) -> None:
    spec = load_task_file(example_task("sorting")).spec
    row = Completion(0, 0, (2,), ids, np.zeros(len(ids), np.float32), finish, 0.0, ())
    finding = check(Rollouts(1, (row,)), spec, ENDS)
    assert (finding.reason is None) == (fault is None)
    assert fault is None or fault in finding.detail
