"""Inner steps divided among members (threads, with an exchange in memory) are those that one process would take."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from assay_core.aggregation.codecs import Float32
from assay_core.aggregation.division import Added, Alone, Turn
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.policy import Policy, initial_policy
from assay_core.protocol.errors import Malformed, MalformedUpdate
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.inner import Learner, plan_of, run_inner_steps
from assay_core.training.trace import StepTrace
from assay_trainer.group.shares import counted_in
from assay_trainer.group.steps import take_step
from assay_trainer.group.training import PROGRESS, SUBMISSION, Training
from assay_trainer.prover import prove
from assay_trainer.rollout import roll_out

SUBMISSION_ID = bytes(range(16))
SEED = Seed(bytes(range(32)))
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=6, group_size=4),
    recipe=RecipeSpec(inner_steps=4, groups_per_step=3, lr=1e-2),
)


def new_policy() -> Policy:
    return initial_policy(
        {"kind": "tiny", "layers": 1, "width": 16, "heads": 2, "warmup": {"steps": 0}}, Seed(bytes(32))
    )


@pytest.fixture(scope="module")
def rollouts() -> Rollouts:
    environment = make_environment(SPEC.environment)
    rows = [row for batch in roll_out(new_policy(), environment, SPEC, SEED) for row in prove(batch, SPEC.toploc)]
    return Rollouts(SPEC.rollout.group_size, tuple(rows))


@dataclass
class Room:
    """An exchange in memory. `lost` steps miss the last member's share at the first attempt."""

    peers: int
    lost: set[int] = field(default_factory=set[int])
    shares: dict[tuple[int, int, int], Float32] = field(default_factory=dict[tuple[int, int, int], Float32])

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.peers, timeout=20)

    def total(self, step: int, attempt: int) -> Float32:
        """In order of rank: equal bits for all."""
        return np.stack([self.shares[step, attempt, rank] for rank in range(self.peers)]).sum(0, np.float32)

    def seat(self, rank: int, training: Training) -> "Seat":
        return Seat(self, rank, training)


@dataclass
class Seat:
    room: Room
    rank: int
    training: Training

    def add_up(
        self, share: Callable[[Turn], Float32], is_whole: Callable[[Float32], bool], keep_on: Callable[[], None]
    ) -> Added:
        room, step = self.room, self.training.step
        for attempt in range(3):
            keep_on()
            mine = share(Turn(step, self.rank, room.peers))
            is_lost = attempt == 0 and step in room.lost and self.rank == room.peers - 1
            room.shares[step, attempt, self.rank] = np.zeros_like(mine) if is_lost else mine
            room.barrier.wait()
            if is_whole(total := room.total(step, attempt)):
                return Added(total, room.peers, attempt + 1, float(attempt))
        raise AssertionError("never whole")


