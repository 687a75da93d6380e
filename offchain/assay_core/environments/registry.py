"""From the environment that a task's spec names to the object."""

from assay_core.environments.interface import Environment
from assay_core.environments.sorting import Sorting
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec

REASONING_GYM = "reasoning-gym/"


def make_environment(spec: EnvironmentSpec) -> Environment:
    """Raises Malformed: no such environment, or arguments that it does not take."""
    try:
        if spec.name == "sorting":
            return _sorting(**spec.args)
        if spec.name.startswith(REASONING_GYM):
            from assay_core.environments.reasoning import ReasoningGym  # slow to import

            return ReasoningGym(spec.name.removeprefix(REASONING_GYM), spec.args)
    except TypeError as error:
        raise Malformed(f"environment {spec.name!r}: {error}") from error
    raise Malformed(f"unknown environment {spec.name!r}: take 'sorting' or 'reasoning-gym/<dataset>'")


def _sorting(digits: int | str | bool = 6, partial: int | str | bool = False) -> Sorting:
    if isinstance(digits, bool) or not isinstance(digits, int):
        raise Malformed(f"sorting: digits must be an integer, not {digits!r}")
    if not isinstance(partial, bool):
        raise Malformed(f"sorting: partial must be true or false, not {partial!r}")
    return Sorting(digits, partial)
