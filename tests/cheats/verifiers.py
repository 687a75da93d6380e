"""Verifiers that cheat, against the rule by which stake decides: a model of `contracts/libraries/Scores.sol`.

The contracts' own tests (`tests/contracts/`) hold them to the same two properties, for any votes and stakes: fraud
exactly when the quorum says so, else the median by weight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offchain.protocol.economics import verifier_fee
from offchain.protocol.encoding import attestation_commitment, report_hash
from offchain.protocol.types import BPS, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID, Address, Epoch, TaskId

QUORUM_BPS = 6_667
STAKE = 100
FEE = 1_000_000


@dataclass(frozen=True)
class Settled:
    """What an epoch came to: None where it is void; fees by verifier."""

    scores: bytes | None
    fees: tuple[int, ...]


def reaches_quorum(weight: int, enlisted: int) -> bool:
    return weight * BPS >= QUORUM_BPS * enlisted


def decide(scores: Sequence[int], weights: Sequence[int], enlisted: int) -> int:
    """Fraud if the quorum says so, else the median by weight, a fraud vote counting as 0; of two middles the lower."""
    fraud = sum(weight for score, weight in zip(scores, weights, strict=True) if score == SCORE_FRAUD)
    if fraud and reaches_quorum(fraud, enlisted):
        return SCORE_FRAUD
    votes = [SCORE_UNPAID if score == SCORE_FRAUD else score for score in scores]
    total, up_to = sum(weights), 0
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
    works = len(revealed[0][0])
    weights = [weight for _, weight in revealed]
    scores = bytes(decide([report[work] for report, _ in revealed], weights, enlisted) for work in range(works))
    return Settled(scores, tuple(_fee(report, scores, enlisted) for report in reports))


def _fee(report: bytes | None, scores: bytes, enlisted: int) -> int:
    if report is None:
        return 0
    differences = sum(one != other for one, other in zip(report, scores, strict=True))
    return verifier_fee(FEE, STAKE, enlisted, differences, len(scores))


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


def turned(truth: bytes, _: np.random.Generator) -> bytes:
    return bytes(SCORE_FULL if score != SCORE_FULL else SCORE_FRAUD for score in truth)


def copied(truth: bytes, generator: np.random.Generator) -> bytes | None:
    """A commitment copied from another verifier opens under that verifier's address only: no reveal is possible."""
    salt = generator.bytes(32)
    theirs = attestation_commitment(TaskId(1), Epoch(0), _verifier(1), truth, salt)
    ours = attestation_commitment(TaskId(1), Epoch(0), _verifier(2), truth, salt)
    return truth if theirs == ours and report_hash(truth) else None


def _verifier(number: int) -> Address:
    return Address("0x" + f"{number:040x}")


CHEATING_VERIFIERS = (
    CheatingVerifiers("a verifier that always says yes", "Reports full scores without looking.", 1, 4, always_yes),
    CheatingVerifiers("a verifier that always says no", "Reports fraud without looking.", 1, 4, always_no),
    CheatingVerifiers(
        "a verifier that copies", "Commits to a copy of another's commitment; cannot reveal it.", 1, 4, copied
    ),
    CheatingVerifiers(
        "verifiers that collude below the quorum", "A third of the stake accepts cheats, slashes others.", 3, 10, turned
    ),
)


def an_epoch(generator: np.random.Generator, works: int = 12) -> bytes:
    """True scores: mostly good works, some rubbish, some frauds."""
    return bytes(generator.choice([SCORE_FULL, SCORE_UNPAID, SCORE_FRAUD], works, p=[0.6, 0.1, 0.3]).tolist())


@dataclass(frozen=True)
class VerifierResult:
    """How often the outcome was the truth, and the mean fee of the cheats as a share of what an honest one gets."""

    truth_rate: float
    fee_share: float


def try_verifiers(cheat: CheatingVerifiers, runs: int) -> VerifierResult:
    right, cheats_fee, honest_fee = 0, 0, 0
    for run in range(runs):
        generator = np.random.default_rng(run)
        truth = an_epoch(generator)
        lies = [cheat.report(truth, generator) for _ in range(cheat.count)]
        settled = settle([*lies, *[truth] * (cheat.of - cheat.count)])
        right += settled.scores == truth
        cheats_fee += sum(settled.fees[: cheat.count])
        honest_fee += settled.fees[-1] * cheat.count
    return VerifierResult(right / runs, cheats_fee / max(honest_fee, 1))
