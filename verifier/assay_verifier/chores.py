"""What is due, out of the ledger alone: everything that anybody may do and somebody must. Pure.

What needs more than the ledger (a block's header, the phase of a dispute, our own keys) is in settle.py.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from assay_core.chain.blame import fooled, suspects
from assay_core.chain.contracts import (
    AppealsContract,
    AttestationsContract,
    Call,
    CommitmentsContract,
    PayoutsContract,
    PlantsContract,
    PoliciesContract,
    SubmissionRef,
    VerifiersContract,
)
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.types import SCORE_FRAUD, Address, Epoch, EpochPhase, PolicyState
from assay_verifier.disputes import absent_jurors

REVEALS_ARE_OVER = frozenset({EpochPhase.ATTESTED, EpochPhase.MISSED, EpochPhase.CHALLENGEABLE})


@dataclass(frozen=True, slots=True)
class Contracts:
    """Encoders of calls, and the contracts' UNBONDING_PERIOD in seconds."""

    commitments: CommitmentsContract
    verifiers: VerifiersContract
    attestations: AttestationsContract
    policies: PoliciesContract
    appeals: AppealsContract
    payouts: PayoutsContract
    plants: PlantsContract
    unbonding_period_s: int


@dataclass(frozen=True, slots=True)
class Due:
    """Something to send. `what` names it, the same for everybody and at every look; `call` encodes it when needed.

    `is_untold`: no event of the task tells that it is done, so anyone who has tried takes it as done.
    """

    what: Hashable
    epoch: Epoch
    call: Callable[[], Call]
    is_untold: bool = False


def due_calls(
    ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], now: int, verifier: Address, contracts: Contracts
) -> Iterator[Due]:
    """All that the ledger says is due.

    Args:
        phases: of the epochs that are sealed and not over.
        now: Unix time.
        verifier: whose own absence is not for itself to report.
    """
    for epoch in sorted(ledger.epochs):
        record, phase = ledger.epochs[epoch], phases.get(epoch)
        yield from _due_ends(ledger, record, phase, now, contracts)
        if record.is_final:
            yield from _due_slashes(ledger, record, contracts)
        if record.is_over or phase in REVEALS_ARE_OVER:
            yield from _due_absences(ledger, record, verifier, contracts)
        yield from _due_of_challenges(ledger, record, now, verifier, contracts)
    yield from _due_of_open_epoch(ledger, now, contracts)
    yield from _due_skip(ledger, now, contracts)


# ---- sealed epochs


def _due_ends(
    ledger: TaskLedger, record: EpochRecord, phase: EpochPhase | None, now: int, contracts: Contracts
) -> Iterator[Due]:
    where = ledger.task_id, record.epoch
    if phase is EpochPhase.CHALLENGEABLE and _is_unchallenged(record, now):
        yield Due(("finalise", record.epoch), record.epoch, partial(contracts.attestations.finalise, *where))
    is_stale = phase is EpochPhase.ATTESTED and _is_stale(ledger, record, now, contracts)
    if phase is EpochPhase.MISSED or is_stale:
        yield Due(("void", record.epoch), record.epoch, partial(contracts.attestations.void_epoch, *where))


def _is_stale(ledger: TaskLedger, record: EpochRecord, now: int, contracts: Contracts) -> bool:
    """Whether an attested epoch that nobody could settle may be void: an UNBONDING_PERIOD after its reveals ended.

    They may have ended early, which no event tells; by then they have in any case.
    """
    if record.attest_by is None:
        return False
    return now >= record.attest_by + ledger.task.params.reveal_window + contracts.unbonding_period_s


def _is_unchallenged(record: EpochRecord, now: int) -> bool:
    return (
        record.challenge_by is not None
        and now >= record.challenge_by
        and not record.unrevealed_challenges
        and not record.open_disputes
    )


def _due_slashes(ledger: TaskLedger, record: EpochRecord, contracts: Contracts) -> Iterator[Due]:
    """Frauds, but for plants; and verifiers that paid a plant."""
    for committed in record.submissions:
        submission = committed.submission
        is_fraud = record.score_of(submission.index) == SCORE_FRAUD
        if is_fraud and submission.index not in record.frauds and submission.index not in record.plants:
            call = partial(contracts.payouts.slash_fraud, SubmissionRef(ledger.task_id, record.epoch, submission))
            yield Due(("slash", record.epoch, submission.index), record.epoch, call)
    for index in sorted(record.plants):
        for verifier in fooled(record, index, ledger.task.params):
            report = record.reveals[verifier].report
            where = ledger.task_id, record.epoch, index, verifier
            call = partial(contracts.plants.slash_paid_plant, *where, report)
            yield Due(("paid plant", record.epoch, index, verifier), record.epoch, call)


def _due_absences(ledger: TaskLedger, record: EpochRecord, verifier: Address, contracts: Contracts) -> Iterator[Due]:
    """Verifiers that did not reveal, though most of the weight did: else the chain may have stood still."""
    if ledger.task.params.absence_slash_bps == 0 or record.revealed_weight * 2 <= record.weight_at_seal:
        return
    for other in sorted(record.members - record.reveals.keys() - record.absences.keys() - {verifier}):
        call = partial(contracts.attestations.slash_absence, ledger.task_id, record.epoch, other)
        yield Due(("absence", record.epoch, other), record.epoch, call)


