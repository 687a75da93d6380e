"""The contracts' code, compiled from this tree's sources, for `tools/abi.py`.

One run of the compiler with the settings of foundry.toml, so the code is that which forge tests, byte for byte; with
`bytecode_hash = "none"` it depends on nothing but the sources. forge's own output will not do: its incremental builds
mix the ids of syntax trees, which tell immutables apart.
"""

import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay_core.chain.artifacts import Artifact
from assay_core.chain.creations import CONTRACTS
from assay_core.protocol.errors import Stop

ROOT = Path(__file__).resolve().parents[1]
COMPILE_TIMEOUT_S = 600.0
# Compiled code depends on these two packages besides the sources.
PACKAGES = ("solc", "@openzeppelin/contracts")


def compile_contracts(root: Path = ROOT) -> dict[str, Artifact]:
    """Compile, or take what was compiled from the very same sources before. Raises Stop: no compiler, or an error."""
    request = _request(root)
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    for package in PACKAGES:
        manifest = root / "node_modules" / package / "package.json"
        if not manifest.is_file():
            raise Stop(f"no {package} at {manifest.parent}: run `make setup` in the source tree")
        digest.update(manifest.read_bytes())
    kept = root / ".build" / "code" / f"{digest.hexdigest()}.json"
    if not kept.is_file():
        _keep(kept, _select(_compile(root, request)))
    return {name: _artifact(name, entry) for name, entry in json.loads(kept.read_text()).items()}


def _request(root: Path) -> dict[str, Any]:
    """Standard JSON input: all sources of ours; those of packages are read by the compiler."""
    try:
        settings = tomllib.loads((root / "foundry.toml").read_text())["profile"]["default"]
        sources = {
            str(path.relative_to(root)): path.read_text() for path in sorted((root / "contracts").rglob("*.sol"))
        }
    except (OSError, KeyError) as error:
        raise Stop(f"no contracts to compile under {root}: name a source tree ({error})") from error
    outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]
    ours = {f"contracts/{name}.sol": {"*": outputs} for name in CONTRACTS.values()}
    return {
        "language": "Solidity",
        "sources": {name: {"content": content} for name, content in sources.items()},
        "settings": {
            "remappings": settings["remappings"],
            "evmVersion": settings["evm_version"],
            "optimizer": {"enabled": settings["optimizer"], "runs": settings["optimizer_runs"]},
            "metadata": {"bytecodeHash": settings["bytecode_hash"]},
            "outputSelection": {"*": {"": ["ast"]}, **ours},
        },
    }


def _compile(root: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    command = [str(root / "tools" / "solc"), "--standard-json", "--base-path", str(root)]
    try:
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
        )
        output: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise Stop(f"the compiler did not run ({type(error).__name__}): install Node.js, run `make setup`") from error
    errors = [str(each["formattedMessage"]) for each in output.get("errors", []) if each["severity"] == "error"]
    if errors:
        raise Stop(f"the contracts do not compile: {errors[0].strip()[:1_000]}")
    return output


def _select(output: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the compiler's output, which tells immutables by their declarations' ids: here by their names."""
    names = {
        str(node["id"]): str(node["name"])
        for source in output["sources"].values()
        for node in _nodes(source["ast"])
        if node.get("mutability") == "immutable" and node["nodeType"] == "VariableDeclaration"
    }
    kept: dict[str, Any] = {}
    for name in CONTRACTS.values():
        found = output["contracts"][f"contracts/{name}.sol"][name]
        runtime = found["evm"]["deployedBytecode"]
        kept[name] = {
            "abi": found["abi"],
            "creation": found["evm"]["bytecode"]["object"],
            "runtime": runtime["object"],
            "immutables": {
                names[identity]: [place["start"] for place in places]
                for identity, places in runtime["immutableReferences"].items()
            },
        }
    return kept


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a syntax tree."""
    pending: list[Any] = [tree]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if "nodeType" in each:
                yield each  # pyright: ignore[reportUnknownVariableType]
            pending.extend(each.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(each, list):
            pending.extend(each)  # pyright: ignore[reportUnknownArgumentType]


def _keep(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content))
    part.replace(path)


def _artifact(name: str, entry: Mapping[str, Any]) -> Artifact:
    return Artifact(
        name,
        tuple(entry["abi"]),
        bytes.fromhex(entry["creation"]),
        bytes.fromhex(entry["runtime"]),
        {immutable: tuple(places) for immutable, places in entry["immutables"].items()},
    )
