"""What an assistant asks its leader for, and how it checks what it gets."""

import hashlib
import hmac
import http.client
import secrets
import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from assay_core.bundle.directory import open_bundle
from assay_core.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, BundleLimits, parse_manifest
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.types import Root
from assay_trainer.group.offer import MAX_OFFER_BYTES, Offer, Stack, parse_offer
from assay_trainer.group.secret import ANSWER_MAC_HEADER, NONCE_HEADER, REQUEST_MAC_HEADER, answer_mac, request_mac

PIECE_BYTES = 2**20


class LeaderClient:
    """Asks one leader. Every method raises Unavailable, and Stop where the secret is wrong."""

    def __init__(self, url: str, secret: bytes, timeout_s: float = 10.0) -> None:
        """Raises Stop: not http://HOST:PORT."""
        where = urlsplit(url)
        try:
            port = where.port
        except ValueError:
            port = None
        if where.scheme != "http" or not where.hostname or port is None or where.path.strip("/"):
            raise Stop(f"{url!r} is not a leader: write http://HOST:PORT, as its --group says")
        self._host, self._port = where.hostname, port
        self._secret = secret
        self._timeout_s = timeout_s
        self._name = secrets.token_hex(16)

    def own_host(self) -> str:
        """The address by which this machine reaches the leader, so that others reach us there."""
        try:
            with socket.create_connection((self._host, self._port), self._timeout_s) as connection:
                return str(connection.getsockname()[0])
        except OSError as error:
            raise Unavailable(f"no leader at {self._host}:{self._port}: {error}") from error

    def offer(self) -> Offer | None:
        """What there is to do, straight from who knows the secret. Raises Malformed too."""
        with self._get(f"/offer/{self._name}") as (answer, nonce):
            body = self._read(answer, MAX_OFFER_BYTES)
            mac = answer.getheader(ANSWER_MAC_HEADER, "")
        if not hmac.compare_digest(mac, answer_mac(self._secret, nonce, body)):
            raise Stop(f"who answers at {self._host}:{self._port} does not know the group's secret")
        return parse_offer(body)

    def ready(self, submission: str) -> None:
        """Say that we have joined."""
        with self._get(f"/ready/{submission}/{self._name}"):
            pass

    def rollouts(self, submission: str, stack: Stack, most_bytes: int) -> bytes:
        """The file of a submission's rollouts. Raises Malformed: larger than the task allows, or of another hash."""
        if stack.size_bytes > most_bytes:
            raise Malformed(f"rollouts of {stack.size_bytes} bytes exceed the task's {most_bytes}")
        with self._get(f"/rollouts/{submission}") as (answer, _):
            data = self._read(answer, stack.size_bytes)
        if hashlib.sha256(data).digest() != stack.sha256:
            raise Malformed("the leader's rollouts differ from its offer")
        return data

    def fetch(self, root: Root, folder: Path, limits: BundleLimits) -> Path:
        """A bundle by its root, below `folder`, where it stays. Raises Malformed: not what the root stands for."""
        place = folder / root.hex()
        if place.is_dir():
            try:
                open_bundle(place, limits, root)
            except Malformed:  # a damaged disk
                shutil.rmtree(place)
            else:
                return place
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder, prefix=".fetching-"))
        try:
            with self._get(f"/bundles/{root.hex()}/{MANIFEST_NAME}") as (answer, _):
                data = self._read(answer, MAX_MANIFEST_BYTES)
            (made / MANIFEST_NAME).write_bytes(data)
            for entry in parse_manifest(data, limits, root).files:
                self._save(f"/bundles/{root.hex()}/{entry.name}", made / entry.name, entry.size_bytes)
            open_bundle(made, limits, root)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return place

    def _save(self, path: str, to: Path, size_bytes: int) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._get(path) as (answer, _), to.open("wb") as stream:
            left = size_bytes
            while left and (piece := answer.read(min(left, PIECE_BYTES))):
                stream.write(piece)
                left -= len(piece)

    @contextmanager
    def _get(self, path: str) -> Generator[tuple[http.client.HTTPResponse, str]]:
        nonce = secrets.token_hex(16)
        headers = {NONCE_HEADER: nonce, REQUEST_MAC_HEADER: request_mac(self._secret, nonce, path)}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == 403:
                raise Stop("the leader does not know our secret: copy the file that it uses, and start again")
            if answer.status != 200:
                raise Unavailable(f"the leader answers {answer.status} to {path}")
            yield answer, nonce
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the leader at {self._host}:{self._port} does not answer: {error}") from error
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse, most_bytes: int) -> bytes:
        data = answer.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise Malformed(f"the leader sends more than the {most_bytes} bytes that were announced")
        return data
