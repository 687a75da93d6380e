"""Where a whole network fails, what its processes said last is part of the report."""

from collections.abc import Generator
from pathlib import Path

import pytest

LINES = 25  # of each log


def last_words(folder: Path) -> str:
    tails = []
    for log in sorted(folder.rglob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-LINES:]
        tails += [f"--- {log.relative_to(folder)}", *lines]
    return "\n".join(tails)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and isinstance(folder, Path):
        report.sections.append(("what the processes said last", last_words(folder)))
    return report
