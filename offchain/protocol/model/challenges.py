"""Disputes: one work of a settled epoch put before its verifiers again. `contracts/Challenges.sol`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from offchain.protocol.encoding import appeal_commitment, must_replay, report_hash
from offchain.protocol.model.attestations import Attestations
from offchain.protocol.model.clock import Clock, require
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.scores import decide, is_score, reaches_quorum, score_at
from offchain.protocol.model.staking import NOBODY, Staking
from offchain.protocol.types import SCORE_FRAUD, Address, ChallengePhase, Epoch, Seed, TaskId, WorkIndex

CHALLENGER_BPS = 5_000  # the challenger's part of what its challenge costs verifiers


@dataclass(slots=True)
class Vote:
    """One verifier in one appeal; `weight` in wei, as it was when it revealed."""

    commitment: bytes | None = None
    weight: int = 0
    score: int = 0
    is_revealed: bool = False
    is_claimed: bool = False
    is_slashed: bool = False
    is_absent: bool = False


@dataclass(slots=True)
class Dispute:
    """`owed` is the challenger's, of a lost bond the verifiers' who have not claimed; amounts in wei."""

    challenger: Address
    standing: int
    claimed: int
    commit_by: int
    reveal_by: int
    uncommitted: int
    owed: int
    unrevealed: int = 0
    score: int = 0
    outcome: ChallengePhase = ChallengePhase.NONE
    is_against_verifiers: bool = False
    owed_weight: int = 0
    votes: dict[Address, Vote] = field(default_factory=lambda: defaultdict(Vote))

    def weights(self) -> dict[int, int]:
        """Revealed weight by score."""
        found: dict[int, int] = defaultdict(int)
        for vote in self.votes.values():
            if vote.is_revealed:
                found[vote.score] += vote.weight
        return found

    @property
    def revealed(self) -> int:
        return sum(self.weights().values())


class Challenges:
    def __init__(
        self, clock: Clock, staking: Staking, registry: Registry, attestations: Attestations, address: Address
    ) -> None:
        self.address = address
        self.disputes: dict[tuple[int, int, int], Dispute] = {}
        self._clock, self._staking, self._registry, self._attestations = clock, staking, registry, attestations

    def challenge(self, caller: Address, task_id: int, epoch: int, index: int, score: int) -> None:
        require(is_score(score), "BadScore")
        require((task_id, epoch, index) not in self.disputes, "AlreadyChallenged")
        judged = self._attestations.check_challenge(task_id, epoch, index)
        standing = judged.score(index)
        require(score != standing, "SameScore")
        params = self._registry.tasks[task_id].params
        self._registry.hold(task_id, caller, params.challenge_bond)
        judged.open_challenges += 1
        commit_by = self._clock.now + params.appeal_window
        self.disputes[task_id, epoch, index] = Dispute(
            challenger=caller,
            standing=standing,
            claimed=score,
            commit_by=commit_by,
            reveal_by=commit_by + params.appeal_window,
            uncommitted=judged.verifiers,
            owed=params.challenge_bond,
        )

    def commit_appeal(self, caller: Address, task_id: int, epoch: int, index: int, commitment: bytes) -> None:
        dispute = self._in_phase(task_id, epoch, index, ChallengePhase.APPEAL_COMMIT)
        require(any(commitment), "EmptyCommitment")
        verifier, _ = self._member(task_id, epoch, caller)
        vote = dispute.votes[verifier]
        require(vote.commitment is None, "AlreadyVoted")
        vote.commitment = commitment
        dispute.unrevealed += 1
        dispute.uncommitted -= 1
        if dispute.uncommitted == 0:
            window = dispute.reveal_by - dispute.commit_by
            dispute.commit_by, dispute.reveal_by = self._clock.now, self._clock.now + window

    def reveal_appeal(self, caller: Address, task_id: int, epoch: int, index: int, score: int, salt: bytes) -> None:
        dispute = self._in_phase(task_id, epoch, index, ChallengePhase.APPEAL_REVEAL)
        require(is_score(score), "BadScore")
        verifier, weight = self._member(task_id, epoch, caller)
        vote = dispute.votes[verifier]
        require(vote.commitment is not None, "NotCommitted")
        place = (TaskId(task_id), Epoch(epoch), WorkIndex(index))
        require(vote.commitment == appeal_commitment(*place, verifier, score, salt), "CommitmentMismatch")
        require(not vote.is_revealed, "AlreadyVoted")
        vote.weight, vote.score, vote.is_revealed = weight, score, True
        dispute.unrevealed -= 1
        if dispute.unrevealed == 0:
            dispute.reveal_by = self._clock.now

    def decide(self, caller: Address, task_id: int, epoch: int, index: int, reports: Sequence[bytes]) -> None:
        dispute = self._in_phase(task_id, epoch, index, ChallengePhase.DECIDABLE)
        score, outcome, is_quorate = self._outcome(dispute, task_id, epoch)
        if score != dispute.standing:
            missing = self._attestations.check_recount(task_id, epoch, reports)
            grace_by = dispute.reveal_by + self._registry.tasks[task_id].params.reveal_window
            require(missing == 0 or self._clock.now >= grace_by, "ReportsMissing")
            is_won = score == dispute.claimed
            self._attestations.rescore(task_id, epoch, index, score, reports, is_won=is_won)
        self._attestations.epochs[task_id, epoch].open_challenges -= 1
        dispute.outcome, dispute.score = outcome, score
        dispute.is_against_verifiers = is_quorate and outcome == ChallengePhase.OVERTURNED
        if outcome == ChallengePhase.UPHELD:
            dispute.owed_weight = dispute.weights()[score]
            if dispute.owed_weight == 0:
                self._registry.pay(task_id, NOBODY, 0, dispute.owed)
                dispute.owed = 0

    def slash_verdict(
        self, caller: Address, task_id: int, epoch: int, index: int, verifier: Address, report: bytes
    ) -> None:
        dispute = self.disputes.get((task_id, epoch, index))
        require(dispute is not None and dispute.is_against_verifiers, "NotAgainstVerifiers")
        assert dispute is not None
        standing = self._attestations.standing_of(task_id, epoch, verifier)
        require(report_hash(report) == standing.report, "WrongReport")
        require(score_at(report, index) == dispute.standing, "NotBehindScore")
        vote = dispute.votes[verifier]
        require(not self._is_excused(dispute, vote, task_id, epoch, index), "Excused")
        require(not vote.is_slashed, "AlreadySlashed")
        held_bps = CHALLENGER_BPS if dispute.claimed == dispute.score else 0
        amount = self._registry.tasks[task_id].params.verdict_slash
        _, held = self._attestations.slash_verifier(task_id, epoch, verifier, amount, held_bps)
        vote.is_slashed = True
        dispute.owed += held

    def slash_absence(self, caller: Address, task_id: int, epoch: int, index: int, verifier: Address) -> None:
        dispute = self.disputes.get((task_id, epoch, index))
        require(dispute is not None and dispute.outcome != ChallengePhase.NONE, "WrongChallengePhase")
        assert dispute is not None
        vote = dispute.votes[verifier]
        require(not vote.is_revealed, "WasPresent")
        require(not vote.is_absent, "AlreadySlashed")
        amount = self._registry.tasks[task_id].params.absence_slash
        self._attestations.slash_verifier(task_id, epoch, verifier, amount, 0)
        vote.is_absent = True

    def claim(self, caller: Address, task_id: int, epoch: int, index: int, to: Address) -> int:
        amount = self.owed_to(task_id, epoch, index, to)
        require(amount > 0, "NothingToClaim")
        dispute = self.disputes[task_id, epoch, index]
        dispute.owed -= amount
        if dispute.outcome == ChallengePhase.UPHELD:
            vote = dispute.votes[to]
            vote.is_claimed = True
            dispute.owed_weight -= vote.weight
        self._registry.pay(task_id, to, amount, amount)
        return amount

    def reward(self, task_id: int, epoch: int, index: int, amount: int) -> None:
        """Adds to what a challenger has won; for Payouts."""
        self.disputes[task_id, epoch, index].owed += amount

    def owed_to(self, task_id: int, epoch: int, index: int, to: Address) -> int:
        dispute = self.disputes.get((task_id, epoch, index))
        if dispute is None or dispute.outcome == ChallengePhase.NONE:
            return 0
        if dispute.outcome != ChallengePhase.UPHELD:
            return dispute.owed if to == dispute.challenger else 0
        vote = dispute.votes.get(to, Vote())
        is_owed = vote.is_revealed and vote.score == dispute.score and not vote.is_claimed and vote.weight > 0
        return dispute.owed * vote.weight // dispute.owed_weight if is_owed else 0

    def phase_of(self, task_id: int, epoch: int, index: int) -> ChallengePhase:
        dispute = self.disputes.get((task_id, epoch, index))
        if dispute is None or dispute.outcome != ChallengePhase.NONE:
            return ChallengePhase.NONE if dispute is None else dispute.outcome
        if self._clock.now < dispute.commit_by and dispute.uncommitted > 0:
            return ChallengePhase.APPEAL_COMMIT
        if self._clock.now < dispute.reveal_by and dispute.unrevealed > 0:
            return ChallengePhase.APPEAL_REVEAL
        return ChallengePhase.DECIDABLE

    def must_replay(self, task_id: int, epoch: int, index: int) -> bool:
        seed = Seed(self._attestations.epochs[task_id, epoch].seed)
        return must_replay(seed, index, self._registry.tasks[task_id].params.sampling_bps)

    def _in_phase(self, task_id: int, epoch: int, index: int, wanted: ChallengePhase) -> Dispute:
        require(self.phase_of(task_id, epoch, index) == wanted, "WrongChallengePhase")
        return self.disputes[task_id, epoch, index]

    def _member(self, task_id: int, epoch: int, key: Address) -> tuple[Address, int]:
        verifier = self._staking.operator_of(key)
        weight = self._attestations.standing_of(task_id, epoch, verifier).weight
        require(weight > 0, "NotEnlistedAtSeal")
        return verifier, weight

    def _outcome(self, dispute: Dispute, task_id: int, epoch: int) -> tuple[int, ChallengePhase, bool]:
        """The score, what it means, and whether a quorum stands behind exactly that score."""
        quorum_bps = self._registry.tasks[task_id].params.quorum_bps
        enlisted = self._attestations.epochs[task_id, epoch].weight
        if not reaches_quorum(dispute.revealed, quorum_bps, enlisted):
            return dispute.standing, ChallengePhase.UNDECIDED, False
        weights = dispute.weights()
        score = decide(list(weights), list(weights.values()), quorum_bps, enlisted)
        outcome = ChallengePhase.UPHELD if score == dispute.standing else ChallengePhase.OVERTURNED
        return score, outcome, reaches_quorum(weights[score], quorum_bps, enlisted)

    def _is_excused(self, dispute: Dispute, vote: Vote, task_id: int, epoch: int, index: int) -> bool:
        if not vote.is_revealed or vote.score != dispute.score or dispute.standing == SCORE_FRAUD:
            return False
        return dispute.standing == 0 or not self.must_replay(task_id, epoch, index)
