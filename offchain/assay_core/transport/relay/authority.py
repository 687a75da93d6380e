"""Who may put something on a relay: the relay's protocols, and their answers from the chain."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from assay_core.protocol.errors import Rejected
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId

K = TypeVar("K")
V = TypeVar("V")


class Authoriser(Protocol):
    """Decides uploads. Raises Unavailable when it cannot tell: the relay then asks the uploader to retry."""

    def payer_of(self, key: Address) -> Address | None:
        """The operator or initiator whose quota an upload by `key` is charged to; None: `key` may not upload."""
        ...


class SignatureChecker(Protocol):
    """Decides what goes on the policy board. Raises Unavailable when it cannot tell."""

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        """Whether a key of `operator`, a verifier of the epoch, signed this policy for the seed that sealed it."""
        ...


class ChainReader(Protocol):
    """The narrow view of the contracts that a relay needs; addresses may be worker keys where it says key."""

    def operator_of(self, key: Address) -> Address:
        """The operator that `key` acts for; itself when it is nobody's worker key."""
        ...

    def bond_of(self, operator: Address) -> int:
        """All of its bond in wei, free or locked, in whichever role it is greatest."""
        ...

    def is_initiator(self, address: Address) -> bool:
        """Whether it has opened a task."""
        ...

    def judges(self, task_id: TaskId, epoch: Epoch, operator: Address) -> bool:
        """Whether it is one of the verifiers of an epoch."""
        ...

    def seed_of(self, task_id: TaskId, epoch: Epoch) -> Seed | None:
        """By which an epoch was sealed; None: it is not."""
        ...


class ChainAuthoriser:
    """Bonded operators, their worker keys and initiators may upload; each pays out of one quota.

    Answers are remembered: a yes for `yes_s`, a no only for `no_s`, so that a fresh bond is noticed at once and
    strangers cannot turn the relay into a flood of calls to the node.
    """

    def __init__(
        self,
        reader: ChainReader,
        *,
        min_bond_wei: int = 1,
        yes_s: float = 60.0,
        no_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._min_bond_wei = min_bond_wei
        self._known = Remembered[Address, Address | None](lambda payer: no_s if payer is None else yes_s, clock)

    def payer_of(self, key: Address) -> Address | None:
        return self._known.get(key, lambda: self._ask(key))

    def _ask(self, key: Address) -> Address | None:
        operator = self._reader.operator_of(key)
        if self._reader.bond_of(operator) >= self._min_bond_wei:
            return operator
        return key if self._reader.is_initiator(key) else None


class ChainSignatureChecker:
    """Recovers the signer (`recover` knows the EIP-712 domain of Policies) and asks the chain who it acts for.

    Who judges an epoch never changes once it is sealed, and its seed only where the chain is taken back: both are
    remembered like the answers of `ChainAuthoriser`.
    """

    def __init__(
        self,
        reader: ChainReader,
        recover: Callable[[TaskId, Epoch, Seed, Root, bytes], Address],
        *,
        yes_s: float = 60.0,
        no_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._recover = recover
        self._seeds = Remembered[tuple[TaskId, Epoch], Seed | None](lambda seed: yes_s if seed else no_s, clock)
        self._judges = Remembered[tuple[TaskId, Epoch, Address], bool](lambda yes: yes_s if yes else no_s, clock)

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        seed = self._seeds.get((task_id, epoch), lambda: self._reader.seed_of(task_id, epoch))
        if seed is None:
            return False
        try:
            signer = self._recover(task_id, epoch, seed, policy_root, signature)
        except Rejected:
            return False
        if signer != operator and self._reader.operator_of(signer) != operator:
            return False
        key = (task_id, epoch, operator)
        return self._judges.get(key, lambda: self._reader.judges(task_id, epoch, operator))


class Remembered(Generic[K, V]):
    """Answers kept for as long as `keep_s` says of each; the oldest leave when there are more than `most`."""

    def __init__(self, keep_s: Callable[[V], float], clock: Callable[[], float], most: int = 4_096) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._most = most
        self._answers: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """The remembered answer, else that of `ask`, whose errors are not remembered."""
        with self._lock:
            known = self._answers.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        answer = ask()
        with self._lock:
            self._answers[key] = (self._clock() + self._keep_s(answer), answer)
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer
