"""Check 1: a submission's bytes have the form that a submission has. Whatever does not, earns 0.

The bundle's hashes, sizes and names were verified when it was fetched; here its files are parsed for the first time.
"""

from dataclasses import dataclass
from pathlib import Path

from assay_core.bundle.header import SubmissionHeader, parse_submission_header
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.rollouts import ROLLOUTS_NAME, RolloutLimits, read_rollouts
from assay_core.bundle.trajectory import Rollouts
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import TaskSpec
from assay_core.training.states import state_name
from assay_core.training.trace import MAX_TRACE_BYTES, TRACE_NAME, StepTrace, parse_trace
from assay_verifier.verdict import Finding, passed

NAME = "bytes"
UPDATE_FOLDER = "update/"


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """A submission's files, parsed; true or not is for the other checks. The update is read by its own check."""

    header: SubmissionHeader
    rollouts: Rollouts
    trace: tuple[StepTrace, ...]


def read_contents(directory: Path, manifest: Manifest, spec: TaskSpec) -> Contents:
    """Parse everything but the update, and the states where training is replayed step by step.

    Raises Malformed: another kind of bundle, a missing or surplus file, or a file that its reader refuses.
    """
    if manifest.kind is not BundleKind.SUBMISSION:
        raise Malformed(f"the bundle is of kind {manifest.kind}, not a submission")
    header = parse_submission_header(manifest.fields)
    if manifest.entry(TRACE_NAME).size_bytes > MAX_TRACE_BYTES:
        raise Malformed(f"{TRACE_NAME} exceeds {MAX_TRACE_BYTES} bytes")
    trace = parse_trace((directory / TRACE_NAME).read_bytes(), spec.recipe.inner_steps, spec.rollout.groups)
    _check_names(manifest, spec, len(trace))
    rollouts = read_rollouts(directory / ROLLOUTS_NAME, RolloutLimits.of(spec))
    return Contents(header, rollouts, trace)


def _check_names(manifest: Manifest, spec: TaskSpec, steps: int) -> None:
    states = {state_name(step) for step in range(steps)} if spec.checks.replay == "steps" else set[str]()
    found = {entry.name for entry in manifest.files if not entry.name.startswith(UPDATE_FOLDER)}
    if surplus := found ^ {ROLLOUTS_NAME, TRACE_NAME, *states}:
        with_states = f", {len(states)} states" if states else ""
        raise Malformed(
            f"a submission holds exactly {ROLLOUTS_NAME}, {TRACE_NAME}{with_states} and an update: not {min(surplus)!r}"
        )


def finding(contents: Contents) -> Finding:
    """What a well-formed submission holds: this check never fails, reading does."""
    rollouts = contents.rollouts
    detail = f"{len(rollouts.completions)} completions, {rollouts.tokens} tokens, {len(contents.trace)} inner steps"
    return passed(NAME, 0, 0, f"well-formed: {detail}")
