"""Trainers, submissions, and how an epoch opens and closes."""

from collections.abc import Iterator
from dataclasses import dataclass

from specs import rules
from specs.acts.act import Act
from specs.acts.tasks import open_next
from specs.facts import (
    EpochAbandoned,
    EpochClosed,
    EpochOpened,
    Fact,
    SubmissionCommitted,
    TrainerDelisted,
    TrainerEnlisted,
)
from specs.history import History
from specs.words import MAX_SUBMISSIONS, NONE, Address, Role


def close(h: History, task_id: int) -> EpochClosed:
    """Its seed comes from a block that nobody knows yet."""
    number = rules.open_number(h, task_id)
    seed_block = h.block.number + h.constants.seal_delay
    return EpochClosed(task_id, number, len(rules.submissions(h, task_id, number)), seed_block)


def close_if_done(h: History, task_id: int) -> Iterator[Fact]:
    """An epoch closes when it is full, or has submissions and waits for nobody. What is closed stays so."""
    number = rules.open_number(h, task_id)
    submissions = rules.submissions(h, task_id, number)
    if not submissions or not rules.is_open(h, task_id) or rules.closed(h, task_id) is not None:
        return
    is_full = (
        rules.units(h, task_id, number) == rules.terms(h, task_id).max_epoch_units
        or len(submissions) == MAX_SUBMISSIONS
    )
    if is_full or rules.waiting(h, task_id) == 0:
        yield close(h, task_id)


def leave(h: History, task_id: int, trainer: Address) -> Iterator[Fact]:
    was_waited_for = not rules.is_done(h, task_id, trainer)
    yield TrainerDelisted(task_id, trainer)
    if was_waited_for:
        yield from close_if_done(h, task_id)


@dataclass(frozen=True, slots=True)
class EnlistTrainer(Act, contract="Commitments", function="enlist"):
    task_id: int
    terms_hash: bytes

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if self.terms_hash != rules.opened(h, self.task_id).terms_hash:
            yield "WrongTerms"
        takes_submissions = rules.is_open(h, self.task_id) and rules.closed(h, self.task_id) is None
        if rules.is_closed(h, self.task_id) and not takes_submissions:
            yield "TaskIsClosed"
        trainer = rules.operator_of(h, self.by)
        if rules.is_trainer(h, self.task_id, trainer):
            yield "AlreadyEnlisted"
        yield from why_no_lock(h, self.task_id, trainer, rules.units_in_flight(h, self.task_id, trainer))

    def follows(self, h: History) -> Iterator[Fact]:
        number = rules.open_number(h, self.task_id)
        yield TrainerEnlisted(self.task_id, rules.operator_of(h, self.by), number)


def why_no_lock(h: History, task_id: int, trainer: Address, flying: int) -> Iterator[str]:
    """Whether a bond covers a trainer that is enlisted, with so many units in flight."""
    more = rules.lock_for(h, task_id, flying, True) - rules.trainer_lock(h, task_id, trainer)
    if more > 0 and more > rules.lockable(h, trainer, Role.TRAINER):
        yield "InsufficientBond"


@dataclass(frozen=True, slots=True)
class DelistTrainer(Act, contract="Commitments", function="delist"):
    task_id: int
    trainer: Address

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id) or not rules.is_trainer(h, self.task_id, self.trainer):
            yield "NotEnlisted"
        elif rules.operator_of(h, self.by) != self.trainer and not rules.has_left(h, self.task_id, self.trainer):
            yield "StillActive"

    def follows(self, h: History) -> Iterator[Fact]:
        yield from leave(h, self.task_id, self.trainer)


