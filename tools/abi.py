#!/usr/bin/env python3
"""Copy the contracts' ABIs from forge's output into `assay_core/chain/abi`; with --check, fail when they are outdated.

Only the ABI is kept, in a fixed order, so that a change of the file is a change of the interface.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from assay_core.chain.abis import CONTRACTS

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".build" / "forge"
KEPT = ROOT / "offchain" / "assay_core" / "chain" / "abi"


def abi_text(name: str) -> str:
    """One entry a line, sorted by kind, name and inputs."""
    artifact = json.loads((BUILT / f"{name}.sol" / f"{name}.json").read_text())
    entries: list[dict[str, Any]] = artifact["abi"]

    def order(entry: dict[str, Any]) -> tuple[str, str, str]:
        return entry["type"], entry.get("name", ""), json.dumps(entry.get("inputs", []), sort_keys=True)

    lines = [json.dumps(entry, sort_keys=True) for entry in sorted(entries, key=order)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    check: bool = parser.parse_args().check
    stale: list[str] = []
    for name in CONTRACTS:
        kept = KEPT / f"{name}.json"
        try:
            text = abi_text(name)
        except FileNotFoundError:
            print(f"{name} is not compiled: run `make abi`", file=sys.stderr)
            return 2
        if kept.is_file() and kept.read_text() == text:
            continue
        stale.append(name)
        if not check:
            kept.write_text(text)
            print(f"wrote {kept.relative_to(ROOT)}")
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run `make abi` and commit the files", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
