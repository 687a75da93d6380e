"""Step 1: what to do now, out of what the chain says. Pure, but for reading the task's spec from its bundle."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay_core.bundle.task import read_spec
from assay_core.chain.ledger import EpochRecord, TaskLedger
from assay_core.inspect.waiting import Wait, wait_of
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.errors import Rejected, Stop
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import (
    Address,
    Epoch,
    PolicyState,
    PolicyVersion,
    Root,
    Seed,
    SubmissionKind,
    TaskId,
    TaskParams,
    is_paid,
)
from assay_core.training.seeding import seed_of_nth
from assay_trainer.collateral import is_anything_in_flight


@dataclass(frozen=True, slots=True)
class Assignment:
    """A submission to make. `policy_*` is the newest policy when the submission was taken up.

    `number` counts our submissions of the epoch from 0; no other follows one with `is_last`.
    """

    task_id: TaskId
    epoch: Epoch
    trainer: Address
    seed: Seed
    policy_version: PolicyVersion
    policy_root: Root
    number: int = 0
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do for now, and why; `wait` says for whom and until when, where that is known."""

    why: str
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing to do any more, and why."""

    why: str


def next_step(
    ledger: TaskLedger, trainer: Address, units: int, submissions_each: int = 1
) -> Assignment | Idle | Finished:
    """What the operator `trainer`, whose submissions have so many units, has to do.

    `submissions_each`: how many of them it wants to commit to each epoch, as far as the task lets it.
    """
    task, record = ledger.task, ledger.open_epoch
    if record is None:
        if task.is_closed:
            return end(ledger, trainer, "the task is closed")
        if task.params.max_epochs and len(ledger.epochs) >= task.params.max_epochs:
            return end(ledger, trainer, f"all {task.params.max_epochs} epochs of the task are sealed")
        return Idle("no epoch is open: the task's budget is spent until somebody funds it")
    number, most = len(record.submissions_of(trainer)), min(submissions_each, task.params.max_submissions_each)
    if number >= most:
        return Idle("our submission is committed: waiting for the next epoch", wait_of(ledger, record))
    if record.is_closed:
        return Idle("the open epoch is closed: waiting for the next", wait_of(ledger, record))
    if units_left(record, task.params) < units:
        return Idle("the open epoch is full: waiting for the next", wait_of(ledger, record))
    if len(behind := unaggregated(ledger)) > task.params.max_staleness:
        wait = wait_of(ledger, ledger.epochs[behind[0]])
        return Idle("verification lags behind: waiting for the policy of an earlier epoch", wait)
    if (weight := weight_of_needed(ledger, record, units)) < 1:
        share = int(weight * 1_000) / 10
        return Idle(f"its verifiers weigh {share} % of what judging one more submission takes: waiting for others")
    policy = ledger.newest_policy()
    return Assignment(
        task_id=ledger.task_id,
        epoch=record.epoch,
        trainer=trainer,
        seed=submission_seed(ledger, record.epoch, trainer, number),
        policy_version=policy.version,
        policy_root=policy.policy_root,
        number=number,
        is_last=number + 1 == most,
    )


def submission_seed(ledger: TaskLedger, epoch: Epoch, trainer: Address, number: int) -> Seed:
    """The seed that the chain dictates for the trainer's submission of that number.

    Raises LookupError: not yet known.
    """
    return seed_of_nth(trainer_seed(ledger.previous_seed(epoch), ledger.task_id, epoch, trainer), number)


def end(ledger: TaskLedger, trainer: Address, why: str) -> Idle | Finished:
    """Nothing new will be asked for.

    In a swarm nobody but us may have a submission until its verifiers have fetched it.
    """
    judged = (wait_of(ledger, each) for each in ledger.epochs.values() if each.submissions_of(trainer))
    if is_anything_in_flight(ledger, trainer):
        return Idle(f"{why}: our last submissions are being judged", next((wait for wait in judged if wait), None))
    return Finished(why)


def unaggregated(ledger: TaskLedger) -> list[Epoch]:
    """Sealed epochs whose policy is still to come.

    A trainer that ran further ahead of them than the task's `maxStaleness` would only train on what is old already.
    """
    newest = ledger.newest_policy().epoch
    return [
        record.epoch
        for record in ledger.epochs.values()
        if record.is_sealed
        and not record.is_void
        and (newest is None or record.epoch > newest)
        and record.policy_state is not PolicyState.SKIPPED
        and (record.scores is None or any(is_paid(score) for score in record.scores))
    ]


def roots_in_use(ledger: TaskLedger) -> Iterator[Root]:
    """Bundles that a trainer may still need: the task's spec and the policies that submissions may be made from."""
    yield ledger.task.spec_hash
    newest = ledger.newest_policy().version
    for policy in ledger.policies:
        if newest - policy.version <= ledger.task.params.max_staleness:
            yield policy.policy_root


def units_left(record: EpochRecord, params: TaskParams) -> int:
    """Capacity of an open epoch."""
    return params.max_epoch_units - sum(committed.submission.units for committed in record.submissions)


def weight_of_needed(ledger: TaskLedger, record: EpochRecord, units: int) -> float:
    """Weight of an open epoch's verifiers, as a part of what judging it with so many units more takes.

    Below 1 the epoch would end void: who enlists after its first submission judges the next one only.
    """
    committed = sum(each.submission.units for each in record.submissions)
    weight = sum(ledger.electorate(record.epoch).values())
    needed = needed_electorate(ledger.task.params, committed + units)
    return weight / needed if weight < needed else 1.0


def takes_submission(ledger: TaskLedger, epoch: Epoch, units: int, now: int, margin_s: int) -> bool:
    """Whether a submission for `epoch` that is sent now will still be taken, with `margin_s` to spare.

    What comes late is refused, and its submission was for nothing. An epoch without submissions waits for its first
    beyond its window.
    """
    record = ledger.open_epoch
    if record is None or record.is_closed or record.epoch != epoch or units_left(record, ledger.task.params) < units:
        return False
    waits = not record.submissions and not ledger.task.is_closed
    return waits or now + margin_s < record.commit_by


def workable_spec(directory: Path, params: TaskParams) -> TaskSpec:
    """The spec in a verified task bundle. Raises Stop: nobody can work on this task, and why."""
    try:
        spec = read_spec(directory)
    except Rejected as error:
        raise Stop(f"nobody can work on this task: {error}; choose another one") from error
    if params.kinds[SubmissionKind.FULL].unit_price == 0:
        raise Stop("this task asks for parts of submissions only, which this program does not make; choose another one")
    if spec.rollout.groups > params.max_submission_units:
        raise Stop(
            f"nobody can work on this task: a submission has {spec.rollout.groups} units, the contract takes at most "
            f"{params.max_submission_units}; choose another one"
        )
    return spec
