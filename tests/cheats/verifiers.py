"""Verifiers that cheat, against the rule by which stake decides: a model of `contracts/libraries/Scores.sol`.

The contracts' own tests (`tests/contracts/`) hold them to the same three properties, for any votes and stakes: fraud
exactly when the quorum says so, else unavailable exactly when half of the weight revealed does, else the median by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assay_core.protocol.economics import verifier_fee
from assay_core.protocol.encoding import attestation_commitment
from assay_core.protocol.types import (
    BPS,
    SCORE_FRAUD,
    SCORE_FULL,
    SCORE_UNAVAILABLE,
    SCORE_UNPAID,
    Address,
    Seed,
    is_paid,
)

QUORUM_BPS = 6_667
STAKE = 100
FEE = 1_000_000


@dataclass(frozen=True)
class Settled:
    """What an epoch came to: None where it is void; fees by verifier."""

    scores: bytes | None
    fees: tuple[int, ...]


def reaches_quorum(weight: int, enlisted: int, quorum_bps: int = QUORUM_BPS) -> bool:
    return weight * BPS >= quorum_bps * enlisted


def decide(scores: Sequence[int], weights: Sequence[int], enlisted: int, quorum_bps: int = QUORUM_BPS) -> int:
    """Fraud if the quorum says so, unavailable if half of the weight does, else the median, of two middles the lower.

    Where neither is the outcome, a vote for fraud and one for unavailable count as 0.
    """

    def behind(wanted: int) -> int:
        return sum(weight for score, weight in zip(scores, weights, strict=True) if score == wanted)

    fraud, total, up_to = behind(SCORE_FRAUD), sum(weights), 0
    if fraud and reaches_quorum(fraud, enlisted, quorum_bps):
        return SCORE_FRAUD
    if behind(SCORE_UNAVAILABLE) * 2 >= total:
        return SCORE_UNAVAILABLE
    votes = [score if score <= SCORE_FULL else SCORE_UNPAID for score in scores]
    for vote, weight in sorted(zip(votes, weights, strict=True)):
        up_to += weight
        if up_to * 2 >= total:
            return vote
    raise ValueError("nobody has revealed")


def settle(reports: Sequence[bytes | None]) -> Settled:
    """The outcome of an epoch whose verifiers, all of the same stake, revealed these reports (None: nothing)."""
    enlisted = STAKE * len(reports)
    revealed = [(report, STAKE) for report in reports if report is not None]
    if not reaches_quorum(sum(weight for _, weight in revealed), enlisted):
        return Settled(None, (0,) * len(reports))
    submissions = len(revealed[0][0])
    weights = [weight for _, weight in revealed]
    scores = bytes(
        decide([report[submission] for report, _ in revealed], weights, enlisted) for submission in range(submissions)
    )
    return Settled(scores, tuple(_fee(report, scores, enlisted) for report in reports))


def _fee(report: bytes | None, scores: bytes, enlisted: int) -> int:
    if report is None:
        return 0
    pairs = zip(report, scores, strict=True)
    differences = sum(one != other for one, other in pairs if is_paid(other) or other == SCORE_FRAUD)
    return verifier_fee(FEE, STAKE, enlisted, differences, sum(map(is_paid, scores)))


@dataclass(frozen=True)
class CheatingVerifiers:
    """`count` of `of` verifiers, who report `reports(truth)`; the others tell the truth."""

    name: str
    what: str
    count: int
    of: int
    report: Callable[[bytes, np.random.Generator], bytes | None]


def always_yes(truth: bytes, _: np.random.Generator) -> bytes:
    return bytes([SCORE_FULL]) * len(truth)


def always_no(truth: bytes, _: np.random.Generator) -> bytes:
    return bytes([SCORE_FRAUD]) * len(truth)


def always_unavailable(truth: bytes, _: np.random.Generator) -> bytes:
    return bytes([SCORE_UNAVAILABLE]) * len(truth)


def hushed(truth: bytes, _: np.random.Generator) -> bytes:
    """Frauds only: to spare them their slash."""
    return bytes(SCORE_UNAVAILABLE if score == SCORE_FRAUD else score for score in truth)


def turned(truth: bytes, _: np.random.Generator) -> bytes:
    return bytes(SCORE_FULL if score != SCORE_FULL else SCORE_FRAUD for score in truth)


def copied(truth: bytes, generator: np.random.Generator) -> bytes | None:
    """A commitment copied from another verifier opens under that verifier's address only: no reveal is possible."""
    salt, seed = generator.bytes(32), Seed(generator.bytes(32))
    theirs = attestation_commitment(seed, _verifier(1), truth, salt)
    ours = attestation_commitment(seed, _verifier(2), truth, salt)
    return truth if theirs == ours else None


