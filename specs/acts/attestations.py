"""The judgement of sealed epochs."""

from collections.abc import Iterator
from dataclasses import dataclass

from eth_utils.crypto import keccak

from specs import hashes, rules
from specs.acts.act import Act
from specs.acts.tasks import open_next
from specs.acts.verifiers import Slash
from specs.facts import (
    AbsenceSlashed,
    AttestationCommitted,
    AttestationRevealed,
    EpochAttested,
    EpochFinal,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Fact,
    ScoresSettled,
)
from specs.history import History
from specs.words import NONE, SEALED_OVERHEAD, Address, Phase


def why_no_seal(h: History, task_id: int, header: bytes) -> Iterator[str]:
    close = rules.closed(h, task_id) if rules.is_known(h, task_id) else None
    if close is None or not rules.is_sealable(h, task_id):
        yield "EpochNotReady"
        return
    yield from rules.why_no_seed(h, close.seed_block, header)


def can_judge(h: History, task_id: int, epoch: int) -> bool:
    """Who would corrupt a quorum has to put up more than can be had by it; and the bonds of who left still answer."""
    weight = rules.electorate(h, task_id, epoch)
    quorum = rules.share_up(weight, rules.terms(h, task_id).quorum_bps)
    seal_by = rules.commit_by(h, task_id, epoch) + rules.terms(h, task_id).attest_window
    return quorum >= rules.stake(h, task_id, epoch) and h.now <= seal_by


def seal(h: History, task_id: int, header: bytes) -> Iterator[Fact]:
    number, close = rules.open_number(h, task_id), rules.closed(h, task_id)
    assert close is not None, "checked before"
    random = rules.randomness(h, close.seed_block, header)
    seed = hashes.words("bytes32 bytes32 uint256 uint64", random, rules.running_hash(h, task_id), task_id, number)
    weight, judges = rules.electorate(h, task_id, number), len(rules.members(h, task_id, number))
    is_judged = can_judge(h, task_id, number)
    attest_by = h.now + rules.terms(h, task_id).attest_window if is_judged else 0
    yield EpochSealed(task_id, number, seed, len(rules.submissions(h, task_id, number)), judges, weight, attest_by)
    yield from open_next(h, task_id)
    if not is_judged:
        yield EpochVoid(task_id, number)


@dataclass(frozen=True, slots=True)
class SealEpochWith(Act, contract="Attestations", function="sealEpochWith"):
    task_id: int
    header: bytes

    def against(self, h: History) -> Iterator[str]:
        yield from why_no_seal(h, self.task_id, self.header)

    def follows(self, h: History) -> Iterator[Fact]:
        yield from seal(h, self.task_id, self.header)


@dataclass(frozen=True, slots=True)
class SealEpoch(Act, contract="Attestations", function="sealEpoch"):
    task_id: int

    def against(self, h: History) -> Iterator[str]:
        yield from why_no_seal(h, self.task_id, b"")

    def follows(self, h: History) -> Iterator[Fact]:
        yield from seal(h, self.task_id, b"")


@dataclass(frozen=True, slots=True)
class CommitAttestation(Act, contract="Attestations", function="commitAttestation"):
    task_id: int
    epoch: int
    commitment: bytes
    sealed_report: bytes

    def against(self, h: History) -> Iterator[str]:
        if rules.phase(h, self.task_id, self.epoch) != Phase.ATTEST_COMMIT:
            yield "WrongPhase"
            return
        verifier = rules.operator_of(h, self.by)
        if len(self.sealed_report) > len(rules.submissions(h, self.task_id, self.epoch)) + SEALED_OVERHEAD:
            yield "SealedReportTooLong"
        if rules.weight_at(h, self.task_id, self.epoch, verifier) == 0:
            yield "NotEnlistedAtSeal"
        if self.commitment == NONE:
            yield "EmptyCommitment"
        if h.any(AttestationCommitted, task_id=self.task_id, epoch=self.epoch, verifier=verifier):
            yield "AlreadyCommitted"

    def follows(self, h: History) -> Iterator[Fact]:
        verifier = rules.operator_of(h, self.by)
        yield AttestationCommitted(self.task_id, self.epoch, verifier, self.commitment, self.sealed_report)


@dataclass(frozen=True, slots=True)
class RevealAttestation(Act, contract="Attestations", function="revealAttestation"):
    task_id: int
    epoch: int
    report: bytes
    salt: bytes
    evidence_root: bytes

    def against(self, h: History) -> Iterator[str]:
        if rules.phase(h, self.task_id, self.epoch) != Phase.ATTEST_REVEAL:
            yield "WrongPhase"
            return
        verifier = rules.operator_of(h, self.by)
        here = {"task_id": self.task_id, "epoch": self.epoch, "verifier": verifier}
        if len(self.report) != len(rules.submissions(h, self.task_id, self.epoch)):
            yield "BadReport"
        if rules.weight_at(h, self.task_id, self.epoch, verifier) == 0:
            yield "NotEnlistedAtSeal"
        if h.any(AttestationRevealed, **here):
            yield "AlreadyRevealed"
            return
        committed = h.last(AttestationCommitted, **here)
        seed = rules.seed(h, self.task_id, self.epoch)
        if committed is None:
            yield "NotCommitted"
        elif committed.commitment != hashes.attestation(seed, verifier, self.report, self.salt):
            yield "CommitmentMismatch"

    def follows(self, h: History) -> Iterator[Fact]:
        verifier = rules.operator_of(h, self.by)
        weight = rules.weight_at(h, self.task_id, self.epoch, verifier)
        before = rules.revealed_weight(h, self.task_id, self.epoch)
        yield AttestationRevealed(self.task_id, self.epoch, verifier, weight, self.report, self.evidence_root)
        if before < rules.quorum(h, self.task_id, self.epoch) <= before + weight:
            yield EpochAttested(self.task_id, self.epoch, before + weight)


