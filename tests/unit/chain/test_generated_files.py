"""What is generated from the contracts, and what must agree with how they are compiled."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay_core.chain.abis import CONTRACTS, load_abi
from assay_core.chain.artifacts import Artifact, load_artifacts
from assay_core.protocol.errors import Stop
from tools.abi import KEPT, generated, update
from tools.compiling import ROOT

WITH_IMMUTABLE = Artifact("Toy", ({"type": "fallback"},), b"\1\2" + bytes(40) + b"\3", bytes(40), {"OWNER": (3, 5)})


def test_what_is_packaged_reads_back_as_it_was_written() -> None:
    artifacts = load_artifacts()
    assert tuple(artifacts) == CONTRACTS
    assert update(KEPT, generated(artifacts), check=True) == []
    for name, artifact in artifacts.items():
        assert artifact.abi == load_abi(name) and len(artifact.runtime) > 1_000
        for place in [each for places in artifact.immutables.values() for each in places]:
            assert artifact.runtime[place : place + 32] == bytes(32)


def test_files_are_written_once_and_then_up_to_date(tmp_path: Path) -> None:
    texts = generated({"Toy": WITH_IMMUTABLE})
    assert update(tmp_path, texts, check=True) == ["abi/Toy.json", "code/Toy.json"] and not list(tmp_path.iterdir())
    update(tmp_path, texts, check=False)
    assert update(tmp_path, texts, check=True) == []
    kept = json.loads((tmp_path / "code" / "Toy.json").read_text())
    assert kept["immutables"] == {"OWNER": [3, 5]} and kept["runtime"] == [2, 40]


@pytest.mark.parametrize(
    ("change", "file"),
    [
        pytest.param({"abi": ({"type": "receive"},)}, "abi/Toy.json", id="interface"),
        pytest.param({"creation": WITH_IMMUTABLE.creation + b"\4"}, "code/Toy.json", id="code"),
        pytest.param({"immutables": {"OWNER": (4,)}}, "code/Toy.json", id="immutables"),
    ],
)
def test_a_changed_contract_is_outdated(tmp_path: Path, change: dict[str, Any], file: str) -> None:
    update(tmp_path, generated({"Toy": WITH_IMMUTABLE}), check=False)
    assert update(tmp_path, generated({"Toy": replace(WITH_IMMUTABLE, **change)}), check=True) == [file]


def test_runtime_code_must_lie_in_the_creation_code() -> None:
    with pytest.raises(Stop, match="creation code of Toy does not hold its runtime code"):
        generated({"Toy": replace(WITH_IMMUTABLE, runtime=b"\7")})


def test_ape_compiles_as_forge_does() -> None:
    """Else the gas that the tests measure is not the gas that users pay."""
    forge: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    ape = [line.strip() for line in (ROOT / "ape-config.yaml").read_text().splitlines()]
    assert f"evm_version: {forge['evm_version']}" in ape
    assert f"optimization_runs: {forge['optimizer_runs']}" in ape
    assert f"optimize: {str(forge['optimizer']).lower()}" in ape
    assert ("via_ir: true" in ape) == forge.get("via_ir", False)
