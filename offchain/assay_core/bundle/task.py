"""The bundle of a task: `spec.json`, whose root is the task's `specHash` on chain. Its only reader and writer."""

from pathlib import Path

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import MAX_SPEC_BYTES, TaskSpec, parse_spec

SPEC_NAME = "spec.json"
LIMITS = BundleLimits(bundle_bytes=2**20, files=16)


def read_spec(directory: Path) -> TaskSpec:
    """The spec in a verified task bundle. Raises Malformed: there is none, or an impossible one."""
    return read_spec_file(directory / SPEC_NAME)


def read_spec_file(path: Path) -> TaskSpec:
    """Raises Malformed: no file, too large a file, or an impossible spec."""
    if not path.is_file() or path.stat().st_size > MAX_SPEC_BYTES:
        raise Malformed(f"there is no {path.name} of at most {MAX_SPEC_BYTES} bytes")
    return parse_spec(path.read_bytes())


def write_task(directory: Path, spec: TaskSpec) -> Manifest:
    """Make `directory`, which must not exist, into the bundle of a task."""
    directory.mkdir(parents=True)
    (directory / SPEC_NAME).write_bytes(spec.to_bytes())
    return build_bundle(directory, BundleKind.TASK, {"title": spec.title})
