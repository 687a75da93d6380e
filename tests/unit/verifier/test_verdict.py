"""How findings become a score."""

import pytest

from assay_core.protocol.errors import Reason
from assay_verifier.verdict import FRAUD, conclude, failed, measure, passed, report_bytes


def test_measure_passes_up_to_and_with_its_threshold() -> None:
    assert measure("rewards", Reason.WRONG_REWARD, 0.5, 0.5, "").reason is None
    assert measure("rewards", Reason.WRONG_REWARD, 0.6, 0.5, "").reason is Reason.WRONG_REWARD


@pytest.mark.parametrize("measured", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_never_accepted(measured: float) -> None:
    assert measure("rewards", Reason.WRONG_REWARD, measured, 1e9, "").reason is Reason.WRONG_REWARD


@pytest.mark.parametrize("reason", list(Reason))
def test_only_lies_about_what_was_run_are_fraud(reason: Reason) -> None:
    unpaid = 254 if reason is Reason.UNAVAILABLE else 0
    assert failed("check", reason, 1, 0, "").score == (255 if reason in FRAUD else unpaid)
    assert Reason.UNAVAILABLE not in FRAUD and Reason.MALFORMED not in FRAUD


def test_first_failure_decides() -> None:
    fraud = failed("toploc", Reason.PROOF_MISMATCH, 90, 38, "")
    later = failed("replay", Reason.UNAVAILABLE, 1, 0, "")
    verdict = conclude([passed("bytes", 0, 0, ""), fraud, later])
    assert (verdict.score, verdict.reason) == (255, Reason.PROOF_MISMATCH)
    assert report_bytes([verdict, conclude([passed("bytes", 0, 0, "")])]) == bytes([255, 100])