def together(rollouts: Rollouts, room: Room) -> tuple[list[Training], list[Added]]:
    """All members to the end, each in a thread with a policy of its own; and what the leader (rank 0) noted."""
    noted: list[Added] = []
    trainings = [
        Training(SUBMISSION_ID, Learner(new_policy(), SPEC), plan_of(rollouts, SPEC, SEED)) for _ in range(room.peers)
    ]

    def submission(rank: int) -> None:
        seat = room.seat(rank, trainings[rank])
        while not trainings[rank].is_done:
            take_step(
                trainings[rank],
                seat,
                is_leader=rank == 0,
                keep_on=lambda: None,
                note=noted.append if rank == 0 else lambda added: None,
            )

    threads = [threading.Thread(target=submission, args=(rank,)) for rank in range(room.peers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(training.is_done for training in trainings)
    return trainings, noted


def flat(parts: dict[str, Any]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.asarray(parts[name], np.float64).reshape(-1) for name in sorted(parts)])


def moved(training: Training) -> dict[str, Any]:
    start = new_policy().trainable()
    return {name: (start[name] - each).detach().numpy() for name, each in training.parameters.items()}


@pytest.mark.parametrize("peers", [2, 3, 5])
def test_members_together_make_the_update_of_one_process_up_to_float_noise(rollouts: Rollouts, peers: int) -> None:
    trainings, noted = together(rollouts, Room(peers))
    one = flat(dict(run_inner_steps(new_policy(), rollouts, SPEC, SEED).pseudo_gradient))
    several = flat(moved(trainings[0]))
    cosine = float(one @ several / np.linalg.norm(one) / np.linalg.norm(several))
    assert 1 - cosine < 1e-6
    assert abs(np.linalg.norm(several) / np.linalg.norm(one) - 1) < 1e-4
    states = [training.state() for training in trainings]
    assert all((state[name] == states[0][name]).all() for state in states for name in state)  # to the bit
    assert [added.peers for added in noted] == [peers] * 4


def test_lost_share_is_noticed_and_its_step_done_again_by_all(rollouts: Rollouts) -> None:
    whole, _ = together(rollouts, Room(3))
    room = Room(3, lost={1})
    again, noted = together(rollouts, room)
    assert [added.attempts for added in noted] == [1, 2, 1, 1]
    assert counted_in(room.total(1, 0)).tokens < counted_in(room.total(1, 1)).tokens
    assert all((again[0].state()[name] == array).all() for name, array in whole[0].state().items())


def test_leader_alone_makes_the_same_bits_as_without_a_group(rollouts: Rollouts) -> None:
    traces: list[StepTrace] = []
    training = Training(
        SUBMISSION_ID,
        Learner(new_policy(), SPEC),
        plan_of(rollouts, SPEC, SEED),
        lambda _, trace, __: traces.append(trace),
    )
    while not training.is_done:
        take_step(training, Alone(lambda: training.step), is_leader=True, keep_on=lambda: None)
    expected = run_inner_steps(new_policy(), rollouts, SPEC, SEED).trace
    assert [trace.state for trace in traces] == [trace.state for trace in expected]
    assert [trace.groups for trace in traces] == [trace.groups for trace in expected]
    assert [trace.loss for trace in traces] == pytest.approx([trace.loss for trace in expected], rel=1e-6)


def one_step(rollouts: Rollouts) -> Training:
    training = Training(SUBMISSION_ID, Learner(new_policy(), SPEC), plan_of(rollouts, SPEC, SEED))
    take_step(training, Alone(lambda: training.step), is_leader=True, keep_on=lambda: None)
    return training


def test_joiner_takes_parameters_moments_and_step_over_and_goes_on_alike(rollouts: Rollouts) -> None:
    ahead = one_step(rollouts)
    seen: list[tuple[int, StepTrace]] = []
    joiner = Training(
        SUBMISSION_ID,
        Learner(new_policy(), SPEC),
        plan_of(rollouts, SPEC, SEED),
        lambda step, trace, _: seen.append((step, trace)),
    )
    assert {name: (a.shape, a.dtype) for name, a in joiner.state().items()} == {
        name: (a.shape, a.dtype) for name, a in ahead.state().items()
    }
    joiner.load(ahead.state())
    assert joiner.step == 1
    assert [step for step, _ in seen] == [0]  # told of the step that it missed
    for training in (ahead, joiner):
        take_step(training, Alone(lambda: training.step), is_leader=True, keep_on=lambda: None)  # noqa: B023
    assert all((ahead.state()[name] == array).all() for name, array in joiner.state().items())


@pytest.mark.parametrize("step", [0.0, 5.0, 1.5, np.nan])
def test_state_of_a_step_that_there_is_not_or_that_is_behind_is_refused(rollouts: Rollouts, step: float) -> None:
    training = one_step(rollouts)
    state = training.state() | {PROGRESS: np.array([step, 0, 0])}
    with pytest.raises(Malformed, match="a member of the group is at inner step"):
        training.load(state)
    assert training.step == 1


def test_state_of_another_submission_is_refused(rollouts: Rollouts) -> None:
    training = one_step(rollouts)
    with pytest.raises(Malformed, match="at another submission"):
        training.load(training.state() | {SUBMISSION: np.zeros(16, np.uint8)})


def test_sum_with_a_member_that_is_at_another_submission_does_not_count(rollouts: Rollouts) -> None:
    training = Training(SUBMISSION_ID, Learner(new_policy(), SPEC), plan_of(rollouts, SPEC, SEED))

    def with_a_stray_mark(total: Float32) -> Float32:
        total[-1] += 7
        return total

    adder = Sum(with_a_stray_mark, 1)
    take_step(training, adder, is_leader=True, keep_on=lambda: None)
    assert adder.verdict is False


def test_group_at_another_step_is_refused(rollouts: Rollouts) -> None:
    training = one_step(rollouts)
    with pytest.raises(Malformed, match="the group is at inner step 3, our state at 1"):
        take_step(training, Alone(lambda: 3), is_leader=True, keep_on=lambda: None)


class Sum:
    """An exchange that gives what a test wants."""

    def __init__(self, alter: Callable[[Float32], Float32], peers: int) -> None:
        self.alter, self.peers = alter, peers
        self.verdict: bool | None = None

    def add_up(
        self, share: Callable[[Turn], Float32], is_whole: Callable[[Float32], bool], keep_on: Callable[[], None]
    ) -> Added:
        total = self.alter(share(Turn(0, 0, self.peers)))
        self.verdict = is_whole(total)
        return Added(total, self.peers)


def _without_a_number(total: Float32) -> Float32:
    total[0] = np.nan
    return total


def test_gradient_that_is_no_number_is_no_whole_sum_of_several_but_ends_a_training_alone(rollouts: Rollouts) -> None:
    for peers, verdict in ((2, False), (1, True)):
        training = Training(SUBMISSION_ID, Learner(new_policy(), SPEC), plan_of(rollouts, SPEC, SEED))
        # half of the samples are ours with two members: the counters are made whole, so that only the number counts
        adder = Sum(lambda total: _whole(_without_a_number(total), training, peers), peers)  # noqa: B023
        with pytest.raises(MalformedUpdate):
            take_step(training, adder, is_leader=True, keep_on=lambda: None)
        assert adder.verdict is verdict


def _whole(total: Float32, training: Training, peers: int) -> Float32:
    total[-4] = sum(len(sample.completion.completion_ids) for sample in training.batch())
    total[-1] *= peers
    return total


def test_step_without_the_leader_does_not_count(rollouts: Rollouts) -> None:
    training = Training(SUBMISSION_ID, Learner(new_policy(), SPEC), plan_of(rollouts, SPEC, SEED))
    adder = Sum(lambda total: total, 1)
    take_step(training, adder, is_leader=False, keep_on=lambda: None)
    assert adder.verdict is False
