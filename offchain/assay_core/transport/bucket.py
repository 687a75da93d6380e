"""Bundles in an S3-compatible bucket, through obstore: no relay, nothing to run.

    manifests/<root>.json · shards/<sha256> · signatures/<task>/<epoch>/<operator>-<sha256 of the content>.json

A bucket may be written by strangers and its server may lie: all that is read is limited in size before and hashed
after. A manifest is written after its shards, so a bundle whose manifest is there is whole. Who may write, how much
stays and for how long are the bucket's own policies and lifecycle rules. Credentials come from the usual AWS_*
variables, never from Assay's settings.
"""

import hashlib
import logging
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from eth_utils.address import to_checksum_address
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from pydantic import ValidationError

from assay_core.bundle.manifest import MAX_MANIFEST_BYTES, BundleKind, BundleLimits, FileEntry, Manifest
from assay_core.bundle.rebuild import Rebuilder
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.assembly import assemble, places, read_shard, run_all
from assay_core.transport.cache import Cache
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.messages import SignatureOut

log = logging.getLogger(__name__)

MAX_SIGNATURE_BYTES = 1_024
MAX_SIGNATURES = 1_024
"""Of one epoch. Strangers who may write to the bucket could hide later ones: let only verifiers write there."""
READ_BYTES = 2**20


