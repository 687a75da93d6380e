"""The contracts' code, as `make abi` wrote it into the package: what is deployed, and what is compared with that.

It is what forge tests, byte for byte. Standard library alone: ape imports it too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from assay_core.chain.abis import CONTRACTS, load_abi


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract. `immutables`: name → offsets in `runtime` of the 32 bytes that the constructor fills in."""

    contract: str
    abi: tuple[Mapping[str, Any], ...]
    creation: bytes
    runtime: bytes
    immutables: Mapping[str, tuple[int, ...]]


@cache
def load_artifacts() -> Mapping[str, Artifact]:
    """Every contract of a deployment, by name."""
    return {name: _load(name) for name in CONTRACTS}


def _load(contract: str) -> Artifact:
    kept: dict[str, Any] = json.loads(
        (files("assay_core.chain") / "code" / f"{contract}.json").read_text(encoding="utf-8")
    )
    creation = bytes.fromhex(kept["creation"])
    first, length = kept["runtime"]  # creation code ends in what it returns
    return Artifact(
        contract,
        load_abi(contract),
        creation,
        creation[first : first + length],
        {name: tuple(places) for name, places in kept["immutables"].items()},
    )
