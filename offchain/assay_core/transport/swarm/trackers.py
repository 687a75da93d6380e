"""Several trackers as one: written to all, read from all, none believed."""

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from eth_utils.address import to_checksum_address
from pydantic import ValidationError

from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.client import SIGNATURE_VALID_S
from assay_core.transport.relay.messages import Board, SignatureIn
from assay_core.transport.relay.remote import CorruptResponse, RemoteRelay
from assay_core.transport.relay.upload import EXPIRES_HEADER, SIGNATURE_HEADER, sign_upload
from assay_core.transport.swarm.tracker import NoticeIn, NoticeOut, Notices
from assay_core.transport.web import open_http

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_TRACKER_BYTES = 2**20
JSON = {"Content-Type": "application/json"}


class Trackers:
    """Safe to use from several threads. Raises Unavailable when no tracker answers, Stop when all refuse."""

    def __init__(self, urls: tuple[str, ...], account: Signer, chain_id: int, timeout_s: float = 10.0) -> None:
        if not urls:
            raise Stop("no swarm tracker is configured: name at least one")
        self._http = open_http(timeout_s)
        self._trackers = [RemoteRelay(url, self._http) for url in dict.fromkeys(url.rstrip("/") for url in urls)]
        self._account = account
        self._chain_id = chain_id

    def close(self) -> None:
        self._http.close()
        for tracker in self._trackers:
            tracker.close()

    def announce(self, root: Root, info_hash: str, port: int, *, is_whole: bool) -> None:
        """Say that we serve a bundle at this port."""
        expires_at = int(time.time()) + SIGNATURE_VALID_S
        signature = sign_upload(self._account, self._chain_id, root, expires_at).hex()
        headers = {EXPIRES_HEADER: str(expires_at), SIGNATURE_HEADER: signature, **JSON}
        body = NoticeIn(info_hash=info_hash, port=port, is_whole=is_whole).model_dump_json().encode()
        self._on_all(lambda tracker: tracker.put(f"/v1/swarm/{root.hex()}", body, headers))

    def holders(self, root: Root) -> list[NoticeOut]:
        """Who says that it serves a bundle; whole copies and then the most named torrents first."""
        answers = self._from_all(f"/v1/swarm/{root.hex()}", Notices.model_validate_json)
        found = {(each.info_hash, each.host, each.port): each for notices in answers for each in notices.notices}
        known = [each for each in found.values() if _is_address(each.host)]
        votes = Counter(each.info_hash for each in known)
        return sorted(known, key=lambda each: (-votes[each.info_hash], not each.is_whole))

    def post(self, task_id: TaskId, epoch: Epoch, signed: PolicySignature) -> None:
        body = SignatureIn(policy_root=signed.policy_root.hex(), signature=signed.signature.hex()).model_dump_json()
        path = f"/v1/tasks/{task_id}/epochs/{epoch}/signatures/{signed.operator}"
        self._on_all(lambda tracker: tracker.put(path, body.encode(), JSON))

    def signatures(self, task_id: TaskId, epoch: Epoch) -> list[PolicySignature]:
        answers = self._from_all(f"/v1/tasks/{task_id}/epochs/{epoch}/signatures", Board.model_validate_json)
        found = {
            PolicySignature(
                Address(to_checksum_address(each.operator)),
                Root(bytes.fromhex(each.policy_root)),
                bytes.fromhex(each.signature),
            )
            for answer in answers
            for each in answer.signatures
        }
        return sorted(found, key=lambda signed: (int(signed.operator, 16), signed.policy_root, signed.signature))

    def _from_all(self, path: str, parse: Callable[[bytes], T]) -> list[T]:
        answers, faults = list[T](), list[str]()
        for tracker in self._trackers:
            try:
                answers.append(parse(tracker.get(path, MAX_TRACKER_BYTES)))
            except (Unavailable, CorruptResponse, ValidationError) as error:
                faults.append(f"{tracker}: {str(error).splitlines()[0]}")
        if not answers:
            raise Unavailable(f"no swarm tracker answers: {'; '.join(faults)}")
        return answers

    def _on_all(self, act: Callable[[RemoteRelay], object]) -> None:
        done, retry, refusals = 0, list[str](), list[str]()
        for tracker in self._trackers:
            try:
                act(tracker)
                done += 1
            except Unavailable as error:
                retry.append(str(error))
            except Stop as error:
                refusals.append(str(error))
        if done:
            if faults := "; ".join(retry + refusals):
                log.warning("not on every tracker", extra={"faults": faults})
        elif retry:
            raise Unavailable(f"no swarm tracker answers: {'; '.join(retry + refusals)}")
        else:
            raise Stop(f"swarm trackers refuse: {'; '.join(refusals)}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
