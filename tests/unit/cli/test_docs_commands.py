"""The commands that pages tell readers to type: each is there, with the options that it is shown with."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from assay_protocol.cli import main
from tests.unit.tools.tree import ROOT

PAGES = [ROOT / "README.md", ROOT / "deployments" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INLINE = re.compile(r"`(assay [a-z][^`]*)`")


def commands(page: Path) -> Iterator[str]:
    """What stands in code blocks, and between backticks."""
    text = page.read_text()
    for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S):
        yield from (line.split("  ")[0] for line in block.splitlines() if line.startswith("assay "))
    yield from (" ".join(found.split()) for found in INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.S)))


def unknown(line: str) -> list[str]:
    """What of a command line does not exist."""
    command: click.Command = main
    context = click.Context(main)
    words = shlex.split(line.split(" > ")[0])[1:]
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return [name]
        command = found
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    named = {word.split("=")[0] for word in words if word.startswith("--")}
    return sorted(named - options - {"--help"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    assert not {line: missing for line in commands(page) if (missing := unknown(line))}


def test_pages_for_readers_show_commands() -> None:
    shown = {page.name: len(list(commands(page))) for page in PAGES}
    assert all(shown[name] > 3 for name in ("trainers.md", "verifiers.md", "tasks.md", "operating.md"))


@pytest.mark.parametrize(
    "line, missing",
    [
        ("assay frobnicate", ["frobnicate"]),
        ("assay task begin x.toml", ["begin"]),
        ("assay trainer run --tusk 1", ["--tusk"]),
        ("assay trainer run --task 1 --keystore worker", []),
    ],
)
def test_a_command_that_is_not_there_is_found(line: str, missing: list[str]) -> None:
    assert unknown(line) == missing
