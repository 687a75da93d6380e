"""`docs/protocol.md` says what the code does: parameters, defaults, calls, and what a seed of one's choice is worth."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from assay_core.protocol.economics import MARGIN_BPS
from assay_core.protocol.types import BPS, KindTerms, TaskParams
from assay_protocol import task_file as taskfile
from assay_protocol.task_file import Terms

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
RATES = {"quorum", "sampling", "absence_slash", "verdict_slash"}
SILENT = {  # what no default of the file's own says: see `TaskFile.params`
    "detection": "all, or k of H steps",
    "challenge_bond": f"`verifier_bond` / {taskfile.CHALLENGE_PART}",
    "juror_fee": f"`verifier_bond` / {taskfile.JUROR_PART}",
    "max_epoch_units": f"{taskfile.MAX_SUBMISSIONS_BY_DEFAULT} submissions",
    "max_submission_units": "one submission (`rollout.groups`)",
}


def _rows(first_cell: str) -> list[list[str]]:
    """Cells of the rows of the table whose head begins with `first_cell`."""
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.strip().startswith(f"| {first_cell} |"):
            next(lines)
            break
    else:
        raise AssertionError(f"no table that begins with {first_cell}")
    rows: list[list[str]] = []
    for line in lines:
        if not line.strip().startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def _number(cell: str) -> float:
    return float(cell.removesuffix("%").replace(",", ""))


PARAMETERS = {row[0]: row for row in _rows("on chain, in the file")}


def test_every_parameter_has_its_row() -> None:
    names = re.findall(r"`(\w+)`, `(\w+)`", "\n".join(PARAMETERS))
    assert {name for _, name in names} == set(Terms.model_fields)
    short = {name: f"{name}_bps" for name in (*RATES, "detection")} | {"submissions_each": "max_submissions_each"}
    on_chain_fields = {field.name for kind in (TaskParams, KindTerms) for field in fields(kind)} - {"kinds"}
    assert {short.get(name, name) for _, name in names} == on_chain_fields
    for on_chain, in_file in names:
        snake = re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), on_chain)
        assert snake == short.get(in_file, in_file)


@pytest.mark.parametrize("name", sorted(Terms.model_fields))
def test_documented_default_is_the_task_files(name: str) -> None:
    default = next(row[2] for first, row in PARAMETERS.items() if first.endswith(f"`{name}`"))
    field = Terms.model_fields[name]
    if field.is_required():
        assert default == "must be said"
    elif name in RATES:
        assert default == f"{field.default / 100:g} %"
    else:
        assert default == (SILENT[name] if field.default is None else str(field.default))


def test_every_call_in_the_table_exists() -> None:
    abis = {
        path.stem: json.loads(path.read_text())
        for path in (ROOT / "offchain" / "assay_core" / "chain" / "abi").glob("*.json")
    }
    functions = {
        contract: {entry["name"] for entry in abi if entry["type"] == "function"} for contract, abi in abis.items()
    }
    everywhere = {name for names in functions.values() for name in names}
    calls = [name for row in _rows("call") for name in re.findall(r"`([\w.]+)`", row[0])]
    assert len(calls) > 25
    for call in calls:
        contract, _, name = call.rpartition(".")
        assert name in (functions[contract] if contract else everywhere), call


def test_choosing_among_seeds_leaves_what_the_page_says() -> None:
    rows = _rows("p")
    assert len(rows) == 5
    for row in rows:
        p = _number(row[0]) / 100
        for k in range(1, 5):
            left = p**k
            assert _number(row[k]) == pytest.approx(100 * left, abs=0.0051)
            assert _number(row[4 + k]) == pytest.approx((1 - left) / left * MARGIN_BPS / BPS, abs=0.051)


def test_a_share_of_blocks_leaves_what_the_page_says() -> None:
    for row in _rows("s"):
        s = _number(row[0]) / 100
        for cell, p in zip(row[1:], (0.1, 0.2, 0.5, 0.8), strict=True):
            assert _number(cell) == pytest.approx(100 * (1 - s) * p / (1 - s * p), abs=0.0051)


def test_who_chooses_the_moment_leaves_what_the_page_says() -> None:
    """By counting: a proposer that owns the turn before the seed's block redraws as long as the turn is its own."""
    rows = _rows("chosen, s")
    assert len(rows) == 4
    for row in rows:
        s = _number(row[0]) / 100
        for cell, p in zip(row[1:], (0.1, 0.2, 0.5, 0.8), strict=True):
            turns = range(1, 200)
            left = sum((1 - s) * s ** (turn - 1) * p ** (turn + 1) for turn in turns)
            assert _number(cell) == pytest.approx(100 * left, abs=0.0051)


def test_every_contract_has_its_row_and_every_call_that_anybody_makes_is_in_the_table() -> None:
    parts = {name for row in _rows("contract") for name in re.findall(r"`(\w+)`", row[0])}
    assert parts == {path.stem for path in (ROOT / "contracts").glob("*.sol")}
    told = {name.rpartition(".")[2] for row in _rows("call") for name in re.findall(r"`([\w.]+)`", row[0])}
    assert told == _calls()


def _calls() -> set[str]:
    """Functions that change something, and that others than contracts of the deployment may call."""
    others = r"[Oo]nly (Commitments|TaskRegistry|Attestations|Appeals|Payouts|Plants|who may lock)"
    calls: set[str] = set()
    for path in (ROOT / "contracts" / "interfaces").glob("I*.sol"):
        for notes, name, rest in re.findall(r"((?:    ///[^\n]*\n)+)    function (\w+)\(([^;]*);", path.read_text()):
            notice = re.sub(r"\s+///\s+", " ", notes).split("@param")[0]
            if not re.search(r"\b(view|pure)\b", rest) and not re.search(others, notice):
                calls.add(name)
    return calls


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
