"""All examples of docs/library.md, as one program: from a task file to earnings on a network of its own."""

from pathlib import Path

import pytest

from tests.unit.tools.page import examples, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


def test_the_whole_page_runs(tmp_path: Path) -> None:
    run(examples("python", "python network"), tmp_path, 360)
