"""From the environment that a task's spec names to the object."""

from offchain.environments.interface import Environment
from offchain.environments.sorting import Sorting
from offchain.protocol.errors import Malformed
from offchain.protocol.spec import EnvironmentSpec

REASONING_GYM = "reasoning-gym/"


def make_environment(spec: EnvironmentSpec) -> Environment:
    """Raises Malformed: no such environment, or arguments that it does not take."""
    try:
        if spec.name == "sorting":
            return _sorting(**spec.args)
        if spec.name.startswith(REASONING_GYM):
            from offchain.environments.reasoning import ReasoningGym  # slow to import

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
