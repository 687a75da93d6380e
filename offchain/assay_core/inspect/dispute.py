"""The dispute about one submission as people and programs read it: pure, from the ledger."""

from typing import Any

from assay_core.chain.ledger import ChallengeRecord, DisputeRecord, EpochRecord
from assay_core.inspect import wording as words
from assay_core.protocol.amounts import Money
from assay_core.protocol.types import PANEL_SEATS, SCORE_UNAVAILABLE, Address, DisputePhase

OUTCOMES = {
    DisputePhase.UPHELD: "upheld: the score stands, the challengers' bonds are burnt",
    DisputePhase.OVERTURNED: "overturned: the panel gave another score",
    DisputePhase.UNDECIDED: "undecided: no answer, the score stands, half of the challengers' bonds is burnt",
}


def challenge_json(challenge: ChallengeRecord) -> dict[str, Any]:
    """One challenge for programs: submission and score are told once it is revealed."""
    return {
        "id": challenge.id,
        "challenger": challenge.challenger,
        "state": challenge.state.name.lower(),
        "index": challenge.index,
        "score": challenge.score,
        "burnt_wei": challenge.burnt,
    }


def dispute_json(record: EpochRecord, dispute: DisputeRecord) -> dict[str, Any]:
    """One dispute for programs: its challenges, panel, votes and outcome."""
    return {
        "standing": dispute.standing,
        "challenges": [challenge_json(record.challenges[each]) for each in dispute.challenges],
        "panel": {"size": dispute.panel_size, "seats": dict(dispute.seats), "commit_by": dispute.commit_by},
        "votes": {
            juror: {"score": vote.score, "beyond": vote.beyond, "seats": vote.seats}
            for juror, vote in dispute.votes.items()
        },
        "outcome": "open" if dispute.is_open else dispute.outcome.name.lower(),
        "score": dispute.score,
        "is_against_verifiers": dispute.is_against_verifiers,
        "verdict_slashes": [{"verifier": who, "amount_wei": wei} for who, wei in dispute.verdict_slashes.items()],
        "paid": [{"to": who, "amount_wei": wei} for who, wei in _paid(record, dispute).items()],
    }


def dispute_pairs(record: EpochRecord, dispute: DisputeRecord, money: Money) -> list[tuple[str, str]]:
    """The dispute for people, as labels and values."""
    pairs = [("disputed", words.score(dispute.standing))]
    for each in (record.challenges[number] for number in dispute.challenges):
        pairs.append(("challenge", f"{each.challenger}: {words.score(each.score)}"))
    pairs += [("panel", _panel(dispute)), ("outcome", _outcome(dispute))]
    if dispute.score is not None:
        pairs.append(("score now", words.score(dispute.score)))
    if dispute.outcome is DisputePhase.OVERTURNED:
        pairs.append(("to blame", _blame(dispute)))
    pairs += [("juror", f"{juror}: {_vote(dispute, juror)}") for juror in dispute.seats]
    pairs += [("lost", f"{who}: {money.show(wei)}, its verdict") for who, wei in dispute.verdict_slashes.items()]
    pairs += [("claimed", f"{who}: {money.show(wei)}") for who, wei in _paid(record, dispute).items()]
    return pairs


def _paid(record: EpochRecord, dispute: DisputeRecord) -> dict[Address, int]:
    return {to: wei for (index, to), wei in record.appeals_paid.items() if index == dispute.index}


def _panel(dispute: DisputeRecord) -> str:
    if dispute.seed is None:
        drawn = "nobody drew it in time" if not dispute.is_open else "not drawn yet"
        return drawn if dispute.seed_block is None else f"{drawn}, its seed comes of block {dispute.seed_block}"
    if not dispute.seats:
        return f"nobody: fewer than {PANEL_SEATS} seats of the pool may judge it"
    return f"{dispute.panel_size} seats, held by {len(dispute.seats)}"


def _outcome(dispute: DisputeRecord) -> str:
    if dispute.is_open:
        return "open: its panel judges the submission again" if dispute.seed else "open: waits for its panel"
    return OUTCOMES.get(dispute.outcome, dispute.outcome.name.lower())


def _blame(dispute: DisputeRecord) -> str:
    """Why verifiers are, or are not, to blame for the score that was overturned."""
    if dispute.is_against_verifiers:
        return "the verifiers who gave the old score, or paid what is fraud: what the seed had drawn shows it"
    if dispute.standing == SCORE_UNAVAILABLE:
        return "nobody: its bytes may have come after the verifiers had looked"
    return "nobody: too few of the panel say that what the seed had drawn shows it"


def _vote(dispute: DisputeRecord, juror: Address) -> str:
    seats = dispute.seats[juror]
    held = f"{seats} seat{'s' if seats > 1 else ''}"
    vote = dispute.votes.get(juror)
    if vote is None:
        return f"{'committed, not revealed' if juror in dispute.commitments else 'has not voted'} ({held})"
    beyond = ", beyond what the seed had drawn" if vote.beyond else ""
    return f"{words.score(vote.score)}{beyond} ({held})"
