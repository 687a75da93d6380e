"""What is generated from the contracts, and what must agree with how they are compiled."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from assay_core.chain.abis import CONTRACTS, load_abi
from assay_protocol.devnet.anvil import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree in which forge has just compiled the contracts."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "abi.py").write_text((ROOT / "tools" / "abi.py").read_text())
    (tmp_path / "offchain" / "assay_core" / "chain" / "abi").mkdir(parents=True)
    for name in CONTRACTS:
        folder = tmp_path / ".build" / "forge" / f"{name}.sol"
        folder.mkdir(parents=True)
        (folder / f"{name}.json").write_text(json.dumps({"abi": list(load_abi(name)), "bytecode": {}}))
    return tmp_path


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "tools" / "abi.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_abis_are_written_once_and_then_up_to_date(tree: Path) -> None:
    assert run(tree, "--check").returncode == 1
    written = run(tree)
    assert written.returncode == 0 and written.stdout.count("wrote") == len(CONTRACTS)
    assert run(tree, "--check").returncode == 0 and run(tree).stdout == ""
    for name in CONTRACTS:
        kept = tree / "offchain" / "assay_core" / "chain" / "abi" / f"{name}.json"
        assert tuple(json.loads(kept.read_text())) == load_abi(name)


def test_a_changed_contract_fails_the_check(tree: Path) -> None:
    run(tree)
    built = tree / ".build" / "forge" / "Staking.sol" / "Staking.json"
    built.write_text(json.dumps({"abi": [{"type": "error", "name": "New", "inputs": []}]}))
    checked = run(tree, "--check")
    assert checked.returncode == 1 and "out of date: Staking; run `make abi`" in checked.stderr


def test_contracts_that_are_not_compiled_are_named(tree: Path) -> None:
    (tree / ".build" / "forge" / "Payouts.sol" / "Payouts.json").unlink()
    missing = run(tree)
    assert missing.returncode == 2 and "Payouts is not compiled" in missing.stderr


def test_ape_compiles_as_forge_does() -> None:
    """Else the gas that the tests measure is not the gas that users pay."""
    forge: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    ape = [line.strip() for line in (ROOT / "ape-config.yaml").read_text().splitlines()]
    assert f"evm_version: {forge['evm_version']}" in ape
    assert f"optimization_runs: {forge['optimizer_runs']}" in ape
    assert f"optimize: {str(forge['optimizer']).lower()}" in ape
    assert ("via_ir: true" in ape) == forge.get("via_ir", False)
