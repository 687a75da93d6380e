"""From the reports of many verifiers to one score per work: `contracts/libraries/Scores.sol`, by plain definitions."""

from collections.abc import Sequence

from offchain.protocol.types import BPS, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID

FOUND_FRAUD = 254  # as it is stored: a fraud that a challenger found


def is_score(score: int) -> bool:
    return 0 <= score <= SCORE_FULL or score == SCORE_FRAUD


def score_at(report: bytes, index: int) -> int:
    """A missing or meaningless byte counts as 0."""
    return report[index] if index < len(report) and is_score(report[index]) else SCORE_UNPAID


def reaches_quorum(weight: int, quorum_bps: int, enlisted: int) -> bool:
    return weight * BPS >= quorum_bps * enlisted


def quorum_weight(quorum_bps: int, enlisted: int) -> int:
    """Least weight that reaches the quorum."""
    return -(-enlisted * quorum_bps // BPS)


def decide(scores: Sequence[int], weights: Sequence[int], quorum_bps: int, enlisted: int) -> int:
    """Fraud if the quorum says so, else the lower median by weight, in which a vote for fraud counts as 0."""
    votes = list(zip(scores, weights, strict=True))
    fraud = sum(weight for score, weight in votes if score == SCORE_FRAUD)
    if fraud and reaches_quorum(fraud, quorum_bps, enlisted):
        return SCORE_FRAUD
    total, seen = sum(weights), 0
    for score, weight in sorted((SCORE_UNPAID if score == SCORE_FRAUD else score, weight) for score, weight in votes):
        seen += weight
        if seen * 2 >= total:
            return score
    return SCORE_UNPAID
