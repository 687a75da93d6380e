"""What verifiers say about a submission: their evidence bundles on the relays, else a verifier's service.

All of it comes from strangers. A bundle counts only when its bytes have the root, and its report the hash, that its
verifier revealed on chain, and when what it says about a submission is about that submission and agrees with its
report.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from assay_core.bundle.evidence import LIMITS, MAX_DOCUMENT_BYTES, open_attested
from assay_core.bundle.manifest import BundleKind
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed, ProtocolError
from assay_core.protocol.types import SCORE_FULL, Address, Root, SubmissionId, SubmissionIndex

if TYPE_CHECKING:
    from assay_core.chain.ledger import EpochRecord
    from assay_core.inspect.earnings import Earnings
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
    """What one verifier says about one submission. Without a verdict, `problem` tells why."""

    verifier: Address
    evidence_root: Root
    verdict: VerdictView | None
    problem: str = ""


def statements(open_client: OpenClient, record: "EpochRecord", index: SubmissionIndex) -> list[Statement]:
    """What every verifier that revealed says about a submission. Never raises: what cannot be had is a problem told."""
    if not record.reveals:
        return []
    try:
        with open_client() as client:
            return [statement_of(client, who, record, index) for who in sorted(record.reveals)]
    except ProtocolError as error:
        return [Statement(who, reveal.evidence_root, None, str(error)) for who, reveal in record.reveals.items()]


def reasons_of(open_client: OpenClient, service_url: str | None, earned: "Earnings") -> dict[SubmissionId, str]:
    """Why submissions are not paid in full, as far as the evidence on the relays (or a verifier's service) tells."""
    found: dict[SubmissionId, str] = {}
    ledgers = {ledger.task_id: ledger for ledger in earned.ledgers}
    for each in earned.submissions:
        record = ledgers[each.submission_id.task_id].epochs[each.submission_id.epoch]
        if record.is_void or each.score in (None, SCORE_FULL):
            continue
        said = [told.verdict for told in statements(open_client, record, each.submission_id.index)]
        reasons = [verdict.reason for verdict in said if verdict is not None and verdict.score == each.score]
        reason = next((reason for reason in reasons if reason is not None), None)
        if reason is None:
            reason = _from_service(service_url, each.submission_id)
        if reason is not None:
            found[each.submission_id] = reason
    return found


def statement_of(client: "Fetcher", verifier: Address, record: "EpochRecord", index: SubmissionIndex) -> Statement:
    """What one verifier's evidence says about a submission.

    Never raises: what is not to be had, or believed, is told.
    """
    reveal = record.reveals[verifier]
    try:
        directory = client.fetch(reveal.evidence_root, BundleKind.EVIDENCE, LIMITS)
        attested = open_attested(directory, reveal.evidence_root, reveal.report_hash, verifier)
        verdict = parse_document(attested.document(index))
        _check_case(verdict.case, record, index)
        return Statement(verifier, reveal.evidence_root, verdict)
    except ProtocolError as error:
        return Statement(verifier, reveal.evidence_root, None, str(error))


def _check_case(case: Mapping[str, Json], record: "EpochRecord", index: SubmissionIndex) -> None:
    submission = case.get("submission")
    root = submission.get("manifest_root") if isinstance(submission, Mapping) else None
    if all(
        each.submission.index != index or each.submission.manifest_root.hex() != root for each in record.submissions
    ):
        raise Malformed("the evidence is about another submission than the one committed")


def parse_document(document: Json) -> VerdictView:
    """Raises Malformed: not a document with a case and a verdict."""
    if not isinstance(document, Mapping):
        raise Malformed("the evidence on this submission is no object")
    case, verdict = document.get("case"), document.get("verdict")
    if not isinstance(case, Mapping) or not isinstance(verdict, Mapping):
        raise Malformed("the evidence on this submission lacks its case or verdict")
    score, findings = verdict.get("score"), verdict.get("findings")
    if isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 255:
        raise Malformed("the evidence on this submission has an impossible score")
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS:
        raise Malformed("the evidence on this submission has impossible findings")
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


def _from_service(service_url: str | None, submission: SubmissionId) -> str | None:
    """A reason from a verifier's service; None when it has none to give."""
    if service_url is None:
        return None
    import httpx

    url = (
        f"{service_url.rstrip('/')}/tasks/{submission.task_id}/epochs/{submission.epoch}/submissions/{submission.index}"
    )
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
