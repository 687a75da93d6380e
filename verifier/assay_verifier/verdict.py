"""What judging a submission leaves behind: findings, one per check, and the verdict they add up to. Pure.

Scores follow one rule. A slash is for lies about what was run: wrong prompts, rewards, proofs, samples, an update that
the recipe cannot produce or that a replay does not confirm. What breaks the format, or names another task, epoch or
trainer, earns nothing (0) and is not slashed: it is found in every submission, so it never pays, and an honest
trainer's bug, full disk or late transaction looks the same. What we could not fetch in time is UNAVAILABLE: that pays
nothing either, is never fraud, and costs nobody its fee who could.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assay_core.inspect import wording as words
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, SCORE_UNAVAILABLE, SCORE_UNPAID

FRAUD = frozenset(
    {
        Reason.WRONG_PROMPTS,
        Reason.WRONG_REWARD,
        Reason.PROOF_MISMATCH,
        Reason.SAMPLING_MISMATCH,
        Reason.REPLAY_MISMATCH,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one check: `measured <= threshold` passes; `reason` is None when it passed.

    `evidence` is what it takes to see the same again (which group, member, token, tensor); it never decides anything.
    """

    check: str
    measured: float
    threshold: float
    detail: str
    reason: Reason | None = None
    score: int = SCORE_FULL
    evidence: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def json(self) -> dict[str, Json]:
        return {
            "check": self.check,
            "detail": self.detail,
            "evidence": dict(self.evidence),
            "measured": repr(float(self.measured)),
            "reason": None if self.reason is None else str(self.reason),
            "score": self.score,
            "threshold": repr(float(self.threshold)),
        }


def passed(check: str, measured: float, threshold: float, detail: str) -> Finding:
    """A finding without a reason."""
    return Finding(check, measured, threshold, detail)


def failed(
    check: str,
    reason: Reason,
    measured: float,
    threshold: float,
    detail: str,
    *,
    evidence: Mapping[str, Json] | None = None,
    fraud: bool | None = None,
) -> Finding:
    """A finding that decides the submission; `fraud` overrides what `FRAUD` says about the reason."""
    is_fraud = reason in FRAUD if fraud is None else fraud
    score = SCORE_FRAUD if is_fraud else SCORE_UNAVAILABLE if reason is Reason.UNAVAILABLE else SCORE_UNPAID
    return Finding(check, measured, threshold, detail, reason, score, evidence or {})


def measure(
    check: str,
    reason: Reason,
    measured: float,
    threshold: float,
    detail: str,
    *,
    evidence: Mapping[str, Json] | None = None,
    fraud: bool | None = None,
) -> Finding:
    """Passed when `measured <= threshold`; a NaN is never accepted."""
    if not math.isnan(measured) and measured <= threshold:
        return passed(check, measured, threshold, detail)
    return failed(check, reason, measured, threshold, detail, evidence=evidence, fraud=fraud)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one submission: its byte in the report, why, and all findings in the order they were made."""

    score: int
    reason: Reason | None
    findings: tuple[Finding, ...]
    update_norm: float | None = None  # None: the submission gave no readable update

    def json(self) -> dict[str, Json]:
        return {
            "findings": [finding.json() for finding in self.findings],
            "reason": None if self.reason is None else str(self.reason),
            "score": self.score,
            "update_norm": None if self.update_norm is None else repr(float(self.update_norm)),
        }

    def lines(self) -> list[str]:
        """What each check found, for people."""
        return [
            words.finding(each.check, each.measured, each.threshold, each.detail, has_passed=each.reason is None)
            for each in self.findings
        ]

    def end(self) -> str:
        """What it comes to, for people."""
        end = "accepted" if self.reason is None else f"not accepted: {words.reason(str(self.reason))}"
        return f"{end}; score {words.score(self.score)}"


def conclude(findings: Sequence[Finding], update_norm: float | None = None) -> Verdict:
    """The first finding with a reason decides; without one the submission is worth its full price."""
    for finding in findings:
        if finding.reason is not None:
            return Verdict(finding.score, finding.reason, tuple(findings), update_norm)
    return Verdict(SCORE_FULL, None, tuple(findings), update_norm)


def report_bytes(verdicts: Sequence[Verdict]) -> bytes:
    """The report of an epoch: one byte per submission, in order of index."""
    return bytes(verdict.score for verdict in verdicts)
