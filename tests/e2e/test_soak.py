"""Accidents in random order cost nobody anything; `make soak` does it for an hour."""

from pathlib import Path

import pytest

from tests.soak.run import soak

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]
SECONDS, SEED = 120, 5  # always the same: a tree has one verdict


def test_a_network_lives_through_accidents_and_accounts_for_every_wei(tmp_path: Path) -> None:
    outcome = soak(tmp_path / "net", SECONDS, SEED)
    assert outcome.failures == ()
    assert outcome.epochs > 1 and outcome.policies > 1
    assert sum(outcome.faults.values()) > 5