@dataclass(frozen=True, slots=True)
class CommitSubmission(Act, contract="Commitments", function="commitSubmission"):
    task_id: int
    epoch: int
    kind: int
    manifest_root: bytes
    units: int
    policy_version: int
    is_last: bool

    def against(self, h: History) -> Iterator[str]:
        if self.manifest_root == NONE:
            yield "EmptyRoot"
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        yield from self._against_submission(h)
        if not rules.is_open(h, self.task_id):
            yield "EpochNotOpen"
        if self.epoch != rules.open_number(h, self.task_id):
            yield "WrongEpoch"
            return
        yield from self._against_epoch(h)
        yield from self._against_trainer(h)

    def _against_submission(self, h: History) -> Iterator[str]:
        t = rules.terms(h, self.task_id)
        if not 0 < self.units <= t.max_submission_units:
            yield "BadUnits"
        if t.kinds[self.kind].unit_price == 0:
            yield "KindNotAskedFor"

    def _is_late(self, h: History) -> bool:
        return h.now >= rules.commit_by(h, self.task_id, self.epoch)

    def _against_epoch(self, h: History) -> Iterator[str]:
        """An epoch that nobody wanted waits: its first submission starts the window again, unless the task is
        closed.
        """
        has_submissions = len(rules.submissions(h, self.task_id, self.epoch)) > 0
        if rules.closed(h, self.task_id) is not None:
            yield "CommitClosed"
        if self._is_late(h) and (has_submissions or rules.is_closed(h, self.task_id)):
            yield "CommitClosed"
        left = rules.terms(h, self.task_id).max_epoch_units - rules.units(h, self.task_id, self.epoch)
        if self.units > left:
            yield "EpochFull"

    def _against_trainer(self, h: History) -> Iterator[str]:
        trainer, t = rules.operator_of(h, self.by), rules.terms(h, self.task_id)
        if not rules.is_trainer(h, self.task_id, trainer):
            yield "NotEnlisted"
            return
        if rules.is_done(h, self.task_id, trainer):
            yield "TooManySubmissions"
        theirs, may_bring_more = rules.submissions_of(h, self.task_id, self.epoch, trainer), t.max_submissions_each > 1
        if may_bring_more and any(submission.manifest_root == self.manifest_root for submission in theirs):
            yield "RepeatedRoot"  # one plant would cover both
        yield from why_no_lock(h, self.task_id, trainer, rules.units_in_flight(h, self.task_id, trainer) + self.units)

    def follows(self, h: History) -> Iterator[Fact]:
        if self._is_late(h):
            window = rules.terms(h, self.task_id).commit_window
            yield EpochOpened(self.task_id, self.epoch, h.now + window)
        trainer, index = rules.operator_of(h, self.by), len(rules.submissions(h, self.task_id, self.epoch))
        what = (self.kind, self.units, self.policy_version, self.manifest_root)
        yield SubmissionCommitted(self.task_id, self.epoch, trainer, index, *what, self.is_last)
        yield from close_if_done(h, self.task_id)


@dataclass(frozen=True, slots=True)
class CloseEpoch(Act, contract="Commitments", function="closeEpoch"):
    """Also one whose seed's block the chain has forgotten: it gets another."""

    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "EpochNotReady"
            return
        number, before = rules.open_number(h, self.task_id), rules.closed(h, self.task_id)
        if before is not None:
            is_over = rules.is_forgotten(h, before.seed_block)
        else:
            is_late = h.now >= rules.commit_by(h, self.task_id, number)
            is_over = is_late and rules.is_open(h, self.task_id) and len(rules.submissions(h, self.task_id, number)) > 0
        if not is_over:
            yield "EpochNotReady"

    def follows(self, h: History) -> Iterator[Fact]:
        yield close(h, self.task_id)


@dataclass(frozen=True, slots=True)
class AbandonEpoch(Act, contract="Commitments", function="abandonEpoch"):
    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "EpochNotReady"
            return
        number = rules.open_number(h, self.task_id)
        is_empty = rules.is_open(h, self.task_id) and not rules.submissions(h, self.task_id, number)
        is_late = h.now >= rules.commit_by(h, self.task_id, number)
        if not (is_empty and is_late and rules.is_closed(h, self.task_id)):
            yield "EpochNotReady"

    def follows(self, h: History) -> Iterator[Fact]:
        yield EpochAbandoned(self.task_id, rules.open_number(h, self.task_id))


@dataclass(frozen=True, slots=True)
class OpenEpoch(Act, contract="Commitments", function="openEpoch"):
    task_id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"

    def follows(self, h: History) -> Iterator[Fact]:
        yield from open_next(h, self.task_id)
