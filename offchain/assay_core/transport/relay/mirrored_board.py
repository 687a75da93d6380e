"""The policy board of relays that mirror each other: a signature posted to one is found on all.

A relay that is asked for the signatures of an epoch asks its upstreams first, and keeps what they have and it lacks
once it has checked it like any upload. So a board spreads as far as somebody reads it, at no cost where nobody does.
"""

import logging
import time
from collections.abc import Callable, Sequence

from assay_core.protocol.errors import Rejected, Unavailable
from assay_core.protocol.types import Epoch, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.relay.authority import Remembered, SignatureChecker
from assay_core.transport.relay.remote import CorruptResponse, RemoteRelay
from assay_core.transport.relay.shard_store import ShardStore

log = logging.getLogger(__name__)

ASK_EVERY_S = 0.3
"""How long upstreams are not asked again; where mirrors ask each other in a circle, that ends it too."""
MAX_TAKEN = 256
"""Signatures that are new to us, of one upstream and epoch at a time: each costs a recovery and may ask the node."""


class MirroredBoard:
    """Safe to use from several threads."""

    def __init__(
        self,
        upstreams: Callable[[int], Sequence[RemoteRelay]],
        shards: ShardStore,
        checker: SignatureChecker,
        max_hops: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`upstreams`: whom to ask on behalf of a request that came through so many mirrors, below `max_hops`."""
        self._upstreams, self._shards, self._checker, self._max_hops = upstreams, shards, checker, max_hops
        self._asked = Remembered[tuple[TaskId, Epoch], float](lambda _: ASK_EVERY_S, clock)

    def catch_up(self, task_id: TaskId, epoch: Epoch, hops: int) -> None:
        """Take over what upstreams hold and we lack. What fails is for the next time: boards are asked again."""
        if hops >= self._max_hops:
            return
        token = time.monotonic()
        if self._asked.get((task_id, epoch), lambda: token) != token:  # a moment ago, or this very moment
            return
        for relay in self._upstreams(hops):
            if relay.is_shunned:
                continue
            try:
                self._take(task_id, epoch, relay.signatures(task_id, epoch))
            except CorruptResponse as corrupt:
                relay.drop(str(corrupt))
            except (Unavailable, Rejected) as error:
                log.info("board not mirrored", extra={"relay": str(relay), "why": str(error)})

    def _take(self, task_id: TaskId, epoch: Epoch, offered: Sequence[PolicySignature]) -> None:
        known = set(self._shards.signatures(task_id, epoch))
        for signed in [each for each in offered if each not in known][:MAX_TAKEN]:
            if self._checker.is_signed_by(task_id, epoch, signed.operator, signed.policy_root, signed.signature):
                self._shards.add_signature(task_id, epoch, signed)