def kept(truth: bytes, generator: np.random.Generator) -> bytes | None:
    """A commitment of its own that it made before the chain was taken back opens for the former seed only."""
    salt, verifier = generator.bytes(32), _verifier(1)
    before, after = (attestation_commitment(Seed(generator.bytes(32)), verifier, truth, salt) for _ in range(2))
    return truth if before == after else None


def _verifier(number: int) -> Address:
    return Address("0x" + f"{number:040x}")


CHEATING_VERIFIERS = (
    CheatingVerifiers("a verifier that always says yes", "Reports full scores without looking.", 1, 4, always_yes),
    CheatingVerifiers("a verifier that always says no", "Reports fraud without looking.", 1, 4, always_no),
    CheatingVerifiers(
        "a verifier that copies", "Commits to a copy of another's commitment; cannot reveal it.", 1, 4, copied
    ),
    CheatingVerifiers(
        "a verifier that replays a commitment", "Keeps one that it made for another seed; cannot reveal it.", 1, 4, kept
    ),
    CheatingVerifiers(
        "a verifier that fetches nothing",
        "Calls every submission unavailable without looking.",
        1,
        4,
        always_unavailable,
    ),
    CheatingVerifiers(
        "verifiers that hush up", "A third of the stake calls frauds unavailable, to spare them.", 3, 10, hushed
    ),
    CheatingVerifiers(
        "verifiers that collude below the quorum", "A third of the stake accepts cheats, slashes others.", 3, 10, turned
    ),
)


def an_epoch(generator: np.random.Generator, submissions: int = 12) -> bytes:
    """True scores: mostly good submissions, some rubbish, some frauds."""
    return bytes(generator.choice([SCORE_FULL, SCORE_UNPAID, SCORE_FRAUD], submissions, p=[0.6, 0.1, 0.3]).tolist())


@dataclass(frozen=True)
class VerifierResult:
    """How often the outcome was the truth, and the mean fee of the cheats as a share of what an honest one gets.

    `paid_frauds`: the share of frauds that the cheats' reports pay. Each costs a slash where it was planted.
    """

    truth_rate: float
    fee_share: float
    paid_frauds: float


def try_verifiers(cheat: CheatingVerifiers, runs: int) -> VerifierResult:
    right, cheats_fee, honest_fee, frauds, paid = 0, 0, 0, 0, 0
    for run in range(runs):
        generator = np.random.default_rng(run)
        truth = an_epoch(generator)
        lies = [cheat.report(truth, generator) for _ in range(cheat.count)]
        settled = settle([*lies, *[truth] * (cheat.of - cheat.count)])
        right += settled.scores == truth
        cheats_fee += sum(settled.fees[: cheat.count])
        honest_fee += settled.fees[-1] * cheat.count
        for lie in (each for each in lies if each is not None):
            said = [score for score, true in zip(lie, truth, strict=True) if true == SCORE_FRAUD]
            frauds, paid = frauds + len(said), paid + sum(is_paid(score) for score in said)
    return VerifierResult(right / runs, cheats_fee / max(honest_fee, 1), paid / max(frauds, 1))
