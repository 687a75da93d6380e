"""A challenge as people and programs read it: pure, from the ledger."""

from typing import Any

from offchain.chain.ledger import ChallengeRecord
from offchain.cli import words
from offchain.cli.amounts import Money

OUTCOMES = {
    "NONE": "open: the verifiers judge again",
    "UPHELD": "upheld: the score stands, the challenger lost its bond to those who upheld it",
    "OVERTURNED": "overturned: the appeal gave another score",
    "UNDECIDED": "undecided: too few verifiers voted, the score stands, the challenger gets its bond back",
}


def challenge_json(dispute: ChallengeRecord) -> dict[str, Any]:
    return {
        "challenger": dispute.challenger,
        "standing": dispute.standing,
        "claimed_score": dispute.claimed,
        "bond_wei": dispute.bond,
        "outcome": dispute.outcome.name.lower(),
        "score": dispute.score,
        "votes": dict(dispute.votes),
        "verdict_slashes_wei": dict(dispute.verdict_slashes),
        "absence_slashes_wei": dict(dispute.absences),
        "claims_wei": dict(dispute.claims),
    }


def challenge_pairs(dispute: ChallengeRecord, money: Money) -> list[tuple[str, str]]:
    """The dispute for people, as labels and values."""
    pairs = [
        ("challenger", dispute.challenger),
        ("disputes", f"{words.score(dispute.standing)}, should be {words.score(dispute.claimed)}"),
        ("bond", money.show(dispute.bond)),
        ("outcome", OUTCOMES[dispute.outcome.name]),
    ]
    if dispute.score is not None:
        pairs.append(("score now", words.score(dispute.score)))
    pairs += [("vote", f"{verifier}: {words.score(vote)}") for verifier, vote in dispute.votes.items()]
    waiting = sorted(dispute.commitments.keys() - dispute.votes.keys())
    pairs += [("vote", f"{verifier}: committed, not revealed") for verifier in waiting]
    pairs += [("lost", f"{who}: {money.show(wei)}, its verdict") for who, wei in dispute.verdict_slashes.items()]
    pairs += [("lost", f"{who}: {money.show(wei)}, its absence") for who, wei in dispute.absences.items()]
    pairs += [("claimed", f"{who}: {money.show(wei)}") for who, wei in dispute.claims.items()]
    return pairs
