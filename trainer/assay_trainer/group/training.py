"""A submission's inner steps in progress: the state that the members of a group share, and the parts of a step."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from assay_core.protocol.errors import Malformed
from assay_core.training.inner import Learner, Plan, Sample, state_digest
from assay_core.training.states import InnerState
from assay_core.training.trace import StepTrace

Arrays = Mapping[str, npt.NDArray[Any]]
OnStepTaken = Callable[[int, StepTrace, Learner], None]
PARAMETER, FIRST, SECOND = "parameter/", "first/", "second/"
SUBMISSION = "submission"  # [16] bytes: which submission this is
PROGRESS = "progress"  # [3], float64: inner steps taken; loss and gradient norm of the last


class Training:
    """The step that a submission's training stands at; `state` and `load` carry it from one member to another.

    `submission` (16 bytes) tells submissions apart. `on_step` is called after each step with its number, also after one
    that another member's state brought.
    """

    def __init__(self, submission: bytes, learner: Learner, plan: Plan, on_step: OnStepTaken | None = None) -> None:
        self.submission = submission
        self._learner = learner
        self._plan = plan
        self._on_step = on_step
        self._last = (0.0, 0.0)
        self.step = 0

    @property
    def is_done(self) -> bool:
        return self.step == len(self._plan.order)

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        return self._learner.parameters

    def batch(self) -> list[Sample]:
        """The samples of the step that comes next."""
        return self._plan.samples(self.step)

    def gradient(self, samples: list[Sample], tokens: int) -> tuple[dict[str, Tensor], float]:
        """Gradient and loss of these samples: their part of the mean over `tokens`, those of the whole batch."""
        loss = self._learner.gradient(samples, tokens)
        return {name: _gradient_of(parameter) for name, parameter in self.parameters.items()}, loss

    def advance(self, gradients: Mapping[str, Tensor], loss: float) -> None:
        """Take the step with the gradient of the whole batch. Raises MalformedUpdate: it is not finite."""
        for name, parameter in self.parameters.items():
            parameter.grad = gradients[name]
        self._took_step(loss, self._learner.descend(self.step, loss))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that a member needs who joins at this step."""
        state = self._learner.state()
        parts = ((PARAMETER, state.parameters), (FIRST, state.first), (SECOND, state.second))
        arrays: dict[str, npt.NDArray[Any]] = {
            prefix + name: array for prefix, part in parts for name, array in part.items()
        }
        arrays[SUBMISSION] = np.frombuffer(self.submission, np.uint8)
        arrays[PROGRESS] = np.array([self.step, *self._last], np.float64)
        return arrays

    def load(self, state: Arrays) -> None:
        """Go on from another member's state, which has our names, shapes and types.

        Raises Malformed: it is of another submission, of a step that there is not, or that we have left behind.
        """
        if state[SUBMISSION].tobytes() != self.submission:
            raise Malformed("a member of the group is at another submission")
        step, loss, norm = (float(value) for value in state[PROGRESS])
        if not (step.is_integer() and self.step <= step <= len(self._plan.order)):
            raise Malformed(f"a member of the group is at inner step {step:g}, we are at {self.step}")

        def part(prefix: str) -> dict[str, npt.NDArray[np.float32]]:
            return {name: np.array(state[prefix + name]) for name in self.parameters}  # writable copies

        self._learner.resume(int(step), InnerState(part(PARAMETER), part(FIRST), part(SECOND)))
        if step > self.step:
            self.step = int(step) - 1
            self._took_step(loss, norm)

    def _took_step(self, loss: float, norm: float) -> None:
        number, self._last = self.step, (loss, norm)
        self.step += 1
        if self._on_step is not None:
            trace = StepTrace(self._plan.order[number], loss, norm, state_digest(self.parameters))
            self._on_step(number, trace, self._learner)


def tokens_of(samples: list[Sample]) -> int:
    """Tokens that the loss is a mean over."""
    return sum(len(sample.completion.completion_ids) for sample in samples)


def cost(sample: Sample) -> int:
    """Tokens that go through the model."""
    return len(sample.completion.prompt_ids) + len(sample.completion.completion_ids)


def _gradient_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None, "Learner.gradient leaves one for each parameter"
    return parameter.grad
