"""Whole networks, verifiers included, over a swarm and over a bucket: the demo's course with a quarter of its task."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from assay_core.transport.choose import EngineName
from assay_protocol.devnet.demo import run
from assay_protocol.devnet.demo.outcome import DemoOutcome
from assay_protocol.devnet.demo.run import Demo, DemoPlan
from assay_protocol.devnet.folder import fresh
from assay_protocol.devnet.processes import Children
from tests.unit.transport.conftest import credentials

__all__ = ["credentials"]  # a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_200)]
SMALLER = (
    ("groups = 64", "groups = 16"),
    ("inner_steps = 16", "inner_steps = 4"),
    ("step = 16", "step = 8"),
)


@pytest.fixture
def plan(tmp_path: Path) -> DemoPlan:
    """Whether the policy learns is not asked: what moves the bytes is tried."""
    text = Path(run.__file__).with_name("sorting.toml").read_text()
    for whole, part in SMALLER:
        assert whole in text
        text = text.replace(whole, part)
    task = tmp_path / "task.toml"
    task.write_text(text)
    return DemoPlan(
        task,
        tmp_path / "net",
        rise=-1,
        min_rise=-1,
        train_seconds=600,
        settle_seconds=300,
        prompts=16,
        verifiers=2,
        honest=2,
        versions_before_death=2,
    )


def play(plan: DemoPlan, engine: EngineName) -> DemoOutcome:
    with fresh(plan.out, "--out"), Children(plan.out / "logs") as children:
        return Demo(replace(plan, engine=engine), children, Console(stderr=True)).run()


def assert_everybody_did_their_part(outcome: DemoOutcome, out: Path) -> None:
    assert outcome.failures() == []
    assert len(outcome.policy_roots) > 2
    assert all(len(signed) == outcome.verifiers for signed in outcome.derived_roots)
    honest = [each for each in outcome.trainers if each.honest]
    assert len(honest) == 2 and all(each.accepted == each.submissions > 0 for each in honest)
    assert not (out / "relay-1").exists(), "a relay was used"


def test_a_whole_network_works_over_a_swarm_and_does_not_miss_a_dead_tracker(plan: DemoPlan) -> None:
    pytest.importorskip("libtorrent")
    outcome = play(plan, "swarm")
    assert_everybody_did_their_part(outcome, plan.out)
    [death] = outcome.aftermath
    assert (death.name, death.exit_code) == ("tracker-2", -9)
    assert death.policies > 0 and death.accepted == death.submissions > 0


def test_a_whole_network_works_over_a_bucket(plan: DemoPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("obstore")
    monkeypatch.delenv("ASSAY_S3_BUCKET", raising=False)
    assert_everybody_did_their_part(play(plan, "s3"), plan.out)
