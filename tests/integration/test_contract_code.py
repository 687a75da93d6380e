"""The code that is deployed: the same that forge tests, compiled once, and told when it cannot be."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from assay_core.chain.artifacts import load_artifacts
from assay_core.chain.creations import CONTRACTS
from assay_core.protocol.errors import Stop
from tools.compiling import ROOT, compile_contracts

pytestmark = pytest.mark.slow


def tree(folder: Path) -> Path:
    """A source tree like ours, whose contracts can be changed."""
    for name in ("contracts", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "foundry.toml", folder)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


def test_what_is_deployed_is_what_forge_tests_byte_for_byte(tmp_path: Path) -> None:
    root = tree(tmp_path)
    forge = next((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    built = subprocess.run(
        [str(forge), "build", "--skip", "test", "--root", str(root)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    compiled = compile_contracts(root)
    assert compiled.keys() == load_artifacts().keys()
    for name in CONTRACTS.values():
        artifact = json.loads((root / ".build" / "forge" / f"{name}.sol" / f"{name}.json").read_text())
        assert artifact["bytecode"]["object"] == "0x" + compiled[name].creation.hex()
        assert artifact["deployedBytecode"]["object"] == "0x" + compiled[name].runtime.hex()
        places = artifact["deployedBytecode"]["immutableReferences"].values()
        assert sorted(tuple(each["start"] for each in of_one) for of_one in places) == sorted(
            compiled[name].immutables.values()
        )
    kept = list((root / ".build" / "code").glob("*"))
    assert len(kept) == 1 and compile_contracts(root) == compiled and list((root / ".build" / "code").glob("*")) == kept

    source = root / "contracts" / "AssayToken.sol"
    source.write_text(source.read_text().replace('"ASSAY"', '"OTHER"'))
    assert compile_contracts(root)["AssayToken"].creation != compiled["AssayToken"].creation
    source.write_text(source.read_text() + "\n}")
    with pytest.raises(Stop, match=r"the contracts do not compile: .*ParserError"):
        compile_contracts(root)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"no contracts to compile .* name a source tree"):
        compile_contracts(tmp_path)
    root = tree(tmp_path / "tree")
    (root / "tools" / "solc").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Stop, match=r"the compiler did not run .* run `make setup`"):
        compile_contracts(root)
    (root / "node_modules").unlink()
    with pytest.raises(Stop, match=r"no solc at .* run `make setup`"):
        compile_contracts(root)
