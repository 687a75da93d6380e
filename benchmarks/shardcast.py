"""SHARDCAST beside the limit of the wire: `make bench-shardcast`.

Every party is a process of its own on the loopback interface. Raw is one sendfile and one SHA-256 over the same bytes,
in the same round; nginx + obstore is what others would build, if both are installed. Rounds alternate between the
cases, so that what else the machine does hits all alike; ratios are of medians. Memory is the most that a process
held of its own (VmHWM less what is mapped from files), read as it ends.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account

from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, BundleLimits, Manifest
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.server import RelaySettings, serve
from assay_protocol.devnet.anvil import free_port
from benchmarks.netlab import Laboratory, shaping_fault

CHAIN_ID = 31_337
KEY = b"\x07" * 32
MIB = 2**20
LIMITS = BundleLimits(2**40)
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Everybody:
    """Authoriser and signature checker of a relay without a chain: anybody may upload."""

    def payer_of(self, key: Address) -> Address | None:
        return key

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        return False


# ------------------------------------------------------------------------------------------------------ processes


def run_relay(directory: str, host: str, port: str, *upstreams: str) -> None:
    settings = RelaySettings(
        directory=Path(directory), host=host, port=int(port), chain_id=CHAIN_ID, upstreams=upstreams, follow_s=0
    )
    serve(settings, Everybody(), Everybody())


def run_client(cache: str, root: str, *relays: str) -> None:
    """Waits for a line, fetches, says how long it took and how much memory it needed."""
    with RelayClient(relays, Path(cache), chain_id=CHAIN_ID) as client:
        _wait_for_start()
        started_at = time.perf_counter()
        client.fetch(Root(bytes.fromhex(root)), BundleKind.POLICY, LIMITS)
        _report(time.perf_counter() - started_at)


def run_far_client(cache: str, root: str, relay: str, *others: str) -> None:
    """A client that waits for relays which nobody else can reach."""
    for url in (relay, *others):
        _wait_until_healthy(url)
    run_client(cache, root, relay)


def run_publisher(directory: str, cache: str, *relays: str) -> None:
    with RelayClient(relays, Path(cache), chain_id=CHAIN_ID) as client:
        _wait_for_start()
        started_at = time.perf_counter()
        client.publish(Path(directory), read_manifest(Path(directory)), Account.from_key(KEY))
        _report(time.perf_counter() - started_at)


def run_raw_server(path: str, port: str) -> None:
    """One connection, the file by sendfile, the end."""
    with socket.create_server(("127.0.0.1", int(port))) as server, Path(path).open("rb") as file:
        while True:
            connection, _ = server.accept()
            with connection:
                if not connection.recv(1):
                    continue  # a look whether the port is open
                offset, size = 0, os.fstat(file.fileno()).st_size
                while offset < size:
                    offset += os.sendfile(connection.fileno(), file.fileno(), offset, size - offset)


def run_raw_client(port: str, target: str) -> None:
    """Receives into one buffer and hashes; keeps the bytes only if it has a `target`."""
    _wait_for_start()
    started_at = time.perf_counter()
    buffer, digest = memoryview(bytearray(MIB)), hashlib.sha256()
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", int(port))))
        connection.send(b"!")
        file = stack.enter_context(Path(target).open("wb", buffering=0)) if target else None
        while count := connection.recv_into(buffer):
            digest.update(buffer[:count])
            if file is not None:
                file.write(buffer[:count])
    _report(time.perf_counter() - started_at)


def run_raw_relay(origin: str, port: str, target: str) -> None:
    """Copies from a raw server into a file and hashes; sends each shard of it on as soon as it is there, one by one."""
    landed = threading.Semaphore(0)
    is_whole = threading.Event()

    def copy(file: int) -> None:
        buffer, digest, filled = memoryview(bytearray(SHARD_BYTES)), hashlib.sha256(), 0
        with socket.create_connection(("127.0.0.1", int(origin))) as upstream:
            upstream.send(b"!")
            while count := upstream.recv_into(buffer[filled : filled + MIB]):
                digest.update(buffer[filled : filled + count])
                filled += count
                if filled == SHARD_BYTES:
                    os.write(file, buffer)
                    landed.release()
                    digest, filled = hashlib.sha256(), 0
        is_whole.set()
        landed.release()

    with socket.create_server(("127.0.0.1", int(port))) as server:
        while True:
            connection, _ = server.accept()
            with connection, Path(target).open("w+b", buffering=0) as file:
                if not connection.recv(1):
                    continue  # a look whether the port is open
                threading.Thread(target=copy, args=(file.fileno(),), daemon=True).start()
                offset = 0
                while landed.acquire() and not (is_whole.is_set() and offset == os.fstat(file.fileno()).st_size):
                    until = offset + SHARD_BYTES
                    while offset < until:
                        offset += os.sendfile(connection.fileno(), file.fileno(), offset, until - offset)


def run_obstore_client(target: str, manifest_path: str, *servers: str) -> None:
    """What one would write with obstore: each shard from one of the servers, four at a time, hashed, kept."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore
    from obstore.store import HTTPStore

    (entry,) = read_manifest(Path(manifest_path)).files
    stores = [HTTPStore.from_url(server, client_options={"allow_http": True}) for server in servers]
    _wait_for_start()
    started_at = time.perf_counter()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def get(position: int) -> None:
        name = entry.shards[position].hex()
        data = obstore.get(stores[position % len(stores)], f"{name[:2]}/{name}").bytes()
        if hashlib.sha256(data).digest() != entry.shards[position]:
            raise SystemExit("a corrupt shard")
        os.pwrite(handle, memoryview(data), position * SHARD_BYTES)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(get, range(len(entry.shards))))
    os.close(handle)
    _report(time.perf_counter() - started_at)


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _report(seconds: float) -> None:
    print(json.dumps({"seconds": seconds, "mib": own_memory_mib(os.getpid())}), flush=True)


