"""What one verifier attested about an epoch, as its evidence bundle on disk tells it.

Evidence is content-addressed: its root is what `revealAttestation` put on chain, and a bundle with another root, with
another report than the one revealed, or with a document that contradicts its own report says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assay_core.bundle.directory import hash_file, read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json, report_hash
from assay_core.protocol.errors import Malformed, MalformedManifest, Unavailable
from assay_core.protocol.types import Address, Root, SubmissionIndex

REPORT_NAME = "report.bin"
LIMITS = BundleLimits(bundle_bytes=256 * 2**20, files=65_537)
MAX_DOCUMENT_BYTES = 2**20
MAX_REPORT_BYTES = 65_536
COMPARED = "update against others"  # the check that compares the updates of an epoch


@dataclass(frozen=True, slots=True)
class Attested:
    """One verifier's evidence, of which every byte that was read has the hash that its root commits to."""

    directory: Path
    manifest: Manifest
    report: bytes

    @property
    def root(self) -> Root:
        return self.manifest.root

    @property
    def verifier(self) -> str:
        """As it names itself: the chain, not the bundle, says whose evidence this is."""
        return str(self.manifest.fields.get("verifier", ""))

    def document(self, index: SubmissionIndex) -> Mapping[str, Json]:
        """What it says about one submission. Raises Malformed: nothing, or another score than its report."""
        value = parse_canonical_json(self._read(f"submissions/{index}.json"))
        verdict = value.get("verdict") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(verdict, Mapping) or index >= len(self.report):
            raise Malformed(f"the evidence has no verdict on submission {index}")
        if verdict.get("score") != self.report[index]:
            raise Malformed("the evidence gives another score than the report that was revealed")
        return value

    def verdict_bytes(self, index: SubmissionIndex) -> bytes:
        """The verdict on one submission, as canonical JSON."""
        return canonical_json(self.document(index)["verdict"])

    def norms(self) -> list[float]:
        """Lengths of the updates that the epoch's last check compared, in order of index."""
        norms: list[float] = []
        for index in range(len(self.report)):
            verdict = self.document(SubmissionIndex(index))["verdict"]
            assert isinstance(verdict, Mapping)
            if (norm := compared_norm(verdict)) is not None:
                norms.append(norm)
        return norms

    def _read(self, name: str) -> bytes:
        return read_listed(self.directory, self.manifest, name, MAX_DOCUMENT_BYTES)


def open_attested(
    directory: Path, root: Root, reported: bytes | None = None, verifier: Address | None = None
) -> Attested:
    """Evidence whose manifest has this root. `reported` is the hash that was revealed, `verifier` who revealed it.

    Raises Malformed: its bytes are others, it holds another report, or it is another verifier's.
    """
    manifest = read_manifest(directory, LIMITS, root)
    if manifest.kind is not BundleKind.EVIDENCE:
        raise Malformed(f"the bundle is of kind {manifest.kind}, not evidence")
    if verifier is not None and manifest.fields.get("verifier") != verifier:
        raise Malformed("the evidence is another verifier's")
    report = read_listed(directory, manifest, REPORT_NAME, MAX_REPORT_BYTES)
    if reported is not None and report_hash(report) != reported:
        raise Malformed("the evidence holds another report than the one revealed on chain")
    return Attested(directory, manifest, report)


def read_listed(directory: Path, manifest: Manifest, name: str, most_bytes: int) -> bytes:
    """A file of a bundle, hashed again. Raises Malformed: not what the root commits to. Unavailable: not there."""
    try:
        entry = manifest.entry(name)
    except MalformedManifest as error:
        raise Unavailable(f"the evidence has no {name}") from error
    if entry.size_bytes > most_bytes:
        raise Malformed(f"{name} exceeds {most_bytes} bytes")
    path = directory / name
    try:
        if path.stat().st_size != entry.size_bytes or hash_file(path, name) != entry:
            raise Malformed(f"{name} is not what the evidence's root on chain commits to")
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the evidence has no {name}") from error


def compared_norm(verdict: Mapping[str, Json]) -> float | None:
    """The norm by which a verdict, as in evidence, took part in `check_peers`; None: the submission had failed before.

    Raises Malformed: the verdict has a norm that is no number.
    """
    norm, findings = verdict.get("update_norm"), verdict.get("findings")
    if not isinstance(norm, str) or not isinstance(findings, list):
        return None
    failing = [each.get("check") for each in findings if isinstance(each, Mapping) and each.get("reason") is not None]
    if any(check != COMPARED for check in failing):
        return None
    try:
        return float(norm)
    except ValueError as error:
        raise Malformed("the evidence has a length of an update that is no number") from error
