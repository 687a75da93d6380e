"""What people may do."""

from specs.acts import appeals, attestations, commitments, payouts, policies, staking, tasks, verifiers
from specs.acts.act import ACTS, Act, perform

# What the contracts may call of one another, and nobody else: always NotAuthorised.
KEEPERS_ONLY = {
    "Staking": ("lock", "unlock", "slash"),
    "TaskRegistry": ("reserveEpoch", "free", "pay"),
    "Commitments": ("extendEpoch", "seal", "settleSubmissions", "settleFraud", "settlePlant"),
    "Verifiers": ("seal", "slash"),
    "Attestations": ("holdChallenge", "releaseChallenges", "correctScore"),
    "Panels": ("dismiss",),
    "Appeals": ("reward",),
}

__all__ = [
    "ACTS",
    "KEEPERS_ONLY",
    "Act",
    "appeals",
    "attestations",
    "commitments",
    "payouts",
    "perform",
    "policies",
    "staking",
    "tasks",
    "verifiers",
]
