"""Training goes on when a trainer is killed and another joins: whole networks of processes, as `make bench-diloco`."""

from pathlib import Path

import pytest

from benchmarks.diloco_network import run_network
from benchmarks.diloco_plan import Plan
from benchmarks.diloco_traffic import data_parallel_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_200)]

SMALLEST = Plan(
    "smallest", trainers=2, epochs=3, groups=16, groups_per_step=8, inner_steps=4, dies_in=1, commit_window=20
)


def test_network_outlives_a_killed_trainer_and_pays_the_one_that_joins(tmp_path: Path) -> None:
    outcome = run_network(SMALLEST, tmp_path / "net", prompts=64, seconds=900, say=print)
    dead, survivor, joiner = outcome.members

    assert outcome.died_in == 1
    assert len(outcome.points) - 1 >= outcome.version_then + 2  # policies go on being published
    assert outcome.points[-1].samples >= SMALLEST.samples(group_size=8)
    assert (dead.submissions, dead.paid, dead.last_epoch) == (1, 1, 0)  # what it had committed before is paid
    assert survivor.paid == survivor.submissions >= 3
    assert joiner.paid == joiner.submissions >= 1
    assert joiner.first_epoch is not None and joiner.first_epoch >= 1
    assert joiner.first_version is not None and joiner.first_version >= outcome.version_then

    price = dead.claimed_wei
    assert price > 0
    assert [each.claimed_wei for each in outcome.members] == [each.paid * price for each in outcome.members]

    for each in outcome.members:
        assert each.traffic.submissions == each.submissions
        assert (
            0.5 < each.traffic.update / (each.submissions * outcome.parameters) < 0.6
        )  # int4: half a byte for each number
        assert each.traffic.received > each.traffic.policies * 4 * outcome.parameters
    ddp = data_parallel_bytes(outcome.parameters, trainers=2, steps=4)
    assert ddp == 16 * outcome.parameters
    assert ddp / (survivor.traffic.update / survivor.submissions) > 25
