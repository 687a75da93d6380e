"""What verifiers say about a work: their evidence bundles on the relays, else a verifier's service.

All of it comes from strangers. A bundle counts only when its bytes have the root, and its report the hash, that its
verifier revealed on chain, and when what it says about a work is about that work and agrees with its report.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from assay_core.bundle.evidence import LIMITS, MAX_DOCUMENT_BYTES, open_attested
from assay_core.bundle.manifest import BundleKind
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed, ProtocolError
from assay_core.protocol.types import Address, Root, WorkId, WorkIndex

if TYPE_CHECKING:
    from assay_core.chain.ledger import EpochRecord, TaskLedger
    from assay_core.inspect.earnings import WorkEarning
    from assay_core.transport.engine import Fetcher

OpenClient: TypeAlias = "Callable[[], AbstractContextManager[Fetcher]]"
MAX_FINDINGS = 100
MAX_TEXT_CHARS = 500
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class FindingView:
    """One check's outcome as a verifier wrote it; `reason` is None when it passed."""

    check: str
    measured: float
    threshold: float
    detail: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A verifier's verdict with its findings, in the order in which the checks were made."""

    score: int
    reason: str | None
    findings: tuple[FindingView, ...]
    case: Mapping[str, Json]

    @property
    def failed(self) -> FindingView | None:
        return next((finding for finding in self.findings if finding.reason is not None), None)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one verifier says about one work. Without a verdict, `problem` tells why."""

    verifier: Address
    evidence_root: Root
    verdict: VerdictView | None
    problem: str = ""


def statements(open_client: OpenClient, record: "EpochRecord", index: WorkIndex) -> list[Statement]:
    """What every verifier that revealed says about a work. Never raises: what cannot be had is a problem told."""
    if not record.reveals:
        return []
    try:
        with open_client() as client:
            return [statement_of(client, who, record, index) for who in sorted(record.reveals)]
    except ProtocolError as error:
        return [Statement(who, reveal.evidence_root, None, str(error)) for who, reveal in record.reveals.items()]


def reasons_of(
    open_client: OpenClient, service_url: str | None, ledger: "TaskLedger", works: "Sequence[WorkEarning]"
) -> dict[WorkId, str]:
    """Why works got the scores they got, as far as the evidence on the relays (or a verifier's service) tells."""
    found: dict[WorkId, str] = {}
    for each in works:
        record = ledger.epochs[each.work_id.epoch]
        if record.is_void:
            continue
        for statement in statements(open_client, record, each.work_id.index):
            verdict = statement.verdict
            if verdict is not None and verdict.reason is not None and verdict.score == each.score:
                found[each.work_id] = verdict.reason
                break
        else:
            reason = _from_service(service_url, each.work_id)
            if reason is not None:
                found[each.work_id] = reason
    return found


def statement_of(client: "Fetcher", verifier: Address, record: "EpochRecord", index: WorkIndex) -> Statement:
    """What one verifier's evidence says about a work. Never raises: what is not to be had, or believed, is told."""
    reveal = record.reveals[verifier]
    try:
        directory = client.fetch(reveal.evidence_root, BundleKind.EVIDENCE, LIMITS)
        attested = open_attested(directory, reveal.evidence_root, reveal.report_hash, verifier)
        verdict = parse_document(attested.document(index))
        _check_case(verdict.case, record, index)
        return Statement(verifier, reveal.evidence_root, verdict)
    except ProtocolError as error:
        return Statement(verifier, reveal.evidence_root, None, str(error))


def _check_case(case: Mapping[str, Json], record: "EpochRecord", index: WorkIndex) -> None:
    work = case.get("work")
    root = work.get("manifest_root") if isinstance(work, Mapping) else None
    if all(each.work.index != index or each.work.manifest_root.hex() != root for each in record.works):
        raise Malformed("the evidence is about another work than the one committed")


def parse_document(document: Json) -> VerdictView:
    """Raises Malformed: not a document with a case and a verdict."""
    if not isinstance(document, Mapping):
        raise Malformed("the evidence on this work is no object")
    case, verdict = document.get("case"), document.get("verdict")
    if not isinstance(case, Mapping) or not isinstance(verdict, Mapping):
        raise Malformed("the evidence on this work lacks its case or verdict")
    score, findings = verdict.get("score"), verdict.get("findings")
    if isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 255:
        raise Malformed("the evidence on this work has an impossible score")
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS:
        raise Malformed("the evidence on this work has impossible findings")
    parsed = tuple(_finding(finding) for finding in findings)
    return VerdictView(score, _text_or_none(verdict.get("reason")), parsed, case)


def _finding(value: Json) -> FindingView:
    if not isinstance(value, Mapping):
        raise Malformed("a finding is no object")
    return FindingView(
        check=printable(value.get("check")),
        measured=_number(value.get("measured")),
        threshold=_number(value.get("threshold")),
        detail=printable(value.get("detail")),
        reason=_text_or_none(value.get("reason")),
    )


def _number(value: Json) -> float:
    """A decimal string; an honest verifier may well have measured an infinity, or no number at all."""
    try:
        return float(printable(value))
    except ValueError as error:
        raise Malformed("a finding's number is none") from error


def _text_or_none(value: Json) -> str | None:
    return None if value is None else printable(value)


def printable(value: Json) -> str:
    """A stranger's text without what could steer a terminal, cut to a sane length."""
    if not isinstance(value, str):
        raise Malformed("a text is missing in the evidence")
    return CONTROL.sub("?", value[:MAX_TEXT_CHARS])


def _from_service(service_url: str | None, work: WorkId) -> str | None:
    """A reason from a verifier's service; None when it has none to give."""
    if service_url is None:
        return None
    import httpx

    url = f"{service_url.rstrip('/')}/tasks/{work.task_id}/epochs/{work.epoch}/works/{work.index}"
    try:
        with httpx.stream("GET", url, timeout=5.0, trust_env=False) as response:
            data = b""
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MAX_DOCUMENT_BYTES:
                    return None
            answer: Any = httpx.Response(response.status_code, content=data).json() if response.is_success else {}
        return _text_or_none(answer.get("reason")) if isinstance(answer, dict) else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, Malformed):
        return None