def own_memory_mib(pid: int) -> float:
    """Anonymous memory of a process now; for its peak `clear_refs` would need root."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


# -------------------------------------------------------------------------------------------------------- the stage


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    mib: dict[str, float]


class Child:
    """A process of this script."""

    def __init__(self, role: str, *arguments: object, prefix: Sequence[str] = ()) -> None:
        command = [*prefix, sys.executable, "-m", "benchmarks.shardcast", role, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.role = role
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the {self.role} process has failed with code {self._process.wait()}")
        return line

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class Stage:
    """Folders, ports and processes of one case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._named = 0
        self.servers: dict[str, Child] = {}
        self.page_bytes = 0
        """What the case is going to write into the page cache."""

    def close(self) -> None:
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, name: str) -> Path:
        self._named += 1
        return self.folder / f"{name}-{self._named}"

    def child(self, role: str, *arguments: object, prefix: Sequence[str] = ()) -> Child:
        child = Child(role, *arguments, prefix=prefix)
        self._stack.callback(child.stop)
        return child

    def relay(self, name: str, *upstreams: str, directory: Path | None = None) -> str:
        port = free_port()
        self.servers[name] = self.child("relay", directory or self.place("relay"), "127.0.0.1", port, *upstreams)
        _wait_until_healthy(f"http://127.0.0.1:{port}")
        return f"http://127.0.0.1:{port}"

    def time(self, *clients: Child) -> Measured:
        """Let clients that are ready go at the same moment; until the last has ended."""
        for client in clients:
            client.line()
        warm_memory(self.folder, self.page_bytes)
        for client in clients:
            client.start()
        reports = [json.loads(client.line()) for client in clients]
        memory = {"client": max(report["mib"] for report in reports)}
        memory |= {name: own_memory_mib(server.pid) for name, server in self.servers.items()}
        return Measured(max(report["seconds"] for report in reports), memory)


