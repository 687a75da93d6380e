"""What to do now, from the ledger alone."""

from pathlib import Path

import pytest

from assay_core.chain.events import PolicySkipped, VerifierDelisted, VerifierEnlisted
from assay_core.inspect.waiting import Wait
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Epoch, KindTerms, PolicyState, Root, Seed, SubmissionKind, kinds_of
from assay_trainer.tasks import Assignment, Finished, Idle, next_step, takes_submission, workable_spec
from tests.unit.trainer.ground import JUDGE, RIVAL, SEED, SPEC, TASK, TRAINER, ListedChain

POLICY = Root(b"\x01" * 32)
SOME = Root(b"\x02" * 32)
UNITS = 4


@pytest.fixture
def chain() -> ListedChain:
    return ListedChain(SOME, POLICY, max_epoch_units=8)


def test_the_open_epoch_is_the_assignment_and_its_seed_names_the_trainer(chain: ListedChain) -> None:
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert step == Assignment(TASK, Epoch(0), TRAINER, trainer_seed(SEED, TASK, Epoch(0), TRAINER), 0, POLICY)  # pyright: ignore[reportArgumentType]
    other = next_step(chain.refresh(), RIVAL, UNITS)
    assert isinstance(other, Assignment)
    assert isinstance(step, Assignment)
    assert other.seed != step.seed


def test_later_seeds_come_from_the_seal_of_the_epoch_before(chain: ListedChain) -> None:
    chain.commit_as(RIVAL, SOME)
    chain.seal()
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert isinstance(step, Assignment)
    assert step.seed == trainer_seed(Seed(b"\x01" * 32), TASK, Epoch(1), TRAINER)


def test_an_epoch_that_its_verifiers_could_not_judge_is_not_worked_for(chain: ListedChain) -> None:
    chain.add(VerifierDelisted, verifier=JUDGE, from_epoch=0)
    weight = needed_electorate(chain.params, UNITS)
    chain.add(VerifierEnlisted, verifier=RIVAL, weight=weight - 1, from_epoch=0)
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert isinstance(step, Idle) and "waiting for others" in step.why and "100%" not in step.why
    chain.add(VerifierEnlisted, verifier=JUDGE, weight=1, from_epoch=0)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)
    chain.commit_as(RIVAL, SOME)  # one more would make it void for both
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Idle)


def test_a_trainer_with_a_submission_waits(chain: ListedChain) -> None:
    chain.commit_as(TRAINER, SOME)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Idle)


def test_a_closed_epoch_is_waited_out(chain: ListedChain) -> None:
    chain.commit_as(RIVAL, SOME)
    chain.shut()
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert step == Idle("the open epoch is closed: waiting for the next", Wait("epoch 0 to be sealed"))
    assert not takes_submission(chain.refresh(), Epoch(0), UNITS, chain.time, margin_s=5)


def test_a_skipped_policy_is_not_waited_for(chain: ListedChain) -> None:
    for _ in range(2):
        chain.commit_as(RIVAL, SOME)
        chain.seal()
    chain.settle(0, bytes([100]))
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Idle)
    chain.add(PolicySkipped, epoch=Epoch(0), state=PolicyState.SKIPPED)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)


def test_the_last_epoch_of_a_closed_task_takes_no_submission_after_its_window(chain: ListedChain) -> None:
    assert takes_submission(chain.refresh(), Epoch(0), UNITS, chain.time + 1_000, margin_s=5)
    chain.close()
    assert takes_submission(chain.refresh(), Epoch(0), UNITS, chain.time, margin_s=5)
    assert not takes_submission(chain.refresh(), Epoch(0), UNITS, chain.time + 1_000, margin_s=5)


