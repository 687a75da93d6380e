"""`assay economics` as a user types it."""

import json
from pathlib import Path

import pytest

from assay_protocol.economics.assumptions import CLAIM_GAS, COMMIT_GAS
from tests.unit.economics.conftest import Economics
from tests.unit.economics.terms import DOCUMENTED, PLANTING, PLAYED, ROOT, changed, documented_tables


def test_the_tables_are_told_with_the_terms_marked(economics: Economics) -> None:
    result = economics()
    assert result.exit_code == 0
    assert "these terms" in result.stdout
    assert "a full epoch" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_costs_that_nobody_named_are_said_to_be_nothing(economics: Economics) -> None:
    assert "taken to cost nothing: submissions, reading, checks, gas" in economics().stdout
    named = economics("--submission-cost", "1", "--read-cost", "1", "--check-cost", "1", "--gas-price", "1").stdout
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


def test_the_formulas_tables_in_the_documentation_are_what_the_command_prints(economics: Economics) -> None:
    tables = documented_tables()
    runs = (economics(), economics(*DOCUMENTED), economics("--panel", spec=None))
    printed = {line for run in runs for line in run.stdout.splitlines()}
    assert len(tables) == 12
    assert tuple(table[0].split()[0] for table in tables if not printed.issuperset(table)) == PLAYED


@pytest.mark.parametrize("place", ["docs/economics.md", "Makefile"])
def test_the_costs_of_the_documentation_are_said(place: str) -> None:
    assert " ".join(DOCUMENTED) in (ROOT / place).read_text()


@pytest.mark.parametrize(("name", "start"), [("e.svg", b"<?xml"), ("e.png", b"\x89PNG")])
@pytest.mark.slow
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
        (("--submission-cost", "dear"), "--submission-cost: 'dear' is not an amount"),
        (("--gas-price", "-1"), "--gas-price: '-1' is not an amount"),
        (("--reporter-share", "2"), "--reporter-share: rate '2' must lie between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_named(economics: Economics, arguments: tuple[str, ...], complaint: str) -> None:
    result = economics(*arguments)
    assert result.exit_code == 1
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('unit_price = "0.01"', 'unit_price = "0"', "terms.unit_price is 0"),
        ("commit_window = 600", "commit_window = 0", "terms.commit_window is 0"),
        ('sampling = "0.5"', 'sampling = "0"', "cheating always pays"),
    ],
)
def test_terms_without_sense_are_named(
    economics: Economics, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    result = economics(spec=changed(tmp_path, old, new))
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


def test_the_least_rate_of_plants_is_told(economics: Economics) -> None:
    assert "least share of submissions" in economics(*PLANTING).stdout
    facts = json.loads(economics("--json", *PLANTING).stdout)
    assert facts["outlook"]["plants"]["rate"] == pytest.approx(0.012 / (12.5 - 0.5 / 24), rel=1e-6)


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