@contextmanager
def nginx(folder: Path, directory: Path) -> Iterator[str]:
    """nginx with its defaults and sendfile on, serving a relay's shards from loopback."""
    port, state = free_port(), folder / f"nginx-{free_port()}"
    state.mkdir()
    (state / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {state}/pid; error_log {state}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
    client_body_temp_path {state}/a; proxy_temp_path {state}/b; fastcgi_temp_path {state}/c;
    uwsgi_temp_path {state}/d; scgi_temp_path {state}/e;
    server {{ listen 127.0.0.1:{port}; root {directory}/shards; }}
}}
""")
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    process = subprocess.Popen([str(NGINX), "-c", str(state / "nginx.conf"), *user], stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def _wait_until_healthy(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/v1/health", timeout=60, trust_env=False).status_code == 200:
                return
        time.sleep(0.02)
    raise SystemExit(f"no relay at {url}")


def warm_memory(folder: Path, size: int) -> None:
    """Fill the page cache and let go of it, so that anyone who writes files next gets pages that the machine really
    has.

    A virtual machine hands free pages back to its host within seconds, and taking one again costs ten times what
    filling it does: that would drown every other difference between the cases.
    """
    piece, path = bytes(4 * MIB), folder / "warming"
    with path.open("wb", buffering=0) as file:
        for _ in range(0, size, len(piece)):
            file.write(piece)
    path.unlink()


def make_policy(directory: Path, size: int) -> Manifest:
    directory.mkdir(parents=True)
    with (directory / "weights.safetensors").open("wb") as stream:
        for _ in range(0, size, SHARD_BYTES):
            stream.write(os.urandom(SHARD_BYTES))
    return build_bundle(directory, BundleKind.POLICY, {})


# --------------------------------------------------------------------------------------------------------- the cases


@dataclass(frozen=True, slots=True)
class Ground:
    """A policy, and a relay's folder that holds it, ready to be served by anyone who is measured."""

    folder: Path
    policy: Path
    manifest: Manifest
    shards: Path

    @property
    def root(self) -> str:
        return self.manifest.root.hex()


def raw(stage: Stage, ground: Ground, *, keep: bool) -> Measured:
    port = free_port()
    stage.child("raw-server", ground.policy / "weights.safetensors", port)
    _wait_for_port(port)
    return stage.time(stage.child("raw-client", port, stage.place("file") if keep else ""))


def raw_relayed(stage: Stage, ground: Ground) -> Measured:
    """The least that a relay can do which forwards nothing unchecked: two raw hops, joined shard by shard."""
    origin, port = free_port(), free_port()
    stage.child("raw-server", ground.policy / "weights.safetensors", origin)
    stage.child("raw-relay", origin, port, stage.place("copy"))
    _wait_for_port(origin), _wait_for_port(port)
    return stage.time(stage.child("raw-client", port, stage.place("file")))


def direct(stage: Stage, ground: Ground) -> Measured:
    origin = stage.relay("origin", directory=ground.shards)
    return stage.time(stage.child("client", stage.place("cache"), ground.root, origin))


def mirrored(stage: Stage, ground: Ground) -> Measured:
    """The relay begins to copy when the client asks for the first time: nothing is there beforehand."""
    origin = stage.relay("origin", directory=ground.shards)
    relay = stage.relay("relay", origin)
    return stage.time(stage.child("client", stage.place("cache"), ground.root, relay))


def uploaded(stage: Stage, ground: Ground) -> Measured:
    """A publisher uploads while the client already fetches: until both have ended."""
    relay = stage.relay("relay")
    publisher = stage.child("publisher", ground.policy, stage.place("cache"), relay)
    client = stage.child("client", stage.place("cache"), ground.root, relay)
    publisher.line(), client.line()
    warm_memory(stage.folder, stage.page_bytes)
    started_at = time.perf_counter()
    publisher.start()
    _wait_for_manifest(relay, ground.root)
    client.start()
    for child in (publisher, client):
        child.line()
    return Measured(time.perf_counter() - started_at, {})


def wired(stage: Stage, ground: Ground, mbit: float, *, has_relay: bool) -> Measured:
    """Each party on a computer of its own (a network namespace), whose link has so many Mbit/s each way."""
    with Laboratory(3, uplink_mbit=mbit, downlink_mbit=mbit) as laboratory:

        def relay(peer: int, directory: Path, *upstreams: str) -> str:
            stage.child("relay", directory, laboratory.address(peer), 8_700, *upstreams, prefix=inside(peer))
            return f"http://{laboratory.address(peer)}:8700"

        def inside(peer: int) -> list[str]:
            return ["ip", "netns", "exec", laboratory._namespace(peer)]

        urls = [relay(0, ground.shards)]
        if has_relay:
            urls.insert(0, relay(1, stage.place("relay"), urls[0]))
        client = stage.child("far-client", stage.place("cache"), ground.root, *urls, prefix=inside(2))
        return stage.time(client)