def test_a_task_that_asks_for_no_whole_submissions_stops(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(SPEC.to_bytes())
    kinds = kinds_of({SubmissionKind.LABELS: KindTerms(1, 10_000)})
    with pytest.raises(Stop, match="parts of submissions"):
        workable_spec(tmp_path, ListedChain(SOME, POLICY, kinds=kinds).params)


def test_a_full_epoch_is_waited_out(chain: ListedChain) -> None:
    chain.commit_as(RIVAL, SOME, units=5)
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert step == Idle("the open epoch is full: waiting for the next", Wait("submissions to epoch 0", 1_100))


def test_a_trainer_does_not_run_ahead_of_verification_by_more_than_the_staleness(chain: ListedChain) -> None:
    """The task allows a staleness of 1: one epoch may be under verification while the next is worked on."""
    for _ in range(2):
        chain.commit_as(RIVAL, SOME)
        chain.seal()
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert isinstance(step, Idle)
    assert "verification lags behind" in step.why
    chain.publish_policy(0, SOME)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)


def test_an_epoch_in_which_nothing_was_accepted_is_not_waited_for(chain: ListedChain) -> None:
    for _ in range(2):
        chain.commit_as(RIVAL, SOME)
        chain.seal()
    chain.settle(0, b"\xff")
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)


def test_a_task_whose_budget_is_spent_waits_for_money(chain: ListedChain) -> None:
    chain.commit_as(TRAINER, SOME)
    chain.seal(opens_next=False)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Idle)


def test_a_closed_task_is_finished_once_its_last_epoch_is_sealed(chain: ListedChain) -> None:
    chain.commit_as(RIVAL, SOME)
    chain.close()
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)
    chain.seal(opens_next=False)
    assert next_step(chain.refresh(), TRAINER, UNITS) == Finished("the task is closed")


def test_a_trainer_stays_until_its_last_submissions_are_judged(chain: ListedChain) -> None:
    chain.commit_as(TRAINER, SOME)
    chain.close()
    chain.seal(opens_next=False)
    step = next_step(chain.refresh(), TRAINER, UNITS)
    assert isinstance(step, Idle) and step.why == "the task is closed: our last submissions are being judged"
    assert next_step(chain.refresh(), RIVAL, UNITS) == Finished("the task is closed")
    chain.void(0)
    assert next_step(chain.refresh(), TRAINER, UNITS) == Finished("the task is closed")


def test_a_task_is_finished_after_its_last_epoch() -> None:
    chain = ListedChain(SOME, POLICY, max_epochs=1)
    chain.commit_as(RIVAL, SOME)
    assert isinstance(next_step(chain.refresh(), TRAINER, UNITS), Assignment)
    chain.seal(opens_next=False)
    assert next_step(chain.refresh(), TRAINER, UNITS) == Finished("all 1 epochs of the task are sealed")


@pytest.mark.parametrize(
    ("epoch", "units", "late_s", "taken"),
    [
        pytest.param(0, 4, 0, True, id="in time"),
        pytest.param(0, 4, 94, True, id="just in time"),
        pytest.param(0, 4, 95, False, id="within the margin"),
        pytest.param(1, 4, 0, False, id="another epoch"),
        pytest.param(0, 5, 0, False, id="no room"),
    ],
)
def test_a_submission_is_sent_only_where_it_will_be_taken(
    chain: ListedChain, epoch: int, units: int, late_s: int, taken: bool
) -> None:
    chain.commit_as(RIVAL, SOME)
    assert takes_submission(chain.refresh(), Epoch(epoch), units, chain.time + late_s, margin_s=5) is taken


def test_a_sealed_epoch_takes_nothing(chain: ListedChain) -> None:
    chain.commit_as(RIVAL, SOME)
    chain.seal(opens_next=False)
    assert not takes_submission(chain.refresh(), Epoch(0), UNITS, chain.time, margin_s=5)


def test_a_spec_is_read_from_its_bundle(chain: ListedChain, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(SPEC.to_bytes())
    assert workable_spec(tmp_path, chain.params) == SPEC


@pytest.mark.parametrize("data", [None, b"{}", b"x" * 70_000])
def test_a_spec_that_is_none_stops(chain: ListedChain, tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "spec.json").write_bytes(data)
    with pytest.raises(Stop, match="nobody can work on this task"):
        workable_spec(tmp_path, chain.params)


def test_a_spec_whose_submissions_the_contract_would_refuse_stops(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(SPEC.to_bytes())
    with pytest.raises(Stop, match="takes at most 3"):
        workable_spec(tmp_path, ListedChain(SOME, POLICY, max_submission_units=3).params)
