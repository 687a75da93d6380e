"""What `assay up` writes down to go on with, and the task that it opens."""

from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.standing_network import PLAN, Plan, lasting_task, read_plan
from assay_protocol.task_file import load_task_file
from assay_protocol.tasks import example_task


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(8_545, (8_600, 8_601), 8_080, ("verifier-1",), 1)
    assert read_plan(tmp_path) is None
    plan.write(tmp_path)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize("text", ["", "{}", '{"chain_port": "no"}'])
def test_a_damaged_plan_says_how_to_start_over(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(Stop, match=r"damaged: start over with --fresh"):
        read_plan(tmp_path)


def test_the_task_of_a_network_that_stands_for_long_is_the_example_but_for_its_length(tmp_path: Path) -> None:
    lasting, example = load_task_file(lasting_task(tmp_path)), load_task_file(example_task("sorting"))
    assert lasting.spec == example.spec
    params, usual = lasting.params(18), example.params(18)
    assert (params.max_epochs, params.challenge_window) == (0, usual.challenge_window) and usual.max_epochs > 0
    assert lasting.budget_wei(18) > 10 * example.budget_wei(18)
