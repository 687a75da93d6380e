"""The pages: links lead somewhere, decisions have numbers without holes, code that is named is there."""

import re
from pathlib import Path

import pytest

from tests.unit.tools.tree import ROOT, tracked

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = [ROOT / "README.md", ROOT / "deployments" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(
    r"`((?:contracts|offchain|trainer|verifier|tests|specs|benchmarks|tools|examples|scripts)/[\w./-]+)`"
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def places() -> frozenset[str]:
    """Files and folders of the tree."""
    return frozenset({*tracked(), *(str(parent) for name in tracked() for parent in Path(name).parents)})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    lost: list[str] = []
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page.parts], ids=name_of)
def test_files_that_are_named_are_there(page: Path, places: frozenset[str]) -> None:
    """Decisions tell of what was; other pages of what is."""
    assert not [name for name in NAMED.findall(page.read_text()) if name.rstrip("/") not in places]


def test_decisions_have_numbers_without_holes_and_are_listed() -> None:
    assert [page.name[:4] for page in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]
    titles = {page.read_text().split("\n")[0] for page in DECISIONS}
    assert {int(title.removeprefix("# ").split(".")[0]) for title in titles} == set(range(1, len(DECISIONS) + 1))
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [page.name for page in DECISIONS if listed.count(f"]({page.name})") != 1] == []
