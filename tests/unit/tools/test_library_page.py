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
    assert all(getattr(assay_protocol, name).__doc__ for name in assay_protocol.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        assay_protocol.nothing  # pyright: ignore[reportAttributeAccessIssue] # noqa: B018


def test_the_offline_examples_run(tmp_path: Path) -> None:
    run(examples("python"), tmp_path, SECONDS)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import assay_protocol as a, sys; a.load_task_file; print([m for m in ('torch', 'web3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
