"""`assay economics` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from offchain.cli import main
from tests.unit.economics.terms import SORTING

Economics = Callable[..., Result]


@pytest.fixture
def economics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Economics:
    """Run it on the sorting example, in an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, spec: Path = SORTING) -> Result:
        return CliRunner().invoke(main, ["economics", str(spec), *arguments], prog_name="assay")

    return run


def changed(folder: Path, old: str, new: str) -> Path:
    text = SORTING.read_text()
    assert old in text
    path = folder / "task.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_tables_are_told_with_the_terms_marked(economics: Economics) -> None:
    result = economics()
    assert result.exit_code == 0
    assert "these terms" in result.stdout
    assert "trainer_bond needed" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_costs_that_nobody_named_are_said_to_be_nothing(economics: Economics) -> None:
    assert "taken to cost nothing: works, reading, checks, gas" in economics().stdout
    named = economics("--work-cost", "1", "--read-cost", "1", "--check-cost", "1", "--gas-price", "1").stdout
    assert "taken to cost nothing" not in named


def test_json_has_every_amount_exactly(economics: Economics) -> None:
    facts = json.loads(economics("--json", "--check-cost", "0.01").stdout)
    rates = {row["sampling_bps"]: row for row in facts["outlook"]["rates"]}
    assert rates[5_000]["needed_slash_wei"] == facts["needed_slash_wei"] == str(768 * 10**15)
    assert rates[5_000]["checking_costs_wei"] == str(5 * 10**15)
    assert rates[10_000]["needed_slash_wei"] == "0"
    assert facts["assumed"]["check_wei"] == str(10**16)


def test_a_rounded_slash_is_never_less_than_what_is_needed(economics: Economics, tmp_path: Path) -> None:
    spec = changed(tmp_path, 'sampling = "0.5"', 'sampling = "0.3333"')
    facts = json.loads(economics("--json", spec=spec).stdout)
    assert facts["needed_slash_wei"] == "1536230423042304231"
    assert "1.5363" in economics(spec=spec).stdout


def test_gas_is_paid_in_a_coin_that_is_worth_so_many_tokens(economics: Economics) -> None:
    facts = json.loads(economics("--json", "--gas-price", "2", "--coin-price", "3000").stdout)
    row = next(row for row in facts["outlook"]["rates"] if row["sampling_bps"] == 5_000)
    assert int(row["honest_earns_wei"]) == 64 * 10**16 - 155_000 * 2 * 10**9 * 3_000


def test_the_simulation_is_the_same_for_the_same_seed(economics: Economics) -> None:
    arguments = ("--json", "--simulate", "--epochs", "200", "--seed", "5")
    first, again = (economics(*arguments).stdout for _ in range(2))
    assert first == again
    facts = json.loads(first)
    assert {trial["chosen"] for trial in facts["slash_trials"] if trial["sampling_bps"] == 5_000} == {"honest"}
    assert [trial["lazy"] for trial in facts["lazy_trials"]] == [0, 1, 2, 3]


def test_the_tables_in_the_documentation_are_what_the_command_prints(economics: Economics) -> None:
    page = (SORTING.parents[1] / "docs" / "economics.md").read_text()
    blocks = [block.split("```")[0].strip("\n").splitlines() for block in page.split("\n```\n")[1::2]]
    tables = [block for block in blocks if not block[0].startswith("assay ")]
    costs = ("--read-cost", "0.002", "--check-cost", "0.01", "--gas-price", "0.05", "--coin-price", "1000")
    assert " ".join(costs) in page
    printed = {*economics("--simulate").stdout.splitlines(), *economics(*costs).stdout.splitlines()}
    assert len(tables) == 4
    assert [line for table in tables for line in table if line not in printed] == []


def test_the_simulation_is_told_beside_the_formula(economics: Economics) -> None:
    result = economics("--simulate", "--epochs", "200")
    assert "simulation and formula are at most" in result.stdout
    assert "a rational trainer's choice: honest" in result.stdout


@pytest.mark.parametrize(("name", "start"), [("e.svg", b"<?xml"), ("e.png", b"\x89PNG")])
def test_a_picture_is_drawn(economics: Economics, tmp_path: Path, name: str, start: bytes) -> None:
    pictures: list[bytes] = []
    for place in ("first", "again"):
        (tmp_path / place).mkdir()
        path = tmp_path / place / name
        assert economics("--plot", str(path)).exit_code == 0
        pictures.append(path.read_bytes())
    assert pictures[0].startswith(start)
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--plot", "e.pdf"), "must be a .svg or .png file"),
        (("--plot", "nowhere/e.svg"), "nowhere/e.svg"),
        (("--work-cost", "dear"), "--work-cost: 'dear' is not an amount"),
        (("--gas-price", "-1"), "--gas-price: '-1' is not an amount"),
        (("--reporter-share", "2"), "--reporter-share: rate '2' must lie between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_named(economics: Economics, arguments: tuple[str, ...], complaint: str) -> None:
    result = economics(*arguments)
    assert result.exit_code == 1
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "arguments", "complaint"),
    [
        ('unit_price = "0.01"', 'unit_price = "0"', (), "terms.unit_price is 0"),
        ("commit_window = 600", "commit_window = 0", (), "terms.commit_window is 0"),
        ('sampling = "0.5"', 'sampling = "0"', ("--simulate",), "there is nothing to simulate"),
        ('sampling = "0.5"', 'sampling = "0"', (), "cheating always pays"),
    ],
)
def test_terms_without_sense_are_named(
    economics: Economics, tmp_path: Path, old: str, new: str, arguments: tuple[str, ...], complaint: str
) -> None:
    result = economics(*arguments, spec=changed(tmp_path, old, new))
    assert result.exit_code == 1
    assert complaint in result.stderr


def test_works_in_flight_that_share_too_small_a_bond_are_told(economics: Economics, tmp_path: Path) -> None:
    spec = changed(tmp_path, 'fraud_slash = "5" ', 'fraud_slash = "1" ')
    spec.write_text(spec.read_text().replace('trainer_bond = "10"', 'trainer_bond = "1"'))
    result = economics(spec=spec)
    assert result.exit_code == 0  # the contracts would not refuse them
    assert "NO" in next(line for line in result.stdout.splitlines() if line.strip().startswith("4 "))
    assert "raise terms.trainer_bond to" in result.stdout
