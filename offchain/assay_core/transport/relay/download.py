"""Many shards from many relays at once: the fast ones do the most, and none can hold the others up.

Each shard is asked of the relay that would be done with it first. One that a relay drags along is asked of another as
well, and anyone who comes second is abandoned. So a slow relay, or one that has gone silent, costs a moment.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from assay_core.protocol.errors import Unavailable
from assay_core.transport.relay.remote import Coming, CorruptResponse, RemoteRelay
from assay_core.transport.relay.wire import Abandoned, Call

Take = Callable[[bytes, memoryview], None]
"""What is done with a verified shard; called from several threads. The memory is only lent."""

DRAGS_S = 1.0  # an answer that takes longer, and three times as long as another relay would, is asked for twice
AGAIN_S = 0.05
COMING = ""  # no fault
TICK_S = 0.1


@dataclass(slots=True)
class _Shard:
    digest: bytes
    size: int
    calls: dict[RemoteRelay, Call] = field(default_factory=dict[RemoteRelay, Call])
    faults: dict[RemoteRelay, str] = field(default_factory=dict[RemoteRelay, str])
    expected_by: dict[RemoteRelay, int] = field(default_factory=dict[RemoteRelay, int])
    """How often a relay has said that it is on its way there."""
    not_before: float = 0.0
    taken_from: RemoteRelay | None = None

    @property
    def is_taken(self) -> bool:
        return self.taken_from is not None


def download(
    shards: Mapping[bytes, int],
    relays: Callable[[], Sequence[RemoteRelay]],
    take: Take,
    *,
    threads: int,
    stall_s: float,
) -> None:
    """Fetch every shard (size by digest), in this order as far as possible, `threads` at a time.

    `relays` are those that may still be asked. `stall_s` is how long to wait for shards that are on their way to the
    relays themselves. Raises Unavailable: a shard that no relay has; what `take` raises.
    """
    if shards:
        _Download(shards, relays, take, stall_s).run(min(threads, len(shards)))


class _Download:
    def __init__(
        self, shards: Mapping[bytes, int], relays: Callable[[], Sequence[RemoteRelay]], take: Take, stall_s: float
    ) -> None:
        self._relays = relays
        self._take = take
        self._stall_s = stall_s
        self._waiting = deque(_Shard(digest, size) for digest, size in shards.items())
        self._under_way: list[_Shard] = []
        self._left = len(shards)
        self._buffer_bytes = max(shards.values())
        self._failure: BaseException | None = None
        self._last_progress = time.monotonic()
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._ended = threading.Condition(lock)  # apart, so that not every shard wakes who waits for the last one
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._taking = 0

    def run(self, threads: int) -> None:
        for _ in range(threads):
            self._add_thread()
        try:
            with self._changed:
                while self._left and self._failure is None:
                    self._ended.wait(TICK_S)
                    self._watch()
        except BaseException as error:  # noqa: BLE001 — Ctrl-C: end what is under way, then raise it
            with self._changed:
                self._fail(error)
        with self._changed:  # threads whose relay is silent end by themselves, and touch nothing any more
            while self._taking:
                self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._submission, name="shardcast", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self) -> None:
        """End what takes too long, and see to it that somebody is free to help out."""
        now = time.monotonic()
        for shard in self._under_way:
            for relay, call in shard.calls.items():
                if now > call.started_at + relay.timeout_s(shard.size):
                    call.abandon("too slow")
        calls = [call for shard in self._under_way for call in shard.calls.values()]
        if now > self._last_progress + self._stall_s and not any(call.received for call in calls):
            self._fail(Unavailable(f"nothing more of the bundle has come in for {self._stall_s:.0f} s"))
        if not self._idle and len(self._threads) < 64 and self._dragged_along() is not None:
            self._add_thread()

    # ---------------------------------------------------------------------------------------------- one thread

    def _submission(self) -> None:
        buffer = memoryview(bytearray(self._buffer_bytes))
        while (job := self._next()) is not None:
            shard, relay, call = job
            fault: str | None = None
            error: BaseException | None = None
            into = buffer[: shard.size]
            try:
                with relay.busy():
                    relay.get_shard(shard.digest, into, call)
                if self._is_first_with(shard, relay):
                    self._take(shard.digest, into)
            except Abandoned as abandoned:
                if not shard.is_taken and self._failure is None:
                    relay.shun("stalls")
                fault = f"{relay} does not answer: {abandoned}"
            except Coming:
                fault = COMING
            except CorruptResponse as corrupt:
                relay.drop(str(corrupt))
                fault = str(corrupt)
            except Unavailable as unavailable:
                fault = str(unavailable)
            except BaseException as other:  # noqa: BLE001 — raised again where the caller waits
                error = other
            with self._changed:
                self._end(shard, relay, fault, error)

    def _is_first_with(self, shard: _Shard, relay: RemoteRelay) -> bool:
        """Whether this thread's copy is the one to take; it then has to `_end` before the download returns."""
        with self._changed:
            if shard.is_taken or self._failure is not None:
                return False
            shard.taken_from = relay
            self._taking += 1
            for call in shard.calls.values():
                call.abandon("another relay was faster")
            return True

    def _end(self, shard: _Shard, relay: RemoteRelay, fault: str | None, error: BaseException | None) -> None:
        del shard.calls[relay]
        if error is not None:
            self._fail(error)
        if shard.taken_from is relay:
            self._taking -= 1
            self._left -= 1
            self._last_progress = time.monotonic()
            self._under_way.remove(shard)
        elif not shard.is_taken:
            if fault == COMING:
                shard.expected_by[relay] = shard.expected_by.get(relay, 0) + 1
                if all(other in shard.expected_by for other in self._candidates(shard)):
                    shard.not_before = time.monotonic() + AGAIN_S
            elif fault is not None:
                shard.faults[relay] = fault
            if not shard.calls:
                self._under_way.remove(shard)
                self._waiting.appendleft(shard)
        self._changed.notify_all()
        if not self._left or self._failure is not None:
            self._ended.notify_all()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        for shard in self._under_way:
            for call in shard.calls.values():
                call.abandon("the download has failed")
        self._changed.notify_all()
        self._ended.notify_all()

    # ------------------------------------------------------------------------------------------- who does what

    def _next(self) -> tuple[_Shard, RemoteRelay, Call] | None:
        """What to do next; None: nothing is left."""
        with self._changed:
            while self._left and self._failure is None:
                chosen = self._waiting_shard() or self._dragged_along()
                if chosen is not None:
                    shard, relay = chosen
                    if shard not in self._under_way:
                        self._waiting.remove(shard)
                        self._under_way.append(shard)
                    shard.calls[relay] = call = Call()
                    return shard, relay, call
                if self._failure is not None:
                    break
                self._idle += 1
                self._changed.wait(TICK_S if not self._waiting else AGAIN_S)
                self._idle -= 1
            return None

    def _waiting_shard(self) -> tuple[_Shard, RemoteRelay] | None:
        now = time.monotonic()
        for shard in self._waiting:
            if shard.not_before > now:
                continue
            candidates = self._candidates(shard)
            if candidates:
                return shard, candidates[0]
            faults = "; ".join(shard.faults.values()) or "all of them lied before"
            self._fail(Unavailable(f"no relay has shard {shard.digest.hex()}: {faults}"))
            return None
        return None

    def _dragged_along(self) -> tuple[_Shard, RemoteRelay] | None:
        """A shard that takes its relay much longer than it would take another one."""
        now = time.monotonic()
        for shard in self._under_way:
            if shard.is_taken or len(shard.calls) != 1:
                continue
            ((relay, call),) = shard.calls.items()
            others = [other for other in self._candidates(shard) if other is not relay and not other.is_shunned]
            if others and now - call.started_at > max(DRAGS_S, 3 * others[0].expected_s(shard.size)):
                return shard, others[0]
        return None

    def _candidates(self, shard: _Shard) -> list[RemoteRelay]:
        """Who may be asked, the likely fastest first; those that had to wait for it themselves come last."""
        able = [relay for relay in self._relays() if relay not in shard.faults and relay not in shard.calls]
        return sorted(able, key=lambda relay: (shard.expected_by.get(relay, 0), relay.rank()))