@dataclass(frozen=True, slots=True)
class Settle(Act, contract="Attestations", function="settle"):
    task_id: int
    epoch: int
    reports: tuple[bytes, ...]
    count: int

    def against(self, h: History) -> Iterator[str]:
        if rules.phase(h, self.task_id, self.epoch) != Phase.ATTESTED:
            yield "WrongPhase"
            return
        revealed = {each.report for each in h.of(AttestationRevealed, task_id=self.task_id, epoch=self.epoch)}
        hashed = [keccak(each) for each in self.reports]
        if any(hashed[i] >= hashed[i + 1] for i in range(len(hashed) - 1)):
            yield "ReportsUnsorted"
        if not revealed.issuperset(self.reports):
            yield "UnknownReport"
        if not revealed.issubset(self.reports):
            yield "ReportsIncomplete"

    def follows(self, h: History) -> Iterator[Fact]:
        number, first = len(rules.submissions(h, self.task_id, self.epoch)), len(self._scores(h))
        end = min(number, first + self.count)
        scores = bytes(rules.outcome(h, self.task_id, self.epoch, index) for index in range(first, end))
        yield ScoresSettled(self.task_id, self.epoch, first, scores)
        if end == number:
            challenge_by = h.now + rules.terms(h, self.task_id).challenge_window
            yield EpochSettled(self.task_id, self.epoch, rules.paid(h, self.task_id, self.epoch), challenge_by)

    def _scores(self, h: History) -> bytes:
        return rules.settled_scores(h, self.task_id, self.epoch)


@dataclass(frozen=True, slots=True)
class Finalise(Act, contract="Attestations", function="finalise"):
    task_id: int
    epoch: int

    def against(self, h: History) -> Iterator[str]:
        if rules.phase(h, self.task_id, self.epoch) != Phase.CHALLENGEABLE:
            yield "WrongPhase"
            return
        if h.now < rules.challenge_by(h, self.task_id, self.epoch):
            yield "StillChallengeable"
        if rules.open_challenges(h, self.task_id, self.epoch) > 0:
            yield "OpenChallenges"

    def follows(self, h: History) -> Iterator[Fact]:
        yield EpochFinal(self.task_id, self.epoch)


@dataclass(frozen=True, slots=True)
class VoidEpoch(Act, contract="Attestations", function="voidEpoch"):
    """Found no quorum, or nobody settled it for an unbonding period."""

    task_id: int
    epoch: int

    def against(self, h: History) -> Iterator[str]:
        phase, box = rules.phase(h, self.task_id, self.epoch), None
        if phase == Phase.ATTESTED:
            box = rules.ballot(h, self.task_id, self.epoch)
        is_stale = box is not None and h.now >= box.reveal_by + h.constants.unbonding_s
        if phase != Phase.MISSED and not is_stale:
            yield "WrongPhase"

    def follows(self, h: History) -> Iterator[Fact]:
        yield EpochVoid(self.task_id, self.epoch)


@dataclass(frozen=True, slots=True)
class SlashAbsence(Act, contract="Attestations", function="slashAbsence"):
    """Absent is a member at the seal that revealed nothing, once reveals are over, where most of the weight did."""

    task_id: int
    epoch: int
    verifier: Address

    def against(self, h: History) -> Iterator[str]:
        here = {"task_id": self.task_id, "epoch": self.epoch}
        box = rules.ballot(h, **here) if rules.is_known(h, self.task_id) else None
        if box is None or box.stage(h.now) != rules.Stage.OVER:
            yield "WrongPhase"
            return
        if rules.weight_at(h, **here, verifier=self.verifier) == 0:
            yield "NotEnlistedAtSeal"
        if rules.revealed_weight(h, **here) * 2 <= rules.electorate(h, **here):
            yield "TooFewRevealed"
        if rules.reveal(h, **here, verifier=self.verifier) is not None:
            yield "WasPresent"
        if h.any(AbsenceSlashed, **here, verifier=self.verifier):
            yield "AlreadyPenalised"

    def follows(self, h: History) -> Iterator[Fact]:
        slash = Slash(self.task_id, self.epoch, self.verifier, rules.terms(h, self.task_id).absence_slash_bps)
        taken = slash.taken(h)
        yield from slash.follows(h)
        yield AbsenceSlashed(self.task_id, self.epoch, self.verifier, taken)
