"""`assay economics` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay_protocol.cli import main
from assay_protocol.economics.assumptions import CLAIM_GAS, COMMIT_GAS
from tests.unit.economics.terms import SORTING

Economics = Callable[..., Result]


@pytest.fixture
def economics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Economics:
    """Run it on the sorting example, in an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, spec: Path | None = SORTING) -> Result:
        files = [] if spec is None else [str(spec)]
        return CliRunner().invoke(main, ["economics", *files, *arguments], prog_name="assay")

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
    assert "a full epoch" in result.stdout
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
    assert int(row["honest_earns_wei"]) == 64 * 10**16 - (COMMIT_GAS + CLAIM_GAS) * 2 * 10**9 * 3_000


def test_the_simulation_is_the_same_for_the_same_seed(economics: Economics) -> None:
    arguments = ("--json", "--simulate", "--epochs", "200", "--seed", "5")
    first, again = (economics(*arguments).stdout for _ in range(2))
    assert first == again
    facts = json.loads(first)
    assert {trial["chosen"] for trial in facts["slash_trials"] if trial["sampling_bps"] == 5_000} == {"honest"}
    assert [trial["lazy"] for trial in facts["lazy_trials"]] == [0, 1, 2, 3]
    assert facts["plant_trials"] == []  # checking is taken to cost nothing
    assert facts["collusion_trials"][0]["profits"][0] > 1


def test_the_tables_in_the_documentation_are_what_the_command_prints(economics: Economics) -> None:
    page = (SORTING.parents[1] / "docs" / "economics.md").read_text()
    blocks = [block.split("```")[0].strip("\n").splitlines() for block in page.split("\n```\n")[1::2]]
    tables = [block for block in blocks if not block[0].startswith("assay ")]
    named = {"read-cost": "0.002", "check-cost": "0.01", "plant-cost": "0.01"}
    named |= {"gas-price": "0.05", "coin-price": "1000"}
    costs = [word for name, value in named.items() for word in (f"--{name}", value)]
    assert " ".join(costs) in page
    runs = (economics(), economics("--simulate", *costs), economics("--panel", spec=None))
    printed = {line for run in runs for line in run.stdout.splitlines()}
    assert len(tables) == 12
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


def test_an_electorate_that_is_too_light_for_a_full_epoch_is_told(economics: Economics, tmp_path: Path) -> None:
    spec = changed(tmp_path, 'verifier_bond = "25"', 'verifier_bond = "20"')
    result = economics(spec=spec)
    assert result.exit_code == 0  # the contracts would not refuse the terms, only the epochs
    assert "WARNING: 3 verifiers with 20 each would not do for a full epoch" in result.stdout
    assert "Raise terms.verifier_bond to 22.813" in result.stdout
    for remedy in (("--weight", "22.9"), ("--verifiers", "4")):
        assert "WARNING" not in economics(*remedy, spec=spec).stdout
    assert "WARNING" not in economics().stdout


def test_the_least_rate_of_plants_is_told_and_confirmed(economics: Economics) -> None:
    costs = ("--read-cost", "0.002", "--check-cost", "0.01", "--plant-cost", "0.02")
    result = economics("--simulate", "--epochs", "200", *costs)
    assert "least share of works" in result.stdout and "check, 2 % above" in result.stdout
    facts = json.loads(economics("--json", "--simulate", "--epochs", "200", *costs).stdout)
    assert facts["outlook"]["plants"]["rate"] == pytest.approx(0.012 / (12.5 - 0.5 / 24), rel=1e-6)
    assert all(abs(trial["deviation"]) < 0.02 for trial in facts["plant_trials"])


def test_terms_under_which_no_plants_suffice_are_told(economics: Economics) -> None:
    assert "NONE suffice" in economics("--check-cost", "13").stdout


def test_panels_need_no_task_file(economics: Economics) -> None:
    result = economics("--panel", spec=None)
    assert result.exit_code == 0
    assert "10 of 15" in result.stdout and "6 of 15" in result.stdout and "6.11 %" in result.stdout
    small = json.loads(economics("--panel", "--pool", "10", "--json", spec=None).stdout)
    assert {row["size"] for row in small["panels"]} == {3, 5, 7, 9}
    assert "name a task file" in economics(spec=None).stderr


def test_kinds_are_told_where_a_replay_may_miss(economics: Economics, tmp_path: Path) -> None:
    spec = changed(tmp_path, 'fraud_slash = "5" ', 'detection = "0.5"\nfraud_slash = "5" ')
    assert "found if drawn" in economics(spec=spec).stdout
    assert "found if drawn" not in economics().stdout
