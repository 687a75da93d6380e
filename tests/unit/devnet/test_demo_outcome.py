"""The demo's verdict on itself: each promise, when broken, is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from assay_protocol.devnet.demo.outcome import (
    Aftermath,
    DemoOutcome,
    GasUse,
    GroupSubmission,
    Spread,
    Traffic,
    TrainerOutcome,
)
from assay_protocol.devnet.demo.picture import draw_rewards

HONEST = TrainerOutcome("trainer-1", True, submissions=3, accepted=3, owed_wei=30, claimed_wei=30, slashed_wei=0)
CHEAT = TrainerOutcome("cheater-1", False, submissions=1, accepted=0, owed_wei=0, claimed_wei=0, slashed_wei=100)
SENT = Traffic("trainer-1", parameters=1_000, submissions=3, inner_steps=48, update_bytes=1_524, submission_bytes=9_000)
GROUP = GroupSubmission("trainer-1", "assistant", inner_steps=48, shared=20)
DEATH = Aftermath("relay-2", at_s=61.0, exit_code=-9, policies=2, submissions=6, accepted=6)
KEPT = DemoOutcome(
    wall_seconds=100.04,
    engine="relay",
    epochs=3,
    rewards=(0.2, 0.4, 0.6),
    trainers=(HONEST, CHEAT),
    policy_roots=("aa", "bb", "cc"),
    derived_roots=({"verifier-1": "bb", "verifier-2": "bb"}, {"verifier-1": "cc", "verifier-2": "cc"}),
    verifiers=2,
    gas={"commitSubmission": GasUse(count=3, mean=60_000)},
    traffic=(SENT,),
    spread=Spread(versions=2, bundle_bytes=18_000, made_bytes=16_000, is_by_step=True),
    aftermath=(DEATH,),
    group=GROUP,
)


def test_a_run_that_keeps_every_promise_has_no_failures() -> None:
    assert KEPT.failures() == []


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param(replace(KEPT, rewards=(0.2, 0.49)), "rose by 0.290", id="no learning"),
        pytest.param(
            replace(KEPT, trainers=(replace(HONEST, slashed_wei=1), CHEAT)),
            "honest trainer-1 was slashed",
            id="honest slashed",
        ),
        pytest.param(
            replace(KEPT, trainers=(replace(HONEST, claimed_wei=29), CHEAT)),
            "claimed 29 wei and is owed 30",
            id="wrong claim",
        ),
        pytest.param(
            replace(KEPT, trainers=(replace(HONEST, accepted=0), CHEAT)),
            "had no submission accepted",
            id="nothing accepted",
        ),
        pytest.param(
            replace(KEPT, trainers=(replace(HONEST, accepted=2), CHEAT)),
            "only 2 of 3 submissions of honest trainer-1 were accepted",
            id="a submission that was not paid",
        ),
        pytest.param(
            replace(KEPT, aftermath=(Aftermath("relay-2", None, None, 0, 0, 0),)), "never was", id="nobody was killed"
        ),
        pytest.param(
            replace(KEPT, aftermath=(replace(DEATH, exit_code=0),)), "ended with exit code 0", id="ended in order"
        ),
        pytest.param(
            replace(KEPT, aftermath=(replace(DEATH, policies=0),)),
            "no policy version was published after relay-2",
            id="policies stopped",
        ),
        pytest.param(
            replace(KEPT, aftermath=(replace(DEATH, submissions=0, accepted=0),)),
            "0 of 0 submissions",
            id="submissions stopped",
        ),
        pytest.param(
            replace(KEPT, aftermath=(replace(DEATH, accepted=5),)),
            "5 of 6 submissions",
            id="a submission was lost with the relay",
        ),
        pytest.param(
            replace(KEPT, group=replace(GROUP, shared=0)), "shared none of its inner steps", id="no help from anybody"
        ),
        pytest.param(replace(KEPT, spread=Spread(2, 18_000, 0, True)), "fetched whole", id="policies sent whole"),
        pytest.param(replace(KEPT, traffic=()), "but 0 could be fetched", id="submissions that nobody finds"),
        pytest.param(
            replace(KEPT, traffic=(replace(SENT, update_bytes=12_000),)), "only 16 times smaller", id="not compressed"
        ),
        pytest.param(
            replace(KEPT, trainers=(HONEST, replace(CHEAT, slashed_wei=0))),
            "cheater-1 was not slashed",
            id="cheat kept its bond",
        ),
        pytest.param(
            replace(KEPT, trainers=(HONEST, replace(CHEAT, owed_wei=5))), "cheater-1 earned 5", id="cheat earned"
        ),
        pytest.param(replace(KEPT, policy_roots=("aa",), derived_roots=()), "no policy version", id="no policy"),
        pytest.param(
            replace(KEPT, derived_roots=({"verifier-1": "bb", "verifier-2": "xx"}, KEPT.derived_roots[1])),
            "not all verifiers derived policy version 1",
            id="another root",
        ),
        pytest.param(
            replace(KEPT, derived_roots=(KEPT.derived_roots[0], {"verifier-1": "cc"})),
            "not all verifiers derived policy version 2",
            id="a verifier that did not sign",
        ),
    ],
)
def test_each_broken_promise_is_named(broken: DemoOutcome, says: str) -> None:
    assert any(says in failure for failure in broken.failures())


def test_the_summary_has_the_promised_fields() -> None:
    summary = KEPT.summary()
    assert {"wall_seconds", "epochs", "reward_first", "reward_last", "trainers", "policy_roots", "gas"} <= set(summary)
    assert {"engine", "traffic", "policies", "killed"} <= set(summary)
    assert (summary["reward_first"], summary["reward_last"], summary["wall_seconds"]) == (0.2, 0.6, 100.0)


def test_traffic_is_told_beside_that_of_data_parallel_training() -> None:
    told = SENT.summary()
    assert told["data_parallel_bytes"] == 4 * 1_000 * 48
    assert told["update_bytes_per_inner_step"] == 32
    assert told["times_fewer"] == 126.0
    assert Traffic("idle", 1_000).summary()["times_fewer"] == 0.0


def test_the_reward_curve_becomes_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "reward.png"
    draw_rewards(picture, KEPT.rewards, [(1, "cheater-1"), (1, "cheater-2")], "sorting")
    assert picture.read_bytes().startswith(b"\x89PNG")