def spread(stage: Stage, ground: Ground, clients: int, second: Path) -> Measured:
    relays = [stage.relay("relay 1", directory=ground.shards), stage.relay("relay 2", directory=second)]
    return stage.time(*(stage.child("client", stage.place("cache"), ground.root, *relays) for _ in range(clients)))


def spread_by_nginx(stage: Stage, ground: Ground, clients: int, second: Path) -> Measured:
    with nginx(ground.folder, ground.shards) as one, nginx(ground.folder, second) as two:
        manifest = ground.policy
        return stage.time(
            *(stage.child("obstore-client", stage.place("file"), manifest, one, two) for _ in range(clients))
        )


def _wait_for_manifest(relay: str, root: str) -> None:
    with httpx.Client(trust_env=False) as http:
        while http.get(f"{relay}/v1/manifests/{root}?unfinished=true").status_code != 200:
            time.sleep(0.002)


def prepare(folder: Path, size: int) -> Ground:
    manifest = make_policy(folder / "policy", size)
    stage = Stage(folder / "upload")
    relay = stage.relay("origin", directory=folder / "shards")
    stage.time(stage.child("publisher", folder / "policy", folder / "upload" / "cache", relay))
    stage.close()
    return Ground(folder, folder / "policy", manifest, folder / "shards")


Case = tuple[str, Callable[[Stage, Ground], Measured]]


def measure(ground: Ground, cases: Sequence[Case], rounds: int, page_bytes: int) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name, _ in cases}
    for number in range(rounds + 1):
        for name, case in cases:
            stage = Stage(ground.folder / "stage")
            stage.folder.mkdir()
            stage.page_bytes = page_bytes
            try:
                measured = case(stage, ground)
            finally:
                stage.close()
            os.sync()  # what one case has left to write is not the next one's burden
            if number:  # the first round warms the page cache
                found[name].append(measured)
                print(f"  {name:<44} {measured.seconds:6.2f} s", file=sys.stderr, flush=True)
    return found


# ----------------------------------------------------------------------------------------------------------- the table


def median(found: dict[str, list[Measured]], name: str) -> float:
    return statistics.median(each.seconds for each in found[name])


def table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rest)]
    )


def memory_of(runs: Sequence[Measured]) -> str:
    names = dict.fromkeys(name for run in runs for name in run.mib)
    return ", ".join(f"{name} {max(run.mib.get(name, 0.0) for run in runs):.0f}" for name in names)