class BucketClient:
    """Shardcast's `Engine` over one bucket. Safe to use from several threads; use it as a context or `close` it."""

    def __init__(
        self,
        bucket: str,
        cache: Path,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        prefix: str | None = None,
        threads: int = 4,
        timeout_s: float = 60.0,
        retry_s: float = 20.0,
        rebuilder: Rebuilder | None = None,
    ) -> None:
        """`endpoint`: None for AWS. Raises Stop: an impossible setting."""
        if not bucket:
            raise Stop("no bucket is configured: name one")
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix,
                endpoint=endpoint or "",
                region=region or "us-east-1",
                client_options={
                    "allow_http": (endpoint or "").startswith("http://"),
                    "timeout": timedelta(seconds=timeout_s),
                    "connect_timeout": timedelta(seconds=5),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=retry_s)},
            )
        except (BaseError, ValueError) as error:
            raise Stop(f"bucket {bucket!r} cannot be used: {error}") from error
        self._name = bucket
        self._cache = Cache(cache, rebuilder=rebuilder)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bucket")

    def __enter__(self) -> "BucketClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def cache(self) -> Cache:
        return self._cache

    # ------------------------------------------------------------------------------------------------- bundles

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        """See `Engine.publish`. What is there and intact is left alone, what somebody has damaged is put right."""

        def send(digest: bytes, entry: FileEntry, position: int) -> None:
            self._put(f"shards/{digest.hex()}", read_shard(directory, entry, position))

        run_all(self._pool, send, places(manifest))
        self._put(_manifest_key(manifest.root), manifest.to_bytes())

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        """See `Engine.fetch`. Raises Unavailable also for wrong bytes: who wrote them there is not known."""
        return assemble(self._cache, self, root, kind, limits)

    def has(self, root: Root) -> bool:
        """See `Engine.has`."""
        return self._head(_manifest_key(root)) is not None

    def held_s(self, root: Root) -> float | None:
        """None: who writes chooses the order, so that no object's time tells when the last one came."""
        return None

    def manifest(self, root: Root) -> bytes:
        return self._get(_manifest_key(root), MAX_MANIFEST_BYTES)

    def shards(self, manifest: Manifest, missing: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
        """At most two shards per thread are in memory."""

        def get(item: tuple[bytes, int]) -> tuple[bytes, bytes]:
            return item[0], self._get(f"shards/{item[0].hex()}", item[1])

        batch = 2 * self._threads
        items = list(missing.items())
        for start in range(0, len(items), batch):
            yield from self._pool.map(get, items[start : start + batch])

    # --------------------------------------------------------------------------------------------------- board

    def post_signature(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        """See `Engine.post_signature`."""
        body = SignatureOut(
            operator=signed.operator, policy_root=signed.policy_root.hex(), signature=signed.signature.hex()
        )
        data = body.model_dump_json().encode()
        name = f"{signed.operator.lower()}-{hashlib.sha256(data).hexdigest()}.json"
        self._put(f"{_board_key(task_id, epoch)}/{name}", data)

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        """See `Engine.signatures`. Objects that are no signatures are passed over."""
        found = {signed for data in self._board(task_id, epoch) if (signed := _parse_signature(data)) is not None}
        return sorted(found, key=lambda signed: (int(signed.operator, 16), signed.policy_root, signed.signature))

    def _board(self, task_id: TaskId, epoch: Epoch) -> Iterable[bytes]:
        with self._asking("its board"):
            names: list[str] = []
            for page in obstore.list(self._store, f"{_board_key(task_id, epoch)}/", chunk_size=256):
                names += [str(meta["path"]) for meta in page if meta["size"] <= MAX_SIGNATURE_BYTES]
                if len(names) >= MAX_SIGNATURES:
                    log.warning("board is flooded", extra={"bucket": self._name, "task": task_id, "epoch": epoch})
                    break

        def get(name: str) -> bytes:
            return self._get(name, MAX_SIGNATURE_BYTES)

        return self._pool.map(get, names[:MAX_SIGNATURES])

    # ------------------------------------------------------------------------------------------------- objects

    def _get(self, key: str, max_bytes: int) -> bytes:
        """Never holds more than `max_bytes`, whatever the object's size. Raises Unavailable."""
        with self._asking(key):
            answer = obstore.get(self._store, key)
            data = bytearray()
            if answer.meta["size"] <= max_bytes:
                for piece in answer.stream(min_chunk_size=READ_BYTES):
                    data += piece
                    if len(data) > max_bytes:
                        break
                else:
                    return bytes(data)
        raise Unavailable(f"{key} in bucket {self._name} exceeds {max_bytes} bytes: somebody else wrote it")

    def _put(self, key: str, data: bytes) -> None:
        """Raises Unavailable: retry; Stop: we may not write there."""
        if self._is_intact(key, data):
            return
        with self._asking(key):
            try:
                obstore.put(self._store, key, data, use_multipart=False)
            except PermissionDeniedError as error:
                raise Stop(f"bucket {self._name} refuses {key}: check its policy and our credentials") from error

    def _is_intact(self, key: str, data: bytes) -> bool:
        """By size and MD5, which S3 tells of what was put in one part; where it tells something else: no."""
        found = self._head(key)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return found is not None and found == (len(data), md5)

    def _head(self, key: str) -> tuple[int, str] | None:
        with self._asking(key):
            try:
                meta = obstore.head(self._store, key)
            except (FileNotFoundError, PermissionDeniedError):  # S3 says the latter to those who may not list
                return None
        return meta["size"], (meta["e_tag"] or "").strip('"')

    @contextmanager
    def _asking(self, key: str) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Unavailable(f"bucket {self._name} has no {key}") from error
        except UnauthenticatedError as error:
            raise Stop(f"bucket {self._name} does not know our credentials: check the variables AWS_*") from error
        except BaseError as error:
            raise Unavailable(f"bucket {self._name} does not answer: {str(error).splitlines()[0][:200]}") from error


def _manifest_key(root: Root) -> str:
    return f"manifests/{root.hex()}.json"


def _board_key(task_id: TaskId, epoch: Epoch) -> str:
    return f"signatures/{task_id}/{epoch}"


def _parse_signature(data: bytes) -> PolicySignature | None:
    try:
        found = SignatureOut.model_validate_json(data)
    except ValidationError:
        return None
    return PolicySignature(
        Address(to_checksum_address(found.operator)),
        Root(bytes.fromhex(found.policy_root)),
        bytes.fromhex(found.signature),
    )
