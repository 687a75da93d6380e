"""The ledger is a fold: the same events give the same state, and events that do not belong together are refused."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from offchain.chain.events import (
    AbsenceSlashed,
    AttestationCommitted,
    AttestationRevealed,
    Bonded,
    Claimed,
    EpochAttested,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FeesClaimed,
    FraudSlashed,
    PolicyPublished,
    TaskClosed,
    TaskFunded,
    TaskOpened,
    TaskRefunded,
    TrainerDelisted,
    TrainerEnlisted,
    VerifierDelisted,
    VerifierEnlisted,
    WorkCommitted,
)
from offchain.chain.ledger import TaskLedger
from offchain.protocol.errors import Malformed
from offchain.protocol.types import Address, Epoch, Role, TaskId, TaskParams, WorkIndex

TASK = TaskId(3)
TRAINER, CHEAT, VERIFIER, LATE_VERIFIER, INITIATOR = (Address("0x" + f"{number:02x}" * 20) for number in range(1, 6))
PARAMS = TaskParams(*range(1, 20))
TASK_SEED, EPOCH_SEED = b"t" * 32, b"e" * 32


class Script:
    """Makes events, one block each."""

    def __init__(self) -> None:
        self._blocks: Iterator[int] = count(10)

    def __call__(self, kind: type[Event], **values: Any) -> Event:
        if kind is not Bonded:
            values["task_id"] = TASK
        return kind(block_number=next(self._blocks), log_index=0, tx_hash=b"x" * 32, **values)

    def opening(self) -> list[Event]:
        return [
            self(
                TaskOpened,
                initiator=INITIATOR,
                params=PARAMS,
                spec_hash=b"s" * 32,
                spec_uri="assay:0x73",
                policy_root=b"p" * 32,
                seed=TASK_SEED,
            ),
            self(TaskFunded, from_=INITIATOR, amount=500),
            self(EpochOpened, epoch=0, commit_by=100),
        ]

    def work(self, epoch: int, index: int, trainer: Address, version: int = 0) -> Event:
        return self(
            WorkCommitted,
            epoch=epoch,
            trainer=trainer,
            index=index,
            units=8,
            policy_version=version,
            manifest_root=bytes([index]) * 32,
        )

    def seal(self, epoch: int, seed: bytes = EPOCH_SEED) -> Event:
        return self(EpochSealed, epoch=epoch, seed=seed, works=2, verifiers=1, weight=100, attest_by=200)

    def policy(self, epoch: int, version: int) -> Event:
        return self(PolicyPublished, epoch=epoch, version=version, policy_root=bytes([version]) * 32, uri="assay:0x")


def fold(events: list[Event]) -> TaskLedger:
    ledger = TaskLedger(TASK)
    for event in events:
        ledger.apply(event)
    return ledger


def test_a_whole_epoch_is_recorded() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script(TrainerEnlisted, trainer=TRAINER),
            script(TrainerEnlisted, trainer=CHEAT),
            script(VerifierEnlisted, verifier=VERIFIER, weight=100),
            script(EpochOpened, epoch=0, commit_by=150),
            script.work(0, 0, TRAINER),
            script.work(0, 1, CHEAT),
            script(EpochOpened, epoch=1, commit_by=300),
            script.seal(0),
            script(AttestationCommitted, epoch=0, verifier=VERIFIER, commitment=b"c" * 32),
            script(AttestationRevealed, epoch=0, verifier=VERIFIER, report_hash=b"r" * 32, evidence_root=b"v" * 32),
            script(EpochAttested, epoch=0, weight=100),
            script(EpochSettled, epoch=0, scores=b"\x64\xff", challenge_by=400),
            script.policy(0, 1),
            script(EpochFinal, epoch=0),
            script(Claimed, epoch=0, trainer=TRAINER, index=0, amount=80),
            script(FraudSlashed, epoch=0, trainer=CHEAT, index=1, amount=50, reporter=TRAINER, reporter_amount=5),
            script(TrainerDelisted, trainer=CHEAT),
            script(FeesClaimed, epoch=0, verifier=VERIFIER, amount=3),
            script(AbsenceSlashed, epoch=0, verifier=LATE_VERIFIER, amount=2),
            script(TaskClosed),
            script(TaskRefunded, initiator=INITIATOR, amount=400),
        ]
    )
    assert ledger.task.params == PARAMS and ledger.task.opened_at_block == 10
    assert (ledger.task.funded_wei, ledger.task.refunded_wei, ledger.task.is_closed) == (500, 400, True)
    assert ledger.trainers == {TRAINER: 0} and ledger.verifiers == {VERIFIER: 100}
    first = ledger.epochs[Epoch(0)]
    assert (first.commit_by, first.attest_by, first.challenge_by) == (150, 200, 400)
    assert first.is_sealed and first.is_attested and first.is_settled and first.is_final and first.is_over
    assert first.work_of(CHEAT) is first.works[1] is ledger.work(Epoch(0), WorkIndex(1))
    assert first.work_of(VERIFIER) is None
    assert first.report_hashes() == [b"r" * 32]
    assert (first.score_of(WorkIndex(0)), first.score_of(WorkIndex(1)), first.score_of(WorkIndex(2))) == (100, 255, 0)
    assert (first.claims, list(first.frauds), first.fees, first.absences) == (
        {0: 80},
        [1],
        {VERIFIER: 3},
        {LATE_VERIFIER: 2},
    )
    assert ledger.epochs[Epoch(1)].score_of(WorkIndex(0)) is None
    assert ledger.open_epoch is None  # closed, and without works


def test_staleness_counts_from_where_a_work_was_committed() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script.work(0, 0, TRAINER, version=0),
            script(EpochOpened, epoch=1, commit_by=1),
            script.seal(0),
            script.work(1, 0, TRAINER, version=0),
            script.policy(0, 1),
            script.work(1, 1, CHEAT, version=1),
            script.work(1, 2, VERIFIER, version=0),
            script.work(1, 3, INITIATOR, version=2),
            script.policy(1, 2),
        ]
    )
    second = ledger.epochs[Epoch(1)].works
    assert [ledger.staleness_of(work) for work in second] == [0, 0, 1, -1]
    assert ledger.newest_policy().version == 2
    assert ledger.newest_policy(before=ledger.policies[1].position).version == 0
    assert [policy.epoch for policy in ledger.policies] == [None, 0, 1]
    with pytest.raises(Malformed, match="had no policy"):
        ledger.newest_policy(before=(1, 0))


def test_the_seed_of_an_epoch_is_that_of_the_one_before() -> None:
    script = Script()
    ledger = fold([*script.opening(), script.work(0, 0, TRAINER)])
    assert ledger.previous_seed(Epoch(0)) == TASK_SEED
    with pytest.raises(LookupError, match="epoch 0 of task 3 is not sealed"):
        ledger.previous_seed(Epoch(1))
    assert ledger.open_epoch is ledger.epochs[Epoch(0)]
    ledger.apply(script.seal(0))
    assert ledger.previous_seed(Epoch(1)) == EPOCH_SEED
    assert ledger.open_epoch is None
    with pytest.raises(LookupError):
        ledger.previous_seed(Epoch(2))


def test_only_verifiers_enlisted_in_an_earlier_block_are_members() -> None:
    script = Script()
    ledger = fold(
        [
            *script.opening(),
            script(VerifierEnlisted, verifier=VERIFIER, weight=100),
            script(VerifierEnlisted, verifier=CHEAT, weight=100),
            script(VerifierDelisted, verifier=CHEAT),
        ]
    )
    same_block: dict[str, Any] = {"task_id": TASK, "block_number": 99, "tx_hash": b"x" * 32}
    ledger.apply(VerifierEnlisted(verifier=LATE_VERIFIER, weight=100, log_index=0, **same_block))
    seal: dict[str, Any] = {"seed": EPOCH_SEED, "works": 1, "verifiers": 1, "weight": 100, "attest_by": 1}
    ledger.apply(EpochSealed(epoch=Epoch(0), log_index=1, **same_block, **seal))
    assert ledger.epochs[Epoch(0)].members == {VERIFIER}


def test_a_void_epoch_is_over_and_has_no_scores() -> None:
    script = Script()
    ledger = fold([*script.opening(), script.work(0, 0, TRAINER), script.seal(0), script(EpochVoid, epoch=0)])
    record = ledger.epochs[Epoch(0)]
    assert record.is_void and record.is_over and not record.is_final and record.score_of(WorkIndex(0)) is None


def test_an_unknown_work_is_a_lookup_error() -> None:
    ledger = fold([*Script().opening()])
    for epoch, index in ((0, 0), (5, 0), (0, -1)):
        with pytest.raises(LookupError, match="no work 3/"):
            ledger.work(Epoch(epoch), WorkIndex(index))


@pytest.mark.parametrize(
    "what", ["repeated", "skipped epoch", "skipped work", "unknown epoch", "never opened", "not a task's"]
)
def test_events_that_do_not_belong_together_are_refused(what: str) -> None:
    script = Script()
    ledger = TaskLedger(TASK)
    opening = script.opening()
    if what != "never opened":
        for event in opening:
            ledger.apply(event)
    wrong = {
        "repeated": opening[-1],
        "skipped epoch": script(EpochOpened, epoch=2, commit_by=1),
        "skipped work": script.work(0, 1, TRAINER),
        "unknown epoch": script.seal(4),
        "never opened": script(TaskClosed),
        "not a task's": script(Bonded, operator=TRAINER, role=Role.TRAINER, amount=1),
    }[what]
    with pytest.raises(Malformed):
        ledger.apply(wrong)


def test_an_unknown_task_has_no_record() -> None:
    ledger = TaskLedger(TASK)
    assert not ledger.is_known
    with pytest.raises(Malformed, match="never opened"):
        _ = ledger.task
