"""What carries bundles in a network on this machine: relays that mirror each other, a swarm, or a bucket.

None of them has a middle: a party uploads to one relay and fetches from two, relays copy from their neighbours in a
ring, a swarm's trackers do not know of each other. Any one server may die.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from assay_core.protocol.errors import Stop
from assay_core.transport.choose import EngineName
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.processes import Children, wait_for_port

HOST = "127.0.0.1"
LOCAL_BUCKET = "assay"
LOCAL_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # the local server takes any


@dataclass(frozen=True, slots=True)
class Carrier:
    """`servers`: the processes that carry, of which any one may die; `note`: how they hang together.

    `places`: settings of the parties, who take them in turn; `tables`: what `open_engine` needs to know besides relays.
    """

    engine: EngineName
    servers: tuple[str, ...]
    note: str
    places: tuple[Mapping[str, str], ...]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def env(self, seat: int) -> Mapping[str, str]:
        return {"ASSAY_ENGINE": self.engine, **self.places[seat % len(self.places)]}


def ring(count: int) -> tuple[tuple[int, ...], ...]:
    """The neighbours of each of so many relays, the next one first."""
    return tuple(
        tuple(dict.fromkeys(other for other in ((place + 1) % count, (place - 1) % count) if other != place))
        for place in range(count)
    )


def relay_url(port: int) -> str:
    """Of a relay on this machine."""
    return f"http://{HOST}:{port}"


def start_relays(children: Children, ports: Sequence[int], folder: Path, env: Mapping[str, str]) -> Carrier:
    """Start a relay per port; each mirrors its neighbours in a ring. Raises Stop: one does not start."""
    urls = [relay_url(port) for port in ports]
    names = [f"relay-{number}" for number in range(1, len(ports) + 1)]
    started = list[str]()
    for name, port, neighbours in zip(names, ports, ring(len(ports)), strict=True):
        mirrors = [argument for other in neighbours for argument in ("--mirror", urls[other])]
        store = str(folder / name)
        child = children.assay(name, "relay", "run", "--port", str(port), "--store", store, *mirrors, env=env)
        started.append(child.name)
    for name, port in zip(started, ports, strict=True):
        wait_for_port(children[name], port)
    note = f"each mirrors its neighbours in a ring of {len(ports)}"
    return Carrier("relay", tuple(started), note, relay_places(urls))


def relay_places(urls: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """Settings of those whose relay it is, for each: they upload to it, and fetch from the next one too."""
    return tuple(
        {"ASSAY_RELAYS": " ".join([own, *(urls[other] for other in neighbours[:1])]), "ASSAY_UPLOAD_TO": "first"}
        for own, neighbours in zip(urls, ring(len(urls)), strict=True)
    )


def start_trackers(children: Children, count: int, env: Mapping[str, str]) -> Carrier:
    """Start the trackers of a swarm; the bundles stay with the parties. Raises Stop: one does not start."""
    ports = {f"tracker-{number}": free_port() for number in range(1, count + 1)}
    for name, port in ports.items():
        children.assay(name, "swarm", "tracker", "--port", str(port), env=env)
    for name, port in ports.items():
        wait_for_port(children[name], port)
    trackers = [f"http://{HOST}:{port}" for port in ports.values()]
    place = {"ASSAY_SWARM_TRACKERS": " ".join(trackers), "ASSAY_SWARM_HOST": HOST}
    note = "parties serve each other's bundles, trackers say who has what"
    return Carrier("swarm", tuple(ports), note, (place,), {"swarm": {"trackers": trackers, "host": HOST}})


def start_bucket(children: Children) -> Carrier:
    """The bucket that ASSAY_S3_* names, else one of a server on this machine. Raises Stop: neither can be had."""
    if bucket := os.environ.get("ASSAY_S3_BUCKET"):
        return Carrier("s3", (), f"bucket {bucket}", ({},))
    if importlib.util.find_spec("moto") is None:
        raise Stop("which bucket? set ASSAY_S3_BUCKET, ASSAY_S3_ENDPOINT and AWS_*; or pip install 'moto[server]'")
    port = free_port()
    url = f"http://{HOST}:{port}"
    child = children.start("bucket", [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)])
    wait_for_port(child, port)
    httpx.put(f"{url}/{LOCAL_BUCKET}", trust_env=False).raise_for_status()
    for name, value in LOCAL_CREDENTIALS.items():  # S3 clients take them from nowhere else, ours included
        os.environ.setdefault(name, value)
    place = {"ASSAY_S3_BUCKET": LOCAL_BUCKET, "ASSAY_S3_ENDPOINT": url}
    table = {"bucket": LOCAL_BUCKET, "endpoint": url}
    return Carrier("s3", (), f"a bucket of a local server, {url}", (place,), {"s3": table})