def _due_of_challenges(
    ledger: TaskLedger, record: EpochRecord, now: int, verifier: Address, contracts: Contracts
) -> Iterator[Due]:
    """Challenges that were not revealed in time, jurors that did not vote, verifiers that a panel blames."""
    appeals, params = contracts.appeals, ledger.task.params
    are_reveals_over = now >= (record.challenge_by or 0) + params.reveal_window
    for challenge in record.unrevealed_challenges if are_reveals_over else ():
        call = partial(appeals.expire_challenge, ledger.task_id, record.epoch, challenge.id)
        yield Due(("expire", record.epoch, challenge.id), record.epoch, call)
    for index, dispute in record.disputes.items():
        where = ledger.task_id, record.epoch, index
        for juror in absent_jurors(dispute):
            call = partial(appeals.dismiss_juror, *where, juror)
            if juror != verifier:
                yield Due(("dismiss", record.epoch, index, juror), record.epoch, call, is_untold=True)
        for suspect in suspects(record, dispute, params):
            call = partial(appeals.slash_verdict, *where, suspect, record.reveals[suspect].report)
            yield Due(("verdict", record.epoch, index, suspect), record.epoch, call)


# ---- the open epoch


def _due_of_open_epoch(ledger: TaskLedger, now: int, contracts: Contracts) -> Iterator[Due]:
    record = ledger.open_epoch
    if record is None or record.is_closed:
        return
    if not record.submissions:
        if ledger.task.is_closed and now >= record.commit_by:
            call = partial(contracts.commitments.abandon_epoch, ledger.task_id)
            yield Due(("abandon", record.epoch), record.epoch, call)
        return
    if now >= record.commit_by:
        call = partial(contracts.commitments.close_epoch, ledger.task_id)
        yield Due(("close", record.epoch), record.epoch, call)
    yield from _due_departures(ledger, record, contracts)


def _due_departures(ledger: TaskLedger, record: EpochRecord, contracts: Contracts) -> Iterator[Due]:
    """Trainers that have left, when the open epoch waits for nobody else.

    As long as it waits for others, one that is slow or was crowded out holds nobody up, and may still come.
    """
    working = {committed.submission.trainer for committed in record.submissions}
    waited_for = sorted(ledger.trainers.keys() - working)
    if all(_has_left(ledger, trainer, record.epoch) for trainer in waited_for):
        for trainer in waited_for:
            call = partial(contracts.commitments.delist, ledger.task_id, trainer)
            yield Due(("delist", record.epoch, trainer), record.epoch, call)


def _has_left(ledger: TaskLedger, trainer: Address, open_epoch: Epoch) -> bool:
    """Whether anybody may delist it: no submission in the last two sealed epochs, though it was enlisted when they
    opened.
    """
    if open_epoch <= ledger.trainers[trainer] + 2:
        return False
    last = (ledger.epochs[Epoch(number)] for number in (open_epoch - 2, open_epoch - 1))
    return not any(committed.submission.trainer == trainer for record in last for committed in record.submissions)


# ---- policies


def is_policy_due(record: EpochRecord) -> bool:
    """Whether a policy has to follow from an epoch: it is settled, and some submission of it was paid."""
    return record.is_settled and not record.is_void and record.paid > 0


def _due_skip(ledger: TaskLedger, now: int, contracts: Contracts) -> Iterator[Due]:
    """The next policy in line, where it is late; before it those that are not due, which stand in its way.

    What is late the contract waits for a reveal window longer, from when the line came to it: no event tells that time.
    So what stands in its way goes as soon as its challenges are over.
    """
    in_the_way: list[Epoch] = []
    for epoch in sorted(ledger.epochs):
        record = ledger.epochs[epoch]
        if record.policy_state is not PolicyState.PENDING:
            continue
        if not record.is_void and not record.is_settled:
            return
        in_the_way.append(epoch)
        if is_policy_due(record):
            first = in_the_way[0]
            wait_s = ledger.task.params.reveal_window if first == epoch else 0
            if now >= (record.challenge_by or 0) + wait_s:
                yield Due(("skip", first), first, partial(contracts.policies.skip_policy, ledger.task_id, first))
            return


# ---- for our own part


def fees_due(ledger: TaskLedger, verifier: Address) -> list[Epoch]:
    """Final epochs whose fee we earned and have not claimed: with their policy published, or none due."""
    if ledger.task.params.verifier_fee == 0:
        return []
    return [epoch for epoch in sorted(ledger.epochs) if _is_fee_due(ledger.epochs[epoch], verifier)]


def _is_fee_due(record: EpochRecord, verifier: Address) -> bool:
    if not record.is_final or record.paid == 0 or verifier not in record.reveals or verifier in record.fees:
        return False
    return record.policy_state in (PolicyState.PUBLISHED, PolicyState.NOT_DUE) or not is_policy_due(record)
