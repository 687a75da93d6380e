"""The client of several relays: uploads to all, downloads from anyone who has it, believes none.

A relay that does not answer is tried last for a while; one that sends wrong bytes is dropped for good. Each shard is
verified before it reaches the disk, so a bundle goes on after a kill where it stood.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from assay_core.bundle.manifest import (
    MAX_MANIFEST_BYTES,
    SHARD_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    parse_manifest,
)
from assay_core.bundle.rebuild import Rebuilder
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import MalformedManifest, Stop, Unavailable
from assay_core.protocol.types import Epoch, Root, TaskId
from assay_core.transport.cache import Cache, cache_trouble
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.download import download
from assay_core.transport.relay.messages import SignatureIn
from assay_core.transport.relay.remote import CorruptResponse, RemoteRelay
from assay_core.transport.relay.upload import EXPIRES_HEADER, ROOT_HEADER, SIGNATURE_HEADER, sign_upload
from assay_core.transport.web import open_http

log = logging.getLogger(__name__)

T = TypeVar("T")
UploadTo = Literal["every", "first"]
SIGNATURE_VALID_S = 12 * 3_600  # half of what relays take, so that a clock may be hours off in either direction
MIRROR_LOOK_S = 0.05


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
        upload_to: UploadTo = "every",
        mirrored_within_s: float = 2.0,
        rebuilder: Rebuilder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`upload_to`: every relay, or the first one that takes it, where relays mirror each other."""
        if not relays:
            raise Stop("no relay is configured: name at least one")
        timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
        self._http = open_http(timeout)
        self._relays = [
            RemoteRelay(url, self._http, connect_s=connect_timeout_s, timeout_s=read_timeout_s, shun_s=shun_s)
            for url in dict.fromkeys(url.rstrip("/") for url in relays)
        ]
        self._threads = threads
        self._stall_s = 2 * read_timeout_s
        self.upload_to: UploadTo = upload_to
        self._mirrored_within_s = mirrored_within_s
        self._cache = Cache(cache, rebuilder=rebuilder)
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

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        """See `Engine.publish`. A relay that fails is left out, with a warning, when another one succeeds."""
        expires_at = int(self._clock()) + SIGNATURE_VALID_S
        headers = {
            ROOT_HEADER: manifest.root.hex(),
            EXPIRES_HEADER: str(expires_at),
            SIGNATURE_HEADER: sign_upload(account, self._chain_id, manifest.root, expires_at).hex(),
        }

        def publish_on(relay: RemoteRelay) -> None:
            self._publish_on(relay, directory, manifest, headers)

        if self.upload_to == "every":
            self._on_relays(self._ranked(), publish_on, f"bundle {manifest.root.hex()}")
        else:
            self._publish_once(publish_on, manifest)

    def _publish_once(self, publish_on: Callable[[RemoteRelay], None], manifest: Manifest) -> None:
        """Upload to one relay, the first named if it can, and see that a second one gets a copy from it.

        If none does, another upload follows, so that no relay that dies takes what was published with it.
        """
        relays = sorted(self._honest(), key=lambda relay: relay.is_shunned)
        what = f"bundle {manifest.root.hex()}"
        taken = self._on_relays(relays, publish_on, what, enough=1)
        others = [relay for relay in relays if relay not in taken and not relay.is_shunned]
        if others and not any(self._is_mirrored_on(relay, manifest) for relay in others):
            log.info("not mirrored, so uploaded again", extra={"what": what})
            try:
                self._on_relays(others, publish_on, what, enough=1)
            except (Stop, Unavailable) as error:
                log.warning("on one relay only", extra={"what": what, "why": str(error)})

    def _is_mirrored_on(self, relay: RemoteRelay, manifest: Manifest) -> bool:
        """Whether a relay copies the bundle, once it has all of it: being asked is what makes a mirror begin."""
        began, is_copying = time.monotonic(), False
        while not relay.is_shunned:
            try:
                if is_copying:
                    relay.get(f"/v1/manifests/{manifest.root.hex()}", MAX_MANIFEST_BYTES)
                    return True
                relay.get_manifest(manifest.root)
                is_copying = True
                continue
            except (CorruptResponse, Unavailable):
                timeout_s = relay.timeout_s(manifest.size_bytes) if is_copying else self._mirrored_within_s
            if time.monotonic() - began > timeout_s:
                break
            time.sleep(MIRROR_LOOK_S)
        return False

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
                for shards in partial.rounds():
                    download(shards, self._honest, partial.write, threads=self._threads, stall_s=self._stall_s)
                return self._cache.finish(partial)
        except OSError as error:
            raise cache_trouble(error) from error

    def has(self, root: Root) -> bool:
        """See `Engine.has`."""
        return any(self._answers(lambda relay: relay.has(root)))

    def held_s(self, root: Root) -> float | None:
        """See `Engine.held_s`."""
        return max((held for held in self._answers(lambda relay: relay.held_s(root)) if held is not None), default=None)

    def _fetch_manifest(self, root: Root, limits: BundleLimits) -> Manifest:
        data = self._from_any_relay(lambda relay: relay.get_manifest(root), f"bundle {root.hex()}")
        return parse_manifest(data, limits, root)

    # -------------------------------------------------------------------------------------------------- board

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """See `Engine.post_signature`."""
        path = f"/v1/tasks/{task_id}/epochs/{epoch}/signatures/{signed.operator}"
        body = SignatureIn(policy_root=signed.policy_root.hex(), signature=signed.signature.hex())
        data = body.model_dump_json().encode()
        self._on_relays(self._ranked(), lambda relay: relay.put(path, data), f"policy signature for {task_id}/{epoch}")

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        """See `Engine.signatures`."""
        boards = self._answers(lambda relay: relay.signatures(task_id, epoch))
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
            except CorruptResponse as error:
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
            except CorruptResponse as error:
                relay.drop(str(error))
                faults.append(str(error))
            except Unavailable as error:
                faults.append(str(error))
        if len(faults) == len(relays):
            raise Unavailable(f"no relay answers: {'; '.join(faults) or 'all of them lied before'}")

    def _on_relays(
        self, relays: Sequence[RemoteRelay], act: Callable[[RemoteRelay], object], what: str, enough: int | None = None
    ) -> list[RemoteRelay]:
        """Act on each, or until it has succeeded on `enough`; returns on which it did.

        One is a success. Else raises Unavailable if any may succeed later, Stop if all refuse.
        """
        done, retry, refusals = list[RemoteRelay](), list[str](), list[str]()
        for relay in relays:
            if len(done) == enough:
                break
            try:
                act(relay)
                done.append(relay)
            except Unavailable as error:
                retry.append(str(error))
            except Stop as error:
                refusals.append(str(error))
        faults = "; ".join(retry + refusals)
        if done and faults:  # a relay that does not answer is told once, by itself
            level = logging.WARNING if refusals else logging.DEBUG
            log.log(level, "not on every relay", extra={"what": what, "faults": faults})
        elif refusals and not retry:
            raise Stop(f"{what} is refused: {faults}")
        elif not done:
            raise Unavailable(f"{what} could not be sent: {faults or 'all relays lied before'}")
        return done

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
