"""The simulator: peers' own code over computed links. Small scenarios whose outcome is known beforehand."""

from pathlib import Path
from typing import Any

import pytest

from assay_core.protocol.errors import Stop
from benchmarks.gossip.report import table, write_report
from benchmarks.gossip.scenario import Scenario, read_scenario, with_headers
from benchmarks.gossip.simulate import Outcome, simulate

FAST = {"uplink_mbit": 1e6, "downlink_mbit": 1e6, "latency_s": 0.0}


def scenario(
    network: dict[str, Any] | None = None,
    churn: dict[str, Any] | None = None,
    exchange: dict[str, Any] | None = None,
    **measure: Any,
) -> Scenario:
    return Scenario.model_validate(
        {
            "network": {"nodes": [16], **FAST, **(network or {})},
            "churn": churn or {},
            "exchange": {"message_bytes": 1_000_000, "interval_s": 10, **(exchange or {})},
            "measure": {"error_at_s": 200, **measure},
        }
    )


def spread_s(outcome: Outcome) -> float:
    assert outcome.spread_s is not None
    return outcome.spread_s


def test_same_seed_same_outcome() -> None:
    assert simulate(scenario(), "expander", 16) == simulate(scenario(), "expander", 16)
    assert simulate(scenario(), "expander", 16) != simulate(scenario(), "expander", 16, repeat=1)


def test_update_crosses_one_edge_per_mix_at_most() -> None:
    outcome = simulate(scenario(max_s=2_000), "ring", 40)
    # 20 hops; waiting for the neighbour's next mix takes half an interval on average
    assert 20 * 10 * 0.4 < spread_s(outcome) < 20 * 10 * 1.2


def test_agreement_comes_faster_where_the_gap_is_larger() -> None:
    ring, expander = (simulate(scenario(), kind, 64) for kind in ("ring", "expander"))
    assert ring.error is not None and expander.error is not None
    assert expander.spectral_gap > 10 * ring.spectral_gap
    assert expander.error < ring.error / 10
    assert spread_s(expander) < spread_s(ring) / 3


def test_bytes_are_messages_with_their_headers() -> None:
    outcome = simulate(scenario(), "complete", 8)
    assert outcome.bytes_per_node * 8 == outcome.delivered * with_headers(1_000_000)
    assert with_headers(1_449) == 1_449 + 2 * 66


def test_slow_links_hold_updates_up() -> None:
    fast = simulate(scenario(), "expander", 32)
    slow = simulate(scenario({"uplink_mbit": 1.0, "downlink_mbit": 10.0}), "expander", 32)  # 8 s per message
    assert spread_s(slow) > 2 * spread_s(fast)


def test_a_busy_downlink_takes_one_message_after_the_other() -> None:
    shared = simulate(scenario({"downlink_mbit": 1.0}), "complete", 12)
    assert spread_s(shared) > 2 * spread_s(simulate(scenario(), "complete", 12))


def test_lost_messages_cost_bytes_and_time_but_not_agreement() -> None:
    sound, lossy = simulate(scenario(), "expander", 32), simulate(scenario({"loss": 0.5}), "expander", 32)
    assert 0.4 < lossy.lost / (lossy.lost + lossy.delivered) < 0.6
    assert sound.lost == 0
    assert spread_s(lossy) > spread_s(sound)
    assert lossy.error is not None and lossy.error < 0.1


def test_those_present_agree_although_others_come_and_go() -> None:
    outcome = simulate(scenario(churn={"mean_up_s": 100, "mean_down_s": 50}, spread_share=0.9), "expander", 64)
    assert 0.2 < outcome.absent_share < 0.45
    assert outcome.error is not None and outcome.error < 0.5


def test_peers_that_come_back_empty_take_over_what_others_have() -> None:
    churn = {"mean_up_s": 150, "mean_down_s": 20, "forgets": True}
    outcome = simulate(scenario(churn=churn, spread_share=0.8), "expander", 32)
    assert outcome.error is not None and outcome.error < 0.5


def test_what_was_not_reached_is_told_as_such() -> None:
    outcome = simulate(scenario(max_messages=50), "ring", 64)
    assert (outcome.spread_s, outcome.target_s, outcome.error) == (None, None, None)
    assert outcome.delivered == 50


def test_fanout_saves_bytes() -> None:
    every, one = simulate(scenario(), "expander", 32), simulate(scenario(exchange={"fanout": 1}), "expander", 32)
    assert one.bytes_per_node == pytest.approx(every.bytes_per_node / 4, rel=0.1)


def test_report_has_table_numbers_and_plot(tmp_path: Path) -> None:
    settings = scenario()
    outcomes = [simulate(settings, "ring", 8), simulate(scenario(max_messages=5), "expander", 8)]
    lines = table(outcomes, settings)
    assert len(lines) == 4 and "ring" in lines[2] and "—" in lines[3]
    data, text, plot = write_report(tmp_path, settings, outcomes)
    assert '"spectral_gap"' in data.read_text()
    assert text.read_text().splitlines() == lines
    assert plot.read_text().startswith("<?xml")


def test_example_is_a_scenario() -> None:
    example = read_scenario(Path("benchmarks/gossip/simulate.toml"))
    assert example.network.topologies == (
        "ring",
        "expander",
        "small-world",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[network]\nnodes = [1]\n", "network.nodes.0"),
        ("[network]\nnodes = [10]\nspeed = 1\n", "network.speed"),
        ("[network]\nnodes = [10]\nloss = 1.0\n", "network.loss"),
        ("[network\n", "is not TOML"),
        ("", "network"),
    ],
)
def test_impossible_scenario_stops(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(Stop, match=why):
        read_scenario(path)


def test_missing_scenario_stops(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="cannot read"):
        read_scenario(tmp_path / "none.toml")
