"""`python -m benchmarks.economics` as it is typed."""

import json
from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from tests.unit.economics.conftest import Economics, Played
from tests.unit.economics.terms import DOCUMENTED, PLANTING, PLAYED, changed, documented_tables

SHORT = ("--epochs", "200")
slow = pytest.mark.slow


@slow
def test_the_simulation_is_the_same_for_the_same_seed(played: Played) -> None:
    arguments = ("--json", *SHORT, "--seed", "5")
    first, again = (played(*arguments).stdout for _ in range(2))
    assert first == again
    facts = json.loads(first)
    assert {trial["chosen"] for trial in facts["slash_trials"] if trial["sampling_bps"] == 5_000} == {"honest"}
    assert [trial["lazy"] for trial in facts["lazy_trials"]] == [0, 1, 2, 3]
    assert facts["plant_trials"] == []  # checking is taken to cost nothing
    assert facts["collusion_trials"][0]["profits"][0] > 1


@slow
def test_the_simulation_is_told_beside_the_formula(played: Played) -> None:
    result = played(*SHORT)
    assert "simulation and formula are at most" in result.stdout
    assert "a rational trainer's choice: honest" in result.stdout


@slow
def test_the_other_tables_in_the_documentation_are_what_is_played(played: Played) -> None:
    printed = set(played(*DOCUMENTED).stdout.splitlines())
    tables = [table for table in documented_tables() if table[0].split()[0] in PLAYED]
    assert len(tables) == len(PLAYED)
    assert [line for table in tables for line in table if line not in printed] == []


@slow
def test_the_least_rate_of_plants_is_confirmed(played: Played) -> None:
    assert "check, 2 % above" in played(*SHORT, *PLANTING).stdout
    facts = json.loads(played("--json", *SHORT, *PLANTING).stdout)
    assert facts["assumed"]["fake_wei"] == str(2 * 10**16)
    assert len(facts["plant_trials"]) == 3
    assert all(abs(trial["deviation"]) < 0.02 for trial in facts["plant_trials"])


@slow
def test_the_picture_has_what_was_played_beside_the_formulas(
    economics: Economics, played: Played, tmp_path: Path
) -> None:
    said, tried = tmp_path / "said.svg", tmp_path / "tried.svg"
    economics("--plot", str(said))
    for _ in range(2):
        played(*SHORT, "--plot", str(tried))
    assert tried.read_text().startswith("<?xml")
    assert "as simulated" in tried.read_text() and "as simulated" not in said.read_text()


def test_a_picture_of_another_kind_stops_before_anything_is_played(played: Played) -> None:
    with pytest.raises(Stop, match=r"must be a \.svg or \.png file"):
        played("--plot", "e.pdf")


def test_terms_under_which_nothing_is_drawn_stop(played: Played, tmp_path: Path) -> None:
    with pytest.raises(Stop, match="there is nothing to simulate"):
        played(spec=changed(tmp_path, 'sampling = "0.5"', 'sampling = "0"'))
