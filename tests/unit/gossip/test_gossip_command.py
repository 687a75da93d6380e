"""`python -m benchmarks.gossip` as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from assay_core.protocol.errors import Stop
from benchmarks.gossip.__main__ import main

SMALL = """
[network]
nodes = [8]
topologies = ["ring"]
[exchange]
message_bytes = 1_000
[measure]
error_at_s = 20
"""


def test_a_topology_is_told_by_its_edges_and_its_gap() -> None:
    told = CliRunner().invoke(main, ["topology", "ring", "--nodes", "16"]).stdout
    assert told.splitlines()[0].split() == ["edges", "16"]
    assert "0.05075" in told


def test_a_topology_that_cannot_be_made_stops() -> None:
    arguments = ["topology", "expander", "--nodes", "9", "--degree", "3"]
    with pytest.raises(Stop, match="half an edge"):
        CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_scenario_is_simulated_as_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    arguments = ["simulate", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.stdout.count("\n| ring | 8 |") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gossip.json", "gossip.md", "gossip.svg"]
