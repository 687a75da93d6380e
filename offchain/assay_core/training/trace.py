"""`trace/steps.json`: what each inner step did, so that a verifier can see where its replay parts from the
submission.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed

TRACE_NAME = "trace/steps.json"
MAX_TRACE_BYTES = 16 * 2**20
MAX_STEP_BYTES = 256  # of a step without its groups: names, a hash, two decimals
HEX32 = re.compile(r"[0-9a-f]{64}")
NAMES = {"gradient_norm", "groups", "loss", "state"}


@dataclass(frozen=True, slots=True)
class StepTrace:
    """One inner step: its batch, in order; loss and gradient norm (before clipping) as computed; the state after it."""

    groups: tuple[int, ...]
    loss: float
    gradient_norm: float
    state: bytes  # SHA-256, see `state_digest`; equal only on equal machines, so for diagnosis


def trace_bytes(steps: Sequence[StepTrace]) -> bytes:
    """The file's content."""
    rows: list[Json] = [
        {
            "gradient_norm": repr(step.gradient_norm),
            "groups": list(step.groups),
            "loss": repr(step.loss),
            "state": step.state.hex(),
        }
        for step in steps
    ]
    return canonical_json({"steps": rows})


def parse_trace(data: bytes, max_steps: int, groups: int) -> tuple[StepTrace, ...]:
    """Read a stranger's trace.

    Raises Malformed: too large, not canonical, too many steps, an unknown group, numbers that are not finite.
    """
    most = min(MAX_TRACE_BYTES, 16 + max_steps * (MAX_STEP_BYTES + groups * len(f"{groups},")))
    if len(data) > most:
        _refuse(f"{len(data)} bytes exceed {most}")
    value = parse_canonical_json(data)
    if not isinstance(value, Mapping) or set(value) != {"steps"} or not isinstance(value["steps"], list):
        _refuse("it must be an object with a list of steps")
    if len(value["steps"]) > max_steps:
        _refuse(f"{len(value['steps'])} steps, the recipe has {max_steps}")
    return tuple(_parse_step(row, groups) for row in value["steps"])


def _parse_step(row: Json, groups: int) -> StepTrace:
    if not isinstance(row, Mapping) or set(row) != NAMES:
        _refuse(f"a step must have exactly {', '.join(sorted(NAMES))}")
    batch, state = row["groups"], row["state"]
    if not isinstance(batch, list) or not 1 <= len(batch) <= groups:
        _refuse(f"a step must name 1 to {groups} groups")
    members = tuple(_parse_group(item, groups) for item in batch)
    if not isinstance(state, str) or not HEX32.fullmatch(state):
        _refuse("a state must be 64 lower-case hex digits")
    return StepTrace(members, _decimal(row["loss"]), _decimal(row["gradient_norm"]), bytes.fromhex(state))


def _parse_group(value: Json, groups: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < groups:
        _refuse(f"a step names a group outside of 0..{groups - 1}")
    return value


def _decimal(value: Json) -> float:
    try:
        number = float(value) if isinstance(value, str) and len(value) <= 32 else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or repr(number) != value:
        _refuse("loss and gradient norm must be finite decimals, written as repr() writes them")
    return number


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"trace: {what}")
