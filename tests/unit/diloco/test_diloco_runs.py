"""The arithmetic behind `make bench-diloco`, and its rehearsal in one process."""

from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.protocol.economics import greatest_gain, needed_slash
from benchmarks.diloco import FOUR, ONE, PATIENT
from benchmarks.diloco_network import terms_of
from benchmarks.diloco_plan import Plan, write_task_file
from benchmarks.diloco_rehearsal import Point, rehearse
from benchmarks.diloco_report import late_reward, reward_at, standard_error
from benchmarks.diloco_traffic import data_parallel_bytes

RISING = [Point(0, 0.2), Point(100, 0.4), Point(300, 0.8)]


def test_reward_between_two_versions_is_interpolated() -> None:
    assert reward_at(RISING, 100) == pytest.approx(0.4)
    assert reward_at(RISING, 150) == pytest.approx(0.5)
    assert late_reward(RISING, 300) == pytest.approx((0.65 + 0.8) / 2)


def test_reward_beyond_the_last_version_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="no version is made of 301 completions"):
        reward_at(RISING, 301)


def test_standard_error_is_that_of_a_coin() -> None:
    assert standard_error(0.5, 2_500) == pytest.approx(0.01)
    assert standard_error(1.0, 2_500) == 0


@pytest.mark.parametrize(("trainers", "sent"), [(1, 0), (2, 4_000), (4, 6_000)])
def test_ring_sends_two_copies_of_the_gradient_but_for_a_share(trainers: int, sent: int) -> None:
    assert data_parallel_bytes(1_000, trainers, steps=1) == sent
    assert data_parallel_bytes(1_000, trainers, steps=16) == 16 * sent


def test_seats_change_where_one_dies_and_another_joins() -> None:
    plan = Plan("four", trainers=4, epochs=4, dies_in=1)
    assert [plan.members(epoch) for epoch in range(3)] == [[0, 1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]


def test_runs_that_are_compared_see_the_same_samples_in_as_many_steps_as_they_say() -> None:
    assert len({plan.samples(8) for plan in (ONE, FOUR, PATIENT)}) == 1
    assert ONE.groups_per_step == FOUR.trainers * FOUR.groups_per_step
    assert (ONE.inner_steps * ONE.epochs, PATIENT.epochs) == (FOUR.inner_steps * FOUR.epochs, 4 * FOUR.epochs)
    other = {"label": FOUR.label, "trainers": 4, "groups": 64, "groups_per_step": 16, "dies_in": FOUR.dies_in}
    assert replace(ONE, **other) == FOUR


@pytest.mark.parametrize("plan", [ONE, FOUR])
def test_task_of_a_run_is_one_on_which_cheating_does_not_pay(plan: Plan, tmp_path: Path) -> None:
    task = write_task_file(plan, tmp_path / "task.toml", terms_of(plan))
    params = task.params(18)
    assert params.fraud_slash >= needed_slash(greatest_gain(params), params.sampling_bps)
    assert params.max_epoch_units >= plan.trainers * plan.groups
    assert (task.spec.recipe.inner_steps, task.spec.codec) == (plan.inner_steps, plan.codec)
    assert (task.spec.outer.lr, task.spec.outer.momentum) == (float(plan.outer_lr), float(plan.momentum))


@pytest.mark.slow  # trains
def test_rehearsal_goes_on_until_the_living_have_made_the_samples_of_all() -> None:
    plan = Plan("small", trainers=2, epochs=2, groups=4, groups_per_step=4, inner_steps=1, dies_in=1)
    points = rehearse(plan, prompts=16)
    assert [point.samples for point in points] == [0, 2 * 32, 3 * 32, 5 * 32]
    assert all(0 <= point.reward <= 1 for point in points)
