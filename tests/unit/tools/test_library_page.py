"""docs/library.md: its offline examples run, it documents what the library gives, and importing that costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import assay_protocol
from tests.unit.tools.page import ROOT, examples, run

SECONDS = 240


def test_the_page_documents_every_name_and_no_other() -> None:
    used = {name for code in examples("python", "python network") for name in re.findall(r"\bassay\.(\w+)", code)}
    assert used == set(assay_protocol.__all__)
    assert sorted(assay_protocol.__all__) == assay_protocol.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        assay_protocol.nothing  # pyright: ignore[reportAttributeAccessIssue] # noqa: B018


@pytest.mark.parametrize("name", assay_protocol.__all__)
def test_what_the_library_gives_has_docstrings_down_to_its_methods(name: str) -> None:
    """Ruff asks the same of every public function (D103)."""
    given = getattr(assay_protocol, name)
    parts = {name: given, **{f"{name}.{part}": getattr(given, part) for part in own_parts(given)}}
    assert [each for each, value in parts.items() if not value.__doc__] == []


def own_parts(given: object) -> list[str]:
    """Public methods and properties of a class of ours."""
    if not isinstance(given, type):
        return []
    ours = [vars(each) for each in given.__mro__ if each.__module__.startswith("assay_")]
    return [
        name
        for values in ours
        for name, value in values.items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    ]


@pytest.mark.slow  # trains, judges and simulates in a process of its own
def test_the_offline_examples_run(tmp_path: Path) -> None:
    run(examples("python"), tmp_path, SECONDS)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import assay_protocol as a, sys; a.load_task_file; print([m for m in ('torch', 'web3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