def one_to_one(folder: Path, size: int, rounds: int) -> str:
    ground = prepare(folder / "one", size)
    cases: list[Case] = [
        ("raw: sendfile, SHA-256", lambda stage, ground: raw(stage, ground, keep=False)),
        ("raw: sendfile, SHA-256, kept in a file", lambda stage, ground: raw(stage, ground, keep=True)),
        ("raw: two such hops, shard by shard, kept", raw_relayed),
        ("origin → client", direct),
        ("origin → relay → client", mirrored),
        ("publisher → relay → client", uploaded),
    ]
    found = measure(ground, cases, rounds, page_bytes=5 * size // 2)
    bases = {
        "raw: sendfile, SHA-256, kept in a file": "raw: sendfile, SHA-256",
        "raw: two such hops, shard by shard, kept": "raw: sendfile, SHA-256, kept in a file",
        "origin → client": "raw: sendfile, SHA-256",
        "origin → relay → client": "origin → client",
        "publisher → relay → client": "origin → client",
    }
    bounds = {"origin → client": 1.6, "origin → relay → client": 1.3}
    rows = [[f"{size // MIB} MiB", "median s", "against", "ratio", "at most", "own memory, MiB"]]
    for name, _ in cases:
        base = bases.get(name)
        ratio = f"{median(found, name) / median(found, base):.2f}" if base else ""
        bound = f"{bounds[name]}" if name in bounds else ""
        rows.append([name, f"{median(found, name):.3f}", base or "", ratio, bound, memory_of(found[name])])
    shutil.rmtree(ground.folder)
    return table(rows)


def on_a_wire(folder: Path, size: int, rounds: int, mbit: float) -> str:
    if fault := shaping_fault():
        return f"links of {mbit:.0f} Mbit/s cannot be made here: {fault}"
    ground = prepare(folder / "wire", size)
    cases: list[Case] = [
        ("origin → client", lambda stage, ground: wired(stage, ground, mbit, has_relay=False)),
        ("origin → relay → client", lambda stage, ground: wired(stage, ground, mbit, has_relay=True)),
    ]
    found = measure(ground, cases, rounds, page_bytes=5 * size // 2)
    limit = size * 8 / mbit / 1e6
    rows = [[f"{size // MIB} MiB, {mbit:.0f} Mbit/s", "median s", "against", "ratio", "at most"]]
    rows.append(["the link itself", f"{limit:.2f}", "", "", ""])
    direct, relayed = (median(found, name) for name, _ in cases)
    rows.append(["origin → client", f"{direct:.2f}", "the link itself", f"{direct / limit:.2f}", "1.6"])
    rows.append(["origin → relay → client", f"{relayed:.2f}", "origin → client", f"{relayed / direct:.2f}", "1.3"])
    shutil.rmtree(ground.folder)
    return table(rows)


def many_to_many(folder: Path, size: int, rounds: int, clients: int) -> str:
    ground = prepare(folder / "many", size)
    second = folder / "second"
    shutil.copytree(ground.shards, second)
    ours, theirs = f"2 relays → {clients} clients", f"2 nginx → {clients} obstore"
    cases: list[Case] = [(ours, lambda stage, ground: spread(stage, ground, clients, second))]
    if NGINX and _has_obstore():
        cases.append((theirs, lambda stage, ground: spread_by_nginx(stage, ground, clients, second)))
    found = measure(ground, cases, rounds, page_bytes=(clients + 1) * size)
    rows = [[f"{size // MIB} MiB each", "median s", "ratio", "at most", "own memory, MiB"]]
    for name, _ in cases:
        ratio = f"{median(found, ours) / median(found, theirs):.2f}" if name == ours and theirs in found else ""
        rows.append([name, f"{median(found, name):.2f}", ratio, "1" if ratio else "", memory_of(found[name])])
    if theirs not in found:
        rows.append([f"{theirs}: not installed", "", "", "", ""])
    shutil.rmtree(ground.folder)
    shutil.rmtree(second)
    return table(rows)


def _has_obstore() -> bool:
    try:
        import obstore  # noqa: F401
    except ImportError:
        return False
    return True


def _place(size: int) -> Path | None:
    """A folder in memory: it is wires and processors that are compared, and disks have moods."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2 * size else None


ROLES: dict[str, Callable[..., None]] = {
    "relay": run_relay,
    "client": run_client,
    "far-client": run_far_client,
    "publisher": run_publisher,
    "raw-server": run_raw_server,
    "raw-client": run_raw_client,
    "raw-relay": run_raw_relay,
    "obstore-client": run_obstore_client,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="size of the policy for one client")
    parser.add_argument("--spread-mib", type=int, default=1024, help="size for several clients; 0: leave that out")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wire-mbit", type=float, default=400, help="links between computers; 0: leave that out")
    parser.add_argument("--folder", type=Path, help="where the files go; in memory, if there is room, by default")
    options: Any = parser.parse_args()
    most = max(4 * options.mib, (4 + options.clients) * options.spread_mib) * MIB
    with tempfile.TemporaryDirectory(dir=options.folder or _place(most), prefix="bench-shardcast-") as folder:
        print(one_to_one(Path(folder), options.mib * MIB, options.rounds), flush=True)
        if options.wire_mbit:
            rounds = max(1, options.rounds // 2)  # links have one speed
            print("\n" + on_a_wire(Path(folder), options.mib * MIB, rounds, options.wire_mbit), flush=True)
        if options.spread_mib:
            print("\n" + many_to_many(Path(folder), options.spread_mib * MIB, options.rounds, options.clients))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ROLES:
        ROLES[sys.argv[1]](*sys.argv[2:])
    else:
        main()
