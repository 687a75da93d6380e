"""Write the given/when/then tree of each file of contract tests beside it, from the tests themselves.

A test is named test_Subject_Condition_Outcome; what it expects to revert or to be emitted is read from its body. With
--check nothing is written: exit status 1 tells that a tree no longer says what the tests say.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "contracts"
CONTRACT = re.compile(r"^contract (\w+) is [\w, ]+\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"((?:    ///[^\n]*\n)*)    function (test\w+)\(.*?\n    \}\n", re.DOTALL)
WITHOUT = ("Gas.t.sol", "Money.invariants.t.sol")  # what these say is one sentence each
VERB = re.compile(r"(?!Submissions|Terms)[A-Z][a-z]+s(?=[A-Z])")
PREPOSITIONS = (
    "about",
    "after",
    "again",
    "before",
    "by",
    "for",
    "in",
    "once",
    "outside",
    "soon",
    "twice",
    "with",
    "without",
)


def main() -> int:
    stale = [path.name for path, tree in trees() if not path.exists() or path.read_text() != tree]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"tests/contracts/{name} is not what the tests say: run `make trees`", file=sys.stderr)
        return int(bool(stale))
    for path, tree in trees():
        path.write_text(tree)
    return 0


def trees() -> Iterator[tuple[Path, str]]:
    for source in sorted(FOLDER.glob("*.t.sol")):
        if source.name in WITHOUT:
            continue
        text = source.read_text()
        parts = [branch(name, body) for name, body in CONTRACT.findall(text) if "function test" in body]
        yield source.with_name(source.name.removesuffix(".t.sol") + ".tree"), "\n".join(parts)


def branch(contract: str, body: str) -> str:
    """A tree for each subject of one test contract."""
    subjects: dict[str, list[tuple[str, list[str]]]] = {}
    helpers = re.findall(r"    function (_[^(]+)\([^{]*\{[^}]*?\.encodeWithSelector\(I?\w+\.(\w+)\.selector", body)
    for match in TEST.finditer(body):
        subject, *rest = match[2].split("_")[1:]
        if len(rest) == 1 and VERB.match(rest[0]):
            rest = ["AllIsWell", *rest]
        called = " ".join(f"{error}.selector" for helper, error in helpers if f"{helper}(" in match[0])
        subjects.setdefault(subject, []).append(leaves(rest, match[1], match[0] + called))
    lines: list[str] = []
    for subject, tests in subjects.items():
        lines.append(f"{contract.removesuffix('Test')}::{subject[0].lower()}{subject[1:]}")
        for i, (condition, outcomes) in enumerate(tests):
            is_last = i == len(tests) - 1
            lines.append(f"{'└' if is_last else '├'}── {condition}")
            for k, outcome in enumerate(outcomes):
                end = "└" if k == len(outcomes) - 1 else "├"
                lines.append(f"{' ' if is_last else '│'}   {end}── {outcome}")
        lines.append("")
    return "\n".join(lines)


def leaves(rest: list[str], comment: str, test: str) -> tuple[str, list[str]]:
    """The condition under which a test runs, and what it expects then."""
    if len(rest) == 1 and rest[0] == "Reverts":
        rest = ["Always", "Reverts"]
    words = [spoken(part) for part in rest or ["AllIsWell"]]
    condition = re.sub("^of ", "about ", words[0])
    is_call = condition.split()[0] in PREPOSITIONS
    outcomes = [f"it {word}" for word in words[1:] if word != "reverts"]
    if comment:
        lines = [line.strip("/ ") for line in comment.strip().splitlines()]
        outcomes.append("so that: " + " ".join(line for line in lines if not line.startswith("forge-config:")))
    outcomes += [f"it emits {event}" for event in unique(re.findall(r"emit I?\w+\.(\w+)\(", test))]
    errors = unique(re.findall(r"(\w+)\.selector", test.replace("function ", "")))
    outcomes += [f"it reverts with {error}" for error in errors if error[0].isupper()]
    if not outcomes:
        outcomes = ["it reverts" if "reverts" in words else "it does what its assertions say: " + said(test)]
    return ("when called " if is_call else "given ") + condition, outcomes


def said(test: str) -> str:
    return ", ".join(unique(re.findall(r'vm\.assert.*?"([^"]+)"\)', test, re.DOTALL))) or "it succeeds"


def spoken(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()


def unique(found: list[str]) -> list[str]:
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    sys.exit(main())
