"""The two commands on the sorting example, in an empty home: what the formulas say, and what is played out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay_protocol.cli import main
from benchmarks.economics.__main__ import main as play
from tests.unit.economics.terms import SORTING

Economics = Callable[..., Result]
Played = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def economics(home: None) -> Economics:
    """`assay economics`"""

    def run(*arguments: str, spec: Path | None = SORTING) -> Result:
        files = [] if spec is None else [str(spec)]
        return CliRunner().invoke(main, ["economics", *files, *arguments], prog_name="assay")

    return run


@pytest.fixture
def played(home: None) -> Played:
    """`python -m benchmarks.economics`. Raises what it raises."""

    def run(*arguments: str, spec: Path = SORTING) -> Result:
        return CliRunner().invoke(play, [str(spec), *arguments], catch_exceptions=False)

    return run
