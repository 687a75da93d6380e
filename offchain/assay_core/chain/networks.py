"""Which networks can be deployed to: those that ape-config.yaml names, those that ape knows by itself, local chains.

A network's name is bound to a chain id, so that contracts never go to another chain because a node's URL was wrong.
Free of web3 and pydantic: ape's environment imports it too (scripts/deploy.py).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay_core.chain.checkout import source_tree
from assay_core.protocol.errors import Stop

LOCAL_CHAINS = (31_337, 1_337)
# The networks of ape's own ecosystem "ethereum".
KNOWN = {"mainnet": 1, "sepolia": 11_155_111, "holesky": 17_000}
HOW_TO_ADD = "add it to ape-config.yaml as deployments/README.md says"


@dataclass(frozen=True, slots=True)
class Network:
    """A public network as configured; `url` is None where a variable that it names is not set."""

    name: str
    ecosystem: str
    chain_id: int
    url: str | None


def configured_networks(config: Path | None = None) -> dict[str, Network]:
    """Public networks by name; outside of a source tree those that ape knows. Raises Stop: the file is no such one."""
    if config is None and (root := source_tree()) is not None:
        config = root / "ape-config.yaml"
    try:
        content: dict[str, Any] = {} if config is None else yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        custom: list[dict[str, Any]] = (content.get("networks") or {}).get("custom") or []
        found = [(name, "ethereum", chain_id) for name, chain_id in KNOWN.items()]
        found += [(str(each["name"]), str(each.get("ecosystem", "ethereum")), int(each["chain_id"])) for each in custom]
        node: Mapping[str, Any] = content.get("node") or {}
        return {name: Network(name, eco, chain_id, _url(node, eco, name)) for name, eco, chain_id in found}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Stop(f"{config} does not configure networks as deployments/README.md says: {error}") from error


def node_url(name: str, config: Path | None = None) -> str | None:
    """The configured URL of a network's node. Raises Stop: the network is a public one, and none is set."""
    network = configured_networks(config).get(name)
    if network is not None and network.url is None:
        raise Stop(f"no node is set for {name!r}: add --rpc-url URL, or set ASSAY_RPC_URL")
    return None if network is None else network.url


def ape_choice(name: str, chain_id: int, url: str, config: Path | None = None) -> str:
    """What ape calls the network behind `url`, which serves `chain_id`.

    Raises Stop: the name belongs to another chain, or it is not configured and the chain not a local one.
    """
    network = configured_networks(config).get(name)
    if network is None:
        if chain_id not in LOCAL_CHAINS:
            raise Stop(f"the node serves chain {chain_id}, and no network {name!r} is configured: {HOW_TO_ADD}")
        return url
    if chain_id != network.chain_id:
        raise Stop(
            f"the node serves chain {chain_id}, but {name!r} is chain {network.chain_id}: use a node of that chain, "
            "or deploy under another name"
        )
    return f"{network.ecosystem}:{network.name}:{url}"


def _url(node: Mapping[str, Any], ecosystem: str, name: str) -> str | None:
    url = ((node.get(ecosystem) or {}).get(name) or {}).get("uri")
    expanded = os.path.expandvars(str(url)) if url else ""
    return expanded if expanded and "$" not in expanded else None
