"""The contracts' ABIs, as `make abi` wrote them into the package."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, cast

from assay_core.chain import creations

CONTRACTS = tuple(creations.CONTRACTS.values())

AbiEntry = dict[str, Any]


@cache
def load_abi(contract: str) -> tuple[AbiEntry, ...]:
    """ABI entries of one of `CONTRACTS`."""
    text = (files("assay_core.chain") / "abi" / f"{contract}.json").read_text(encoding="utf-8")
    return tuple(cast(list[AbiEntry], json.loads(text)))


def entries(contract: str, kind: str) -> tuple[AbiEntry, ...]:
    """The entries of one kind: "function", "event" or "error"."""
    return tuple(entry for entry in load_abi(contract) if entry["type"] == kind)


def canonical_type(parameter: AbiEntry) -> str:
    """Type of a parameter as signatures and eth_abi write it: tuples expanded."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical_type(part) for part in parameter["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def signature(entry: AbiEntry) -> str:
    """E.g. `WrongPhase(uint256,uint64,uint8)`."""
    return f"{entry['name']}({','.join(canonical_type(part) for part in entry['inputs'])})"
