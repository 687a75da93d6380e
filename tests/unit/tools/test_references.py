"""What docstrings and comments of the product name is there.

Decided, in Python and Solidity alike:

- files, by the end of their path (`rules.py`, `relay/server.py`), and folders, from the root's on
- `Contract.member`: the contract's file or its interface's has the member
- a dotted name in backticks: its parts occur in the product's code, or in strings of it; what only other people's
  software has stands without backticks
- commands of `assay` in backticks
- numbers of decisions and of known limits

Not decided: prose, files that a program writes, and code in backticks that is more than a name.
"""

import ast
import io
import re
import tokenize
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from assay_protocol.cli import main
from tests.unit.tools.tree import ROOT, tracked

PRODUCT = tuple(name for name in tracked() if re.match(r"(contracts|offchain|trainer|verifier)/.*\.(py|sol)$", name))
COMMENT = re.compile(r'"[^"\n]*"|//[^\n]*|/\*.*?\*/', re.DOTALL)  # of Solidity, or a string
URL = re.compile(r"https?://\S+")
FILE = re.compile(r"(?<![\w/.*{-])(?:[\w-]+/)*[\w-]+\.(?:py|sol|md)\b")
FOLDER = re.compile(
    r"(?<![\w/.-])(?:contracts|offchain|trainer|verifier|tests|specs|benchmarks|tools|examples|scripts|docs)"
    r"(?:/[\w-]+)+(?![\w/-]|\.\w)"
)
BACKTICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?")
MEMBER = re.compile(r"\b([A-Z]\w*)\.([A-Za-z]\w*)\b")
NUMBERED = re.compile(r"\b([Dd]ecision|[Ll]imit)s? (\d{1,4})(?:(?: to | and |, )(\d{1,4}))*\b|docs/decisions/(\d{4})")


class Source(NamedTuple):
    """`told`: docstrings and comments; `words`: those of the code, its strings included."""

    told: str
    words: frozenset[str]


def python(text: str) -> Source:
    told: list[str] = []
    docstrings: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(ast.Constant(str(value))):
                told.append(value)
                docstrings.add((node.lineno, node.col_offset))
            case _:
                pass
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    told += [each.string for each in tokens if each.type == tokenize.COMMENT]
    code = [each.string for each in tokens if each.type != tokenize.COMMENT and each.start not in docstrings]
    return Source("\n".join(told), frozenset(re.findall(r"\w+", " ".join(code))))


def solidity(text: str) -> Source:
    told = "\n".join(found[0] for found in COMMENT.finditer(text) if found[0].startswith("/"))
    code = COMMENT.sub(lambda found: " " if found[0].startswith("/") else found[0], text)
    return Source(told, frozenset(re.findall(r"\w+", code)))


@cache
def sources() -> dict[str, Source]:
    read = {".py": python, ".sol": solidity}
    return {name: read[Path(name).suffix]((ROOT / name).read_text()) for name in PRODUCT}


@cache
def words() -> frozenset[str]:
    return frozenset().union(*(each.words for each in sources().values()))


@cache
def places() -> frozenset[str]:
    """Ends of all paths, and whole paths of folders."""
    ends = {"/".join(Path(name).parts[first:]) for name in tracked() for first in range(len(Path(name).parts))}
    return frozenset(ends | {str(parent) for name in tracked() for parent in Path(name).parents})


@cache
def members() -> dict[str, frozenset[str]]:
    """Words of the files of each contract and of its interface."""
    files = {Path(name).stem: source.words for name, source in sources().items() if name.endswith(".sol")}
    return {name: found | files.get(f"I{name}", frozenset()) for name, found in files.items()}


@cache
def numbers() -> dict[str, frozenset[int]]:
    decisions = (ROOT / "docs" / "decisions").glob("[0-9]*.md")
    limits = re.findall(r"^(\d+)\. ", (ROOT / "docs" / "known-limits.md").read_text(), re.MULTILINE)
    return {
        "decision": frozenset(int(each.name[:4]) for each in decisions),
        "limit": frozenset(int(each) for each in limits),
    }


def is_command(line: str) -> bool:
    """Of a line that begins with `assay`, the words before the first option or value name a command, which takes what
    follows if it is no group. Any other line will do.
    """
    if not line.startswith("assay "):
        return True
    here: click.Command = main
    for word in takewhile(lambda word: re.fullmatch("[a-z][a-z-]*", word), line.split()[1:]):
        if not isinstance(here, click.Group):
            return True
        if (found := here.get_command(click.Context(here), word)) is None:
            return False
        here = found
    return True


def is_name(quoted: str) -> bool:
    """Whether the parts of a dotted name occur in code. Anything else will do."""
    if FILE.fullmatch(quoted) or not NAME.fullmatch(quoted):
        return True
    return set(quoted.removesuffix("()").split(".")) <= words()


def lost(told: str) -> list[str]:
    """What is named in a text and is not there."""
    told = URL.sub(" ", told)
    found = [name for name in (*FILE.findall(told), *FOLDER.findall(told)) if name not in places()]
    pairs = MEMBER.findall(FILE.sub(" ", told))
    found += [f"{one}.{other}" for one, other in pairs if other not in members().get(one, {other})]
    found += [quoted for quoted in BACKTICKS.findall(told) if not (is_command(quoted) and is_name(quoted))]
    for reference in NUMBERED.finditer(told):
        kind = (reference[1] or "decision").lower()
        found += [reference[0] for each in re.findall(r"\d+", reference[0]) if int(each) not in numbers()[kind]]
    return found


@pytest.mark.parametrize("room", sorted({"/".join(Path(name).parts[:3][:-1]) for name in PRODUCT}))
def test_what_docstrings_and_comments_name_is_there(room: str) -> None:
    assert not {
        name: found
        for name, source in sources().items()
        if "/".join(Path(name).parts[:3][:-1]) == room and (found := lost(source.told))
    }


@pytest.mark.parametrize(
    "told",
    [
        "see `relay/no_such.py`",
        "as docs/no-such-page.md says",
        "below offchain/no_such_room",
        "`Attestations.noSuchCall`",
        "takes a `no_such_name_anywhere`",
        "`assay task paint 1`",
        "limit 999",
        "see limits 1 to 999",
        "decision 9999",
        "docs/decisions/9999",
    ],
)
def test_what_is_not_there_is_found(told: str) -> None:
    assert len(lost(told)) >= 1


def test_what_is_there_is_let_pass() -> None:
    told = "`relay/server.py`, docs/protocol.md, offchain/assay_core/chain, Payouts.claim, `TaskLedger.epochs`, "
    assert not lost(told + "`assay rewards claim --role verifier`, limits 1 to 3, decision 18, https://a.b/c/none.py")
