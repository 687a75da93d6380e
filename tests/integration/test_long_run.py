"""Many epochs in a row: what is held is what is owed at every checkpoint, and in the end every wei has gone somewhere.

`make long-run` lives through 10,000; docs/testing.md shows what came of it.
"""

from dataclasses import replace

import pytest

from benchmarks.epochs import table
from tests.differential.long_run import run
from tests.differential.views import Disagreement

pytestmark = [pytest.mark.chain, pytest.mark.slow, pytest.mark.timeout(1_800)]


def test_five_hundred_epochs_conserve_every_wei() -> None:
    result = run(500, seed=2, checked_every=100)
    assert result.epochs >= 500
    happened = (result.void, result.frauds, result.plants, result.challenges, result.found)
    assert min(happened) > 0, "nothing went wrong, so nothing was tried"
    assert result.paid > 0 and result.rewards > 0
    assert f"{result.paid:,}" in table(result)


def test_a_wei_that_is_missing_is_told() -> None:
    result = run(20, seed=3, checked_every=10)
    with pytest.raises(Disagreement, match="off by -1 wei"):
        replace(result, paid=result.paid + 1).check()
    with pytest.raises(Disagreement, match="off by -1 wei"):
        replace(result, with_people=result.with_people - 1).check()
    with pytest.raises(Disagreement, match="off by 1 wei"):
        replace(result, deposited=result.deposited + 1).check()
