"""Commands as a user types them, in a home of their own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay_protocol.cli import main

Assay = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working directory, and no ASSAY_* settings."""
    for name in list(os.environ):
        if name.startswith("ASSAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def assay(home: Path) -> Assay:
    """Run `assay` with arguments (and `env`); the result has stdout, stderr and exit_code."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, list(arguments), env=env or {}, prog_name="assay")

    return run
