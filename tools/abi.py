#!/usr/bin/env python3
"""Write the contracts' ABIs and code into `assay_core/chain`; with --check, fail when they are outdated.

`abi/` has the ABI alone, in a fixed order, so that a change of a file is a change of the interface. `code/` has what is
deployed: creation code, where in it the runtime code lies, and where in that the immutables lie.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay_core.chain.artifacts import Artifact
from assay_core.protocol.errors import Stop
from tools.compiling import ROOT, compile_contracts

KEPT = ROOT / "offchain" / "assay_core" / "chain"


def abi_text(artifact: Artifact) -> str:
    """One entry a line, sorted by kind, name and inputs."""

    def order(entry: Mapping[str, Any]) -> tuple[str, str, str]:
        return entry["type"], entry.get("name", ""), json.dumps(entry.get("inputs", []), sort_keys=True)

    lines = [json.dumps(entry, sort_keys=True) for entry in sorted(artifact.abi, key=order)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def code_text(artifact: Artifact) -> str:
    """One field a line. Raises Stop: the creation code does not hold the runtime code as a whole."""
    first = artifact.creation.find(artifact.runtime)
    if first < 0:
        raise Stop(f"the creation code of {artifact.contract} does not hold its runtime code: keep that by itself")
    kept = {
        "creation": artifact.creation.hex(),
        "runtime": [first, len(artifact.runtime)],
        "immutables": {name: list(places) for name, places in sorted(artifact.immutables.items())},
    }
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items()) + "\n}\n"


def generated(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Text by path below `assay_core/chain`."""
    abis = {f"abi/{name}.json": abi_text(each) for name, each in artifacts.items()}
    return abis | {f"code/{name}.json": code_text(each) for name, each in artifacts.items()}


def update(folder: Path, texts: Mapping[str, str], *, check: bool) -> list[str]:
    """Write what differs, unless it is only to be checked. Returns which files were outdated."""
    kept = {name: (folder / name).read_text() if (folder / name).is_file() else None for name in texts}
    stale = [name for name, text in texts.items() if kept[name] != text]
    for name in () if check else stale:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(texts[name])
        print(f"wrote {name}")
    return stale


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    check: bool = parser.parse_args().check
    try:
        stale = update(KEPT, generated(compile_contracts()), check=check)
    except Stop as error:
        print(error, file=sys.stderr)
        return 2
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run `make abi` and commit the files", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
