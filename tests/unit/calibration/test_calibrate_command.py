"""`assay calibrate` from end to end, on a policy that takes no time."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay_core.protocol.spec import TaskSpec
from assay_protocol.cli import main

SORTING = Path(__file__).parents[3] / "examples" / "sorting.toml"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run wrote, with its output beside it."""
    folder = tmp_path_factory.mktemp("calibrate")
    text = SORTING.read_text()
    for old, new in (
        ("args = { digits = 4 }", "args = { digits = 4, partial = true }"),
        ("inner_steps = 16", "inner_steps = 2"),
        ("width = 96", "width = 32"),
        ("steps = 32, batch = 128", "steps = 4, batch = 32"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "task.toml").write_text(text)
    arguments = [
        "calibrate",
        str(folder / "task.toml"),
        "--submissions",
        "4",
        "--groups",
        "2",
        "--json",
        "--out",
        str(folder),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (folder / "stdout.json").write_text(result.stdout)
    return folder


@pytest.mark.slow
def test_both_regimes_are_derived_from_submissions_that_were_made(found: Path) -> None:
    data = json.loads((found / "stdout.json").read_text())
    assert set(data["regimes"]) == {"float32", "mixed"}
    for regime in data["regimes"].values():
        for row in regime["thresholds"]:
            assert row["honest_submissions"] >= 1  # an update of zeros has no length to compare
            assert row["cheats"]
        assert regime["caught"][0]["failed"] == 0  # honest submissions under their own thresholds


@pytest.mark.slow
def test_float32_tells_int8_and_a_skipped_step(found: Path) -> None:
    caught = json.loads((found / "stdout.json").read_text())["regimes"]["float32"]["caught"]
    failed = {each["kind"]: each["failed"] for each in caught}
    submissions = {each["kind"]: each["submissions"] for each in caught}
    for kind in ("int8 weights", "4-bit weights", "one inner step skipped", "a poison direction, a tenth as long"):
        assert failed[kind] == submissions[kind] > 0


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["float32", "mixed"])
def test_printed_tables_can_be_pasted_into_a_task(found: Path, regime: str) -> None:
    tables = tomllib.loads((found / f"{regime}.toml").read_text())["task"]
    spec = TaskSpec.model_validate({"title": "t", "environment": {"name": "sorting"}, **tables})
    assert spec != TaskSpec.model_validate({"title": "t", "environment": {"name": "sorting"}})


@pytest.mark.slow
def test_picture_is_drawn(found: Path) -> None:
    assert (found / "calibration.svg").read_text().startswith("<?xml")


def test_a_file_that_is_no_task_is_told(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text("budget = 1")
    result = CliRunner().invoke(main, ["calibrate", str(path)])
    assert result.exit_code == 1
    assert "the table [task] is missing" in result.stderr
