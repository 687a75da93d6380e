"""The client of several relays: uploads to all, downloads from whoever has it, believes none.

A relay that does not answer is tried last for a while; one that sends wrong bytes is dropped for good. Each shard is
verified before it reaches the disk, so a bundle goes on after a kill where it stood.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import httpx
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from pydantic import ValidationError

from offchain.protocol.errors import MalformedManifest, Stop, Unavailable
from offchain.protocol.manifest import (
    SHARD_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    parse_manifest,
)
from offchain.protocol.types import Address, Epoch, Root, TaskId
from offchain.shardcast.cache import Cache
from offchain.shardcast.download import download
from offchain.shardcast.engine import PolicySignature
from offchain.shardcast.messages import Board, SignatureIn
from offchain.shardcast.remote import Lied, RemoteRelay
from offchain.shardcast.upload import EXPIRES_HEADER, ROOT_HEADER, SIGNATURE_HEADER, sign_upload

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_BOARD_BYTES = 2**20
SIGNATURE_VALID_S = 3_600


class RelayClient:
    """Shardcast's `Engine` over HTTP relays. Safe to use from several threads; use it as a context or `close` it."""

    def __init__(
        self,
        relays: Sequence[str],
        cache: Path,
        *,
        chain_id: int,
        threads: int = 4,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 15.0,
        shun_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not relays:
            raise Stop("no relay is configured: name at least one")
        timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
        self._http = httpx.Client(timeout=timeout, trust_env=False)
        self._relays = [
            RemoteRelay(url, self._http, connect_s=connect_timeout_s, patience_s=read_timeout_s, shun_s=shun_s)
            for url in dict.fromkeys(url.rstrip("/") for url in relays)
        ]
        self._threads = threads
        self._stall_s = 2 * read_timeout_s
        self._cache = Cache(cache)
        self._chain_id = chain_id
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="shardcast")

    def __enter__(self) -> "RelayClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()
        for relay in self._relays:
            relay.close()

    @property
    def cache(self) -> Cache:
        return self._cache

    # ------------------------------------------------------------------------------------------------ publish

    def publish(self, directory: Path, manifest: Manifest, account: LocalAccount) -> None:
        """See `Engine.publish`. A relay that fails is left out, with a warning, when another one succeeds."""
        expires_at = int(self._clock()) + SIGNATURE_VALID_S
        headers = {
            ROOT_HEADER: manifest.root.hex(),
            EXPIRES_HEADER: str(expires_at),
            SIGNATURE_HEADER: sign_upload(account, self._chain_id, manifest.root, expires_at).hex(),
        }
        self._on_every_relay(
            lambda relay: self._publish_on(relay, directory, manifest, headers), f"bundle {manifest.root.hex()}"
        )

    def _publish_on(self, relay: RemoteRelay, directory: Path, manifest: Manifest, headers: Mapping[str, str]) -> None:
        wanted = relay.begin(manifest, headers)
        if not wanted:
            return
        places = dict(_places(manifest))
        if not wanted <= set(places):
            raise Unavailable(f"{relay} asks for shards that bundle {manifest.root.hex()} does not have")

        def send(digest: bytes) -> None:
            entry, position = places[digest]
            relay.put(f"/v1/shards/{digest.hex()}", _read_shard(directory, entry, position), headers)

        self._all(send, [digest for digest in places if digest in wanted])
        if relay.begin(manifest, headers):
            raise Unavailable(f"{relay} did not keep all shards of bundle {manifest.root.hex()}")

    # -------------------------------------------------------------------------------------------------- fetch

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        """See `Engine.fetch`. Raises Unavailable: no relay has (all of) it; what came is kept for the next attempt."""
        if (found := self._cache.find(root)) is not None:
            return found
        try:
            with self._cache.working_on(root):
                if (found := self._cache.find(root)) is not None:  # somebody else has just finished it
                    return found
                manifest = self._fetch_manifest(root, limits)
                if manifest.kind is not kind:
                    raise MalformedManifest(f"bundle {root.hex()} is a {manifest.kind}, not a {kind}")
                partial = self._cache.partial(manifest)
                download(partial.missing(), self._honest, partial.write, threads=self._threads, stall_s=self._stall_s)
                return self._cache.finish(partial)
        except OSError as error:
            raise Stop(f"the cache cannot be written: {error}") from error

    def has(self, root: Root) -> bool:
        """See `Engine.has`."""
        return any(self._answers(lambda relay: relay.has(root)))

    def _fetch_manifest(self, root: Root, limits: BundleLimits) -> Manifest:
        data = self._from_any_relay(lambda relay: relay.get_manifest(root), f"bundle {root.hex()}")
        return parse_manifest(data, limits, root)

    # -------------------------------------------------------------------------------------------------- board

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """See `Engine.post_signature`."""
        path = f"/v1/tasks/{task_id}/epochs/{epoch}/signatures/{signed.operator}"
        body = SignatureIn(policy_root=signed.policy_root.hex(), signature=signed.signature.hex())
        data = body.model_dump_json().encode()
        self._on_every_relay(lambda relay: relay.put(path, data), f"policy signature for {task_id}/{epoch}")

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        """See `Engine.signatures`."""
        path = f"/v1/tasks/{task_id}/epochs/{epoch}/signatures"
        boards = self._answers(lambda relay: _parse_board(relay.get(path, MAX_BOARD_BYTES)))
        found = {signed for board in boards for signed in board}
        return sorted(found, key=lambda signed: (int(signed.operator, 16), signed.policy_root, signed.signature))

    # ------------------------------------------------------------------------------------------- many relays

    def _from_any_relay(self, get: Callable[[RemoteRelay], T], what: str) -> T:
        """The first relay's good answer, the likely fastest asked first. Raises Unavailable: there is none."""
        faults: list[str] = []
        for relay in self._ranked():
            try:
                with relay.busy():
                    return get(relay)
            except Lied as error:
                relay.drop(str(error))
                faults.append(str(error))
            except Unavailable as error:
                faults.append(str(error))
        raise Unavailable(f"no relay has {what}: {'; '.join(faults) or 'all of them lied before'}")

    def _answers(self, ask: Callable[[RemoteRelay], T]) -> Iterator[T]:
        """What each relay says, of those that answer. Raises Unavailable: none does."""
        faults: list[str] = []
        relays = self._ranked()
        for relay in relays:
            try:
                yield ask(relay)
            except Lied as error:
                relay.drop(str(error))
                faults.append(str(error))
            except Unavailable as error:
                faults.append(str(error))
        if len(faults) == len(relays):
            raise Unavailable(f"no relay answers: {'; '.join(faults) or 'all of them lied before'}")

    def _on_every_relay(self, act: Callable[[RemoteRelay], object], what: str) -> None:
        """Succeeds when one relay does. Else raises Unavailable if any may succeed later, Stop if all refuse."""
        done, retry, refusals = 0, list[str](), list[str]()
        for relay in self._ranked():
            try:
                act(relay)
                done += 1
            except Unavailable as error:
                retry.append(str(error))
            except Stop as error:
                refusals.append(str(error))
        faults = "; ".join(retry + refusals)
        if done and faults:
            log.warning("not on every relay", extra={"what": what, "faults": faults})
        elif refusals and not retry:
            raise Stop(f"{what} is refused: {faults}")
        elif not done:
            raise Unavailable(f"{what} could not be sent: {faults or 'all relays lied before'}")

    def _ranked(self) -> list[RemoteRelay]:
        return sorted(self._honest(), key=lambda relay: relay.rank())

    def _honest(self) -> list[RemoteRelay]:
        return [relay for relay in self._relays if not relay.is_dropped]

    def _all(self, act: Callable[[Any], None], items: Iterable[Any]) -> None:
        """Do it for every item in the pool; the first failure is raised once nothing is under way any more."""
        futures = [self._pool.submit(act, item) for item in items]
        done, open_ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in open_:
            future.cancel()
        wait(open_)
        for future in done:
            future.result()


def _places(manifest: Manifest) -> Iterator[tuple[bytes, tuple[FileEntry, int]]]:
    for entry in manifest.files:
        for position, digest in enumerate(entry.shards):
            yield digest, (entry, position)


def _read_shard(directory: Path, entry: FileEntry, position: int) -> bytes:
    with (directory / entry.name).open("rb") as stream:
        stream.seek(position * SHARD_BYTES)
        return stream.read(SHARD_BYTES)


def _parse_board(data: bytes) -> list[PolicySignature]:
    try:
        found = Board.model_validate_json(data).signatures
    except ValidationError as error:
        raise Lied("sent a policy board that is none") from error
    return [
        PolicySignature(
            Address(to_checksum_address(each.operator)),
            Root(bytes.fromhex(each.policy_root)),
            bytes.fromhex(each.signature),
        )
        for each in found
    ]
