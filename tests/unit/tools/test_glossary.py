"""The glossary: what it names is there, and the words that it replaces are nowhere."""

import re
from functools import cache

import pytest

from tests.unit.tools.tree import ROOT, tracked

GLOSSARY = ROOT / "docs" / "glossary.md"
SKIPPED = re.compile(r"(^LICENSE|\.lock|package-lock\.json|\.svg|\.png|docs/glossary\.md|CHANGELOG\.md)$")
SEGMENT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    section = GLOSSARY.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def sources() -> dict[str, str]:
    kept = [name for name in tracked() if not SKIPPED.search(name)]
    return {name: (ROOT / name).read_text(errors="ignore") for name in kept}


def defined_words() -> list[list[str]]:
    return [
        row for part in ("Who", "What is trained", "How it is judged", "Parts of the programs") for row in rows(part)
    ]


@pytest.mark.parametrize("row", defined_words(), ids=lambda row: row[0])
def test_every_word_is_in_the_code(row: list[str]) -> None:
    [name] = re.findall(r"`([^`]+)`", row[2])
    path, word = name.replace(".", "/"), name.split(".")[-1]
    code = {file: text for file, text in sources().items() if file.endswith((".py", ".sol"))}
    is_place = any(name in file or path in file for file in code)
    assert is_place or any(re.search(rf"\b{re.escape(word)}\b", text) for text in code.values()), name


def test_no_word_is_defined_twice() -> None:
    words = [word for row in defined_words() for word in row[0].split(", ")]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", [word for row in rows("Words that are not used") for word in row[0].split(", ")])
def test_no_word_is_used_that_another_stands_for(word: str) -> None:
    """In prose, and as a part of a name."""
    found = [
        f"{name}:{number}"
        for name, text in sources().items()
        if word in (name + text).lower()
        for number, line in enumerate([name, *text.splitlines()])
        if any(part.lower() == word for part in SEGMENT.findall(line))
    ]
    assert not found
