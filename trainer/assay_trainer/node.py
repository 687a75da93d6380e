"""A trainer's node: what its worker needs of chain, network and machine, in one object."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from assay_core.chain.pace import Pace
from assay_core.chain.signers import Signer
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import StopFlag
from assay_core.protocol.types import Root
from assay_trainer.bond import BondChain
from assay_trainer.journal import Journal
from assay_trainer.pulse import Pulse
from assay_trainer.submission_builder import Fetcher
from assay_trainer.submit import Committer, Publisher


class TaskChain(Committer, BondChain, Protocol):
    """One task on chain, for one trainer. Every method raises Unavailable, those that send also Reverted and Stop."""

    def now(self) -> int:
        """Unix time of the newest block."""
        ...

    def is_sending(self) -> bool:
        """Whether a transaction of our key is still on its way."""
        ...

    def enlist(self, terms_hash: bytes) -> None: ...
    def leave(self) -> None:
        """End our enlistment: no epoch waits for us any more."""
        ...


class Transport(Fetcher, Publisher, Protocol):
    """The parts of a transport engine that a trainer needs; see offchain/assay_core/transport/engine.py."""


@dataclass(frozen=True, slots=True)
class Node:
    """`account`: the key that acts; `tidy_cache` is told at each look which bundles are still needed."""

    chain: TaskChain
    transport: Transport
    account: Signer
    journal: Journal
    status: Status
    stop: StopFlag
    pace: Pace
    tidy_cache: Callable[[Iterable[Root]], None]
    pulse: Pulse = field(default_factory=Pulse)
