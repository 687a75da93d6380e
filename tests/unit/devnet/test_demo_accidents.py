"""What is killed in a demo: once, when its time has come, and what the others did since is counted from the chain."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.chain.ledger import CommittedSubmission, EpochRecord, PolicyRecord, TaskLedger
from assay_core.protocol.types import (
    Address,
    Epoch,
    PolicyVersion,
    Root,
    Submission,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
)
from assay_protocol.devnet.demo.accidents import Accidents, Victim
from assay_protocol.devnet.demo.outcome import Aftermath
from assay_protocol.devnet.processes import Children

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
HONEST, CHEAT = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
STRUCK_AT = 50  # block
VICTIM = Victim("relay-2", frozenset({HONEST}), lambda ledger: len(ledger.policies) >= 2)


def ledger(policies: int, epochs: Sequence[bytes | None] = (), *, first_block: int = 40) -> TaskLedger:
    """Epochs with two submissions each, the honest trainer's and the cheat's, ten blocks apart; scores or None for
    each.
    """
    made = TaskLedger(TaskId(1))
    made.policies = [
        PolicyRecord(PolicyVersion(version), Epoch(version), Root(bytes(32)), "", first_block + 10 * version, 0)
        for version in range(policies)
    ]
    for number, scores in enumerate(epochs):
        record = EpochRecord(Epoch(number), 0, settled=scores or b"", is_settled=scores is not None)
        for index, trainer in enumerate((HONEST, CHEAT)):
            submission = Submission(
                trainer, SubmissionIndex(index), SubmissionKind.FULL, 64, PolicyVersion(0), Root(bytes(32))
            )
            record.submissions.append(CommittedSubmission(submission, (first_block + 10 * number, index), bytes(32)))
        made.epochs[Epoch(number)] = record
    return made


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    with Children(tmp_path) as started:
        started.start("relay-1", SLEEPER)
        started.start("relay-2", SLEEPER)
        yield started


def accidents_of(children: Children, *victims: Victim) -> Accidents:
    return Accidents(children, victims, lambda: 10.04, lambda: STRUCK_AT)


def test_a_victim_dies_once_when_its_time_has_come(children: Children) -> None:
    accidents = accidents_of(children, VICTIM)
    victim = children["relay-2"].process
    accidents.strike(ledger(1))
    assert victim.poll() is None
    assert accidents.state_of("relay-2").killed_at_s is None
    for _ in range(2):
        accidents.strike(ledger(2))
    assert victim.poll() == -9
    assert children["relay-1"].process.poll() is None
    assert accidents.state_of("relay-2").killed_at_s == 10.04


def test_submissions_and_policies_since_then_are_counted_and_those_before_are_not(children: Children) -> None:
    accidents = accidents_of(children, VICTIM)
    accidents.strike(ledger(2))
    seen = ledger(3, [bytes([100, 255]), bytes([0, 255]), bytes([100, 255]), bytes([0, 255]), None])
    assert accidents.aftermath(seen) == (Aftermath("relay-2", 10.0, -9, policies=1, submissions=3, accepted=1),)
    assert accidents.are_survived(seen)
    assert not accidents.are_survived(ledger(2, [bytes([100, 255])]))


def test_what_never_happened_is_told(children: Children) -> None:
    accidents = accidents_of(children, VICTIM)
    assert accidents.aftermath(ledger(1)) == (Aftermath("relay-2", None, None, 0, 0, 0),)
    assert not accidents.are_survived(ledger(1))
    assert accidents_of(children).are_survived(ledger(1))


def test_a_short_moment_is_waited_for_beside_everything_else(children: Children) -> None:
    moment = threading.Event()
    victim = replace(VICTIM, moment=moment.is_set)
    accidents = accidents_of(children, victim)
    process = children["relay-2"].process
    accidents.strike(ledger(2))
    time.sleep(0.05)
    assert process.poll() is None
    assert accidents.aftermath(ledger(2)) == (Aftermath("relay-2", None, None, 0, 0, 0),)
    moment.set()
    assert process.wait(10) == -9
    until = time.monotonic() + 10
    while accidents.state_of("relay-2").killed_at_s is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    [told] = accidents.aftermath(ledger(2))
    assert told.exit_code == -9
    children.check()
