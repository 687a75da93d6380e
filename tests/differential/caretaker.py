"""Somebody with no part in anything, who ends whatever has begun.

It waits, and calls what anybody may call. With that alone epochs must end within a bounded time, every bond come free,
and every wei leave the contracts, but for what rounding keeps: nobody can hold up the others by doing nothing.
"""

from collections.abc import Iterator, Sequence

from eth_utils.crypto import keccak

from specs import rules
from specs.acts import Act, appeals, attestations, commitments, payouts, policies, staking, tasks, verifiers
from specs.facts import (
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeRevealed,
    EpochSealed,
    PlantCommitted,
    SeatsTaken,
    SubmissionCommitted,
    VoteRevealed,
)
from specs.words import FRAUD, Address, ChallengeState, DisputePhase, Phase, PlantState, Role, SubmissionRef
from tests.differential.twin import Twin

ROUNDS = 40  # of waiting and calling; each longer than any window, so an epoch takes a few
ACTS_AT_ONCE = 500


class Stuck(AssertionError):
    """Something has no end that anybody could bring about."""


class Caretaker:
    def __init__(self, twin: Twin, who: Address) -> None:
        self.twin = twin
        self.h = twin.h
        self.who = who

    def end(self) -> None:
        """Raises Stuck, Disagreement, Broken."""
        for task_id in rules.tasks(self.h):
            self._step([tasks.CloseTask(rules.opened(self.h, task_id).initiator, task_id)])
        for _ in range(ROUNDS):
            if all(self._is_over(task_id) for task_id in rules.tasks(self.h)):
                break
            self._round()
        else:
            raise Stuck(f"epochs do not end: {[self._unended(task_id) for task_id in rules.tasks(self.h)]}")
        self._empty()

    def _step(self, acts: Sequence[Act], seconds: int = 1) -> None:
        """Some of them are refused: it only tries. In parts: a node takes no request of any size."""
        for first in range(0, len(acts), ACTS_AT_ONCE):
            self.twin.step(acts[first : first + ACTS_AT_ONCE], seconds)

    def _wait(self, seconds: int) -> None:
        self.twin.step([], seconds)

    def _unended(self, task_id: int) -> list[int]:
        sealed = [each.epoch for each in self.h.of(EpochSealed, task_id=task_id)]
        return [epoch for epoch in sealed if rules.phase(self.h, task_id, epoch) not in (Phase.FINAL, Phase.VOID)]

    def _is_over(self, task_id: int) -> bool:
        return not rules.is_open(self.h, task_id) and not self._unended(task_id)

    def _round(self) -> None:
        """Long enough for any window of these tasks, and for a header to be no longer waited for."""
        self._wait(250)
        for task_id in rules.tasks(self.h):
            self._step([commitments.CloseEpoch(self.who, task_id), commitments.AbandonEpoch(self.who, task_id)])
        self.twin.skip(self.h.constants.seal_delay + self.h.constants.header_wait + 1, 20)
        for task_id in rules.tasks(self.h):
            self._step([attestations.SealEpoch(self.who, task_id)])
            for epoch in self._unended(task_id):
                self._step([*self._judge(task_id, epoch)])
                for place in self._disputed(task_id, epoch):
                    self._hear(place)
                self._step([*self._expire(task_id, epoch), attestations.Finalise(self.who, task_id, epoch)])

    def _judge(self, task_id: int, epoch: int) -> Iterator[Act]:
        revealed = {each.report for each in self.h.of(AttestationRevealed, task_id=task_id, epoch=epoch)}
        reports = tuple(sorted(revealed, key=keccak))
        yield attestations.Settle(self.who, task_id, epoch, reports, 65_535)
        yield attestations.VoidEpoch(self.who, task_id, epoch)

    def _disputed(self, task_id: int, epoch: int) -> list[tuple[int, int, int]]:
        found = {each.index for each in self.h.of(ChallengeRevealed, task_id=task_id, epoch=epoch)}
        return [(task_id, epoch, index) for index in sorted(found)]

    def _hear(self, place: tuple[int, int, int]) -> None:
        phase = rules.dispute_phase(self.h, *place)
        if phase == DisputePhase.REVEALED:
            self._step([appeals.SummonPanel(self.who, *place)])
            self.twin.skip(self.h.constants.seal_delay + self.h.constants.header_wait + 1, 20)
            submission = rules.as_submission(rules.submissions(self.h, *place[:2])[place[2]])
            self._step([appeals.DrawPanel(self.who, *place[:2], submission, b"")])
        if phase == DisputePhase.DECIDABLE:
            self._step([appeals.Decide(self.who, *place)])

    def _expire(self, task_id: int, epoch: int) -> Iterator[Act]:
        for challenge in self.h.of(ChallengeCommitted, task_id=task_id, epoch=epoch):
            if rules.challenge_state(self.h, task_id, epoch, challenge.id) == ChallengeState.COMMITTED:
                yield appeals.ExpireChallenge(self.who, task_id, epoch, challenge.id)

    # Everybody's money.

    def _empty(self) -> None:
        """Claims for all, unlocks all, refunds all; then everybody takes home what is theirs."""
        self._skip_policies()
        self._step([*self._pay_submissions()])
        self._step([*self._pay_fees()])
        self._step([*self._pay_appeals()])
        self._wait(2 * self.h.constants.unbonding_s)
        self._step([*self._end_plants()])
        self._step([*self._leave()])
        self._leave_seats()
        self._wait(self.h.constants.unbonding_s)
        self._step([*self._release()])
        self._step([tasks.RefundTask(self.who, task_id) for task_id in rules.tasks(self.h)])
        self._step([*self._unbond()])
        self._wait(self.h.constants.unbonding_s)
        self._step([staking.Withdraw(who, role) for who in self.twin.people.values() for role in Role])
        self.twin.compare()
        self._check_empty()

    def _skip_policies(self) -> None:
        """What is due is waited for, from when the one before is skipped."""
        while acts := [*self._policies()]:
            self._wait(max(rules.terms(self.h, task_id).reveal_window for task_id in rules.tasks(self.h)))
            before = [rules.next_policy(self.h, task_id) for task_id in rules.tasks(self.h)]
            self._step(acts)
            if before == [rules.next_policy(self.h, task_id) for task_id in rules.tasks(self.h)]:
                raise Stuck("policies cannot be skipped")

    def _policies(self) -> Iterator[Act]:
        """Of each task those that are next in line, up to one that is due."""
        for task_id in rules.tasks(self.h):
            for epoch in range(rules.next_policy(self.h, task_id), rules.open_number(self.h, task_id)):
                yield policies.SkipPolicy(self.who, task_id, epoch)
                if rules.is_policy_due(self.h, task_id, epoch):
                    break

    def _pay_submissions(self) -> Iterator[Act]:
        for submission in self.h.of(SubmissionCommitted):
            place = (submission.task_id, submission.epoch, submission.index)
            if rules.is_ended(self.h, *place):
                continue
            ref = SubmissionRef(submission.task_id, submission.epoch, rules.as_submission(submission))
            is_final = rules.phase(self.h, *place[:2]) == Phase.FINAL
            is_fraud = is_final and rules.score_of(self.h, *place) == FRAUD
            yield payouts.SlashFraud(self.who, ref) if is_fraud else payouts.Claim(self.who, (ref,))

    def _pay_fees(self) -> Iterator[Act]:
        for each in self.h.of(AttestationRevealed):
            yield payouts.ClaimFees(self.who, each.task_id, (each.epoch,), each.verifier)

    def _pay_appeals(self) -> Iterator[Act]:
        for each in self.h.of(ChallengeCommitted):
            yield appeals.ClaimChallenge(self.who, each.task_id, each.epoch, each.id)
        for vote in self.h.of(VoteRevealed):
            yield appeals.ClaimVote(self.who, vote.task_id, vote.epoch, vote.index, vote.juror)

    def _end_plants(self) -> Iterator[Act]:
        for each in self.h.of(PlantCommitted):
            if rules.plant_state(self.h, each.task_id, each.commitment) == PlantState.COMMITTED:
                yield payouts.ForfeitPlant(self.who, each.task_id, each.commitment)

    def _leave(self) -> Iterator[Act]:
        """What only people themselves may do: leave. A key that acts for another leaves for that one."""
        for who in self.twin.people.values():
            if rules.operator_of(self.h, who) != who:
                yield staking.RenounceWorkerKey(who)
        for who in self.twin.people.values():
            for task_id in rules.tasks(self.h):
                yield commitments.DelistTrainer(who, task_id, who)
                yield verifiers.DelistVerifier(who, task_id)

    def _leave_seats(self) -> None:
        """From the last seat of a pool on, so that none moves."""
        for class_ in self.h.each("class_", SeatsTaken):
            holders = rules.holders(self.h, class_)
            self._step([appeals.LeaveSeats(who, class_, (seat,)) for seat, who in reversed(list(enumerate(holders)))])

    def _release(self) -> Iterator[Act]:
        for who in self.twin.people.values():
            for task_id in rules.tasks(self.h):
                yield verifiers.ReleaseBond(self.who, task_id, who)

    def _unbond(self) -> Iterator[Act]:
        for who in self.twin.people.values():
            for role in Role:
                free = rules.bonded(self.h, who, role) - rules.locked(self.h, who, role)
                if free:
                    yield staking.RequestUnbond(who, role, free)

    def _check_empty(self) -> None:
        """What is left are shares of fees that rounding keeps: fewer wei than an epoch has verifiers."""
        for task_id in rules.tasks(self.h):
            for seal in self.h.of(EpochSealed, task_id=task_id):
                left = self.h.ledger.holds("TaskRegistry", "reservation", task_id, seal.epoch)
                if left > seal.verifiers:
                    raise Stuck(f"{left} wei of epoch {task_id}/{seal.epoch} are left, of {seal.verifiers} verifiers")
        for contract in ("Staking", "Appeals", "Plants"):
            left = self.h.ledger.holds(contract)
            if left:
                raise Stuck(f"{left} wei are left in {contract}")
