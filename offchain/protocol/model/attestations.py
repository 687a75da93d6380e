"""Judgement of sealed epochs by the stake of their verifiers: `contracts/Attestations.sol`."""

from collections.abc import Sequence
from dataclasses import dataclass

from offchain.protocol.encoding import report_hash
from offchain.protocol.model.clock import Clock, minus, require
from offchain.protocol.model.commitments import attestation_commitment_of
from offchain.protocol.model.enlistments import Enlistments
from offchain.protocol.model.judged import Attestation, Enlistment, Epoch, Stance
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.running import seal_seed
from offchain.protocol.model.scores import FOUND_FRAUD, decide, score_at
from offchain.protocol.model.staking import NOBODY, Staking
from offchain.protocol.types import SCORE_FRAUD, Address, EpochPhase


@dataclass(frozen=True, slots=True)
class Standing:
    """`IAttestations.attestationOf`; `report` is the hash of what a verifier revealed, None: nothing that counted."""

    report: bytes | None
    weight: int
    differences: int
    works: int
    enlisted: int


class Attestations(Enlistments):
    def __init__(self, clock: Clock, staking: Staking, registry: Registry) -> None:
        super().__init__(clock, staking, registry)
        self.epochs: dict[tuple[int, int], Epoch] = {}

    def seal_epoch(self, caller: Address, task_id: int) -> int:
        task = self._registry.check_seal(task_id)
        verifiers, weight = self.counted(task_id)
        require(verifiers > 0, "NoVerifiers")
        params, epoch_id = task.params, task.open_epoch
        attest_by = self._clock.now + params.attest_window
        self.epochs[task_id, epoch_id] = Epoch(
            weight=weight,
            block=self._clock.number,
            works=task.works,
            verifiers=verifiers,
            quorum_bps=params.quorum_bps,
            attest_by=attest_by,
            reveal_by=attest_by + params.reveal_window,
            uncommitted=verifiers,
            seed=seal_seed(self._clock.block.prevrandao, task.running_hash),
        )
        self.rolls[task_id].sealed_epochs = epoch_id + 1
        self._registry.seal(task)
        return epoch_id

    def commit_attestation(self, caller: Address, task_id: int, epoch_id: int, commitment: bytes) -> None:
        epoch = self._voting(task_id, epoch_id, EpochPhase.ATTEST_COMMIT)
        require(any(commitment), "EmptyCommitment")
        verifier = self._staking.operator_of(caller)
        require(self.member(task_id, epoch_id, verifier).weight > 0, "NotBonded")
        require(verifier not in epoch.attestations, "AlreadyAttested")
        epoch.attestations[verifier] = Attestation(Stance.COMMITTED, commitment)
        if epoch.uncommitted == 1:
            window = epoch.reveal_by - epoch.attest_by
            epoch.attest_by, epoch.reveal_by = self._clock.now, self._clock.now + window
        epoch.uncommitted -= 1
        epoch.unrevealed += 1

    def reveal_attestation(
        self, caller: Address, task_id: int, epoch_id: int, hashed: bytes, salt: bytes, evidence_root: bytes
    ) -> None:
        epoch = self._voting(task_id, epoch_id, EpochPhase.ATTEST_REVEAL)
        verifier = self._staking.operator_of(caller)
        stored = epoch.attestations.get(verifier)
        require(stored is not None, "NotCommitted")
        assert stored is not None
        require(stored.stance is Stance.COMMITTED, "AlreadyAttested")
        commitment = attestation_commitment_of(task_id, epoch_id, verifier, hashed, salt)
        require(stored.hash == commitment, "CommitmentMismatch")
        weight = self.rolls[task_id].enlistments[verifier].weight
        epoch.attestations[verifier] = Attestation(Stance.REVEALED, hashed)
        epoch.tallies[hashed].weight += weight
        epoch.revealed += weight
        epoch.unrevealed -= 1
        if epoch.unrevealed == 0:
            epoch.reveal_by = self._clock.now

    def settle(self, caller: Address, task_id: int, epoch_id: int, reports: Sequence[bytes]) -> None:
        require(self.phase_of(task_id, epoch_id) == EpochPhase.ATTESTED, "WrongPhase")
        epoch, params = self.epochs[task_id, epoch_id], self._registry.tasks[task_id].params
        hashes = self._known_reports(epoch, reports)
        weights = [epoch.tallies[each].weight for each in hashes]
        if sum(weights) < epoch.revealed:
            require(self._clock.now >= epoch.reveal_by + params.reveal_window, "ReportsIncomplete")
            require(sum(weights) >= epoch.quorum, "NoQuorum")
            epoch.revealed = sum(weights)
        epoch.reports = len(reports)
        if len(reports) == 1:
            epoch.scores = [score_at(reports[0], index) for index in range(epoch.works)]
        else:
            epoch.scores = [
                decide([score_at(each, index) for each in reports], weights, epoch.quorum_bps, epoch.weight)
                for index in range(epoch.works)
            ]
        for hashed, report in zip(hashes, reports, strict=True):
            tally = epoch.tallies[hashed]
            tally.is_counted = True
            tally.agreements = sum(score_at(report, index) == score for index, score in enumerate(epoch.scores))
        epoch.outcome, epoch.challenge_by = EpochPhase.CHALLENGEABLE, self._clock.now + params.challenge_window

    def publish_policy(
        self, caller: Address, task_id: int, epoch_id: int, policy_root: bytes, uri: str, signers: Sequence[Address]
    ) -> None:
        """`signers` are the keys that signed this root, as their signatures come."""
        phase = self.phase_of(task_id, epoch_id)
        require(phase in (EpochPhase.CHALLENGEABLE, EpochPhase.FINAL), "WrongPhase")
        require(any(policy_root), "EmptyRoot")
        roll, epoch = self.rolls[task_id], self.epochs[task_id, epoch_id]
        require(epoch_id >= roll.policy_epochs, "PolicyOutOfOrder")
        weight, last = 0, NOBODY
        for key in signers:
            verifier = self._staking.operator_of(key)
            require(int(verifier, 16) > int(last, 16), "SignersUnsorted")
            weight += self.member(task_id, epoch_id, verifier).weight
            last = verifier
        require(weight >= epoch.quorum, "NoQuorum")
        roll.policy_epochs, roll.policy_root = epoch_id + 1, policy_root
        roll.policy_version += 1

    def finalise(self, caller: Address, task_id: int, epoch_id: int) -> None:
        epoch = self._settled(task_id, epoch_id)
        require(self._clock.now >= epoch.challenge_by, "StillChallengeable")
        require(epoch.open_challenges == 0, "OpenChallenges")
        epoch.outcome = EpochPhase.FINAL
        fee = self._registry.tasks[task_id].params.verifier_fee
        unearned = fee * (epoch.weight - epoch.revealed) // epoch.weight
        if unearned > 0:
            self._registry.release(task_id, unearned)

    def void_epoch(self, caller: Address, task_id: int, epoch_id: int) -> None:
        phase = self.phase_of(task_id, epoch_id)
        epoch = self.epochs.get((task_id, epoch_id))
        require(epoch is not None, "WrongPhase")
        assert epoch is not None
        is_stale = self._clock.now >= epoch.reveal_by + self._staking.unbonding_period_s
        require(phase == EpochPhase.MISSED or (phase == EpochPhase.ATTESTED and is_stale), "WrongPhase")
        epoch.outcome = EpochPhase.VOID
        self._registry.release_epoch(task_id, epoch_id)

    def show_report(self, caller: Address, task_id: int, epoch_id: int, report: bytes) -> None:
        epoch = self.epochs.get((task_id, epoch_id))
        hashed = report_hash(report)
        require(epoch is not None and hashed in epoch.tallies, "UnknownReport")
        assert epoch is not None
        require(epoch.tallies[hashed].weight > 0, "UnknownReport")
        epoch.tallies[hashed].is_shown = True

    def slash_absence(self, caller: Address, task_id: int, epoch_id: int, verifier: Address) -> None:
        epoch = self.epochs.get((task_id, epoch_id))
        require(epoch is not None and epoch.outcome != EpochPhase.COMMITTING, "WrongPhase")
        assert epoch is not None
        member = self.member(task_id, epoch_id, verifier)
        absent = Attestation(Stance.ABSENT)
        require(epoch.attestations.get(verifier) != absent, "AlreadySlashed")
        params = self._registry.tasks[task_id].params
        hashed = epoch.report_of(verifier)
        if hashed is not None:
            tally = epoch.tallies[hashed]
            require(not tally.is_counted and not tally.is_shown, "WasPresent")
            is_over = self._clock.now >= epoch.reveal_by + params.reveal_window
            require(is_over and epoch.outcome != EpochPhase.CHALLENGEABLE, "WrongPhase")
        epoch.attestations[verifier] = absent
        self.take(task_id, member, verifier, params.absence_slash, 0)

    def slash_verifier(
        self, task_id: int, epoch_id: int, verifier: Address, amount: int, held_bps: int
    ) -> tuple[int, int]:
        """For Challenges: what was taken, and what of it is reserved."""
        return self.take(task_id, self.member(task_id, epoch_id, verifier), verifier, amount, held_bps)

    def check_challenge(self, task_id: int, epoch_id: int, index: int) -> Epoch:
        """The epoch, if this work's score can be challenged; for Challenges."""
        epoch = self._settled(task_id, epoch_id)
        require(self._clock.now < epoch.challenge_by, "ChallengeClosed")
        require(index < epoch.works, "UnknownWork")
        return epoch

    def check_recount(self, task_id: int, epoch_id: int, reports: Sequence[bytes]) -> int:
        """How many of the reports behind the outcome are not in `reports`, which must be of them; for Challenges."""
        epoch = self.epochs[task_id, epoch_id]
        hashes = self._known_reports(epoch, reports)
        missing = minus(epoch.reports, len(reports))
        require(all(epoch.tallies[each].is_counted for each in hashes), "UnknownReport")
        return missing

    def rescore(
        self, task_id: int, epoch_id: int, index: int, score: int, reports: Sequence[bytes], *, is_won: bool
    ) -> None:
        """Gives a work another score; after `check_recount`, for Challenges."""
        epoch = self.epochs[task_id, epoch_id]
        former = epoch.score(index)
        epoch.scores[index] = FOUND_FRAUD if score == SCORE_FRAUD and is_won else score
        for report in reports:
            given = score_at(report, index)
            epoch.tallies[report_hash(report)].agreements += (given == score) - (given == former)

    def final_scores(self, task_id: int, places: Sequence[tuple[int, int]]) -> list[int]:
        """As stored, of works by epoch and index. Raises Refused: one can still change."""
        found = [(self.epochs.get((task_id, epoch_id)), index) for epoch_id, index in places]
        require(all(epoch is not None and epoch.outcome == EpochPhase.FINAL for epoch, _ in found), "NotFinal")
        return [epoch.stored_score(index) for epoch, index in found if epoch is not None]

    def phase_of(self, task_id: int, epoch_id: int) -> EpochPhase:
        epoch = self.epochs.get((task_id, epoch_id))
        if epoch is None:
            return EpochPhase.COMMITTING
        is_open = epoch.outcome == EpochPhase.COMMITTING
        return epoch.voting_phase(self._clock.now) if is_open else epoch.outcome

    def member(self, task_id: int, epoch_id: int, verifier: Address) -> Enlistment:
        """Raises Refused: the verifier does not belong to this epoch."""
        epoch = self.epochs.get((task_id, epoch_id))
        found = None if epoch is None else self.membership(task_id, epoch_id, epoch.block, verifier)
        require(found is not None, "NotEnlistedAtSeal")
        assert found is not None
        return found

    def standing_of(self, task_id: int, epoch_id: int, verifier: Address) -> Standing:
        epoch = self.epochs.get((task_id, epoch_id))
        if epoch is None:
            return Standing(None, 0, 0, 0, 0)
        member = self.membership(task_id, epoch_id, epoch.block, verifier)
        weight = 0 if member is None else member.weight
        hashed, differences = epoch.report_of(verifier), 0
        if hashed is not None and epoch.is_settled:
            tally = epoch.tallies[hashed]
            differences = epoch.works - tally.agreements
            hashed = hashed if tally.is_counted else None
        return Standing(hashed, weight, differences, epoch.works, epoch.weight)

    def _voting(self, task_id: int, epoch_id: int, wanted: EpochPhase) -> Epoch:
        epoch = self.epochs.get((task_id, epoch_id))
        require(epoch is not None and epoch.voting_phase(self._clock.now) == wanted, "WrongPhase")
        assert epoch is not None
        return epoch

    def _settled(self, task_id: int, epoch_id: int) -> Epoch:
        epoch = self.epochs.get((task_id, epoch_id))
        require(epoch is not None and epoch.outcome == EpochPhase.CHALLENGEABLE, "WrongPhase")
        assert epoch is not None
        return epoch

    def _known_reports(self, epoch: Epoch, reports: Sequence[bytes]) -> list[bytes]:
        """Their hashes. Raises Refused: out of order, or nobody revealed one."""
        hashes = [report_hash(report) for report in reports]
        for position, hashed in enumerate(hashes):
            require(position == 0 or hashed > hashes[position - 1], "ReportsUnsorted")
            require(hashed in epoch.tallies and epoch.tallies[hashed].weight > 0, "UnknownReport")
        return hashes
