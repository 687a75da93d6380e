"""A network as a program uses it: its contracts through one node, its bundles, and a folder for what is read of it."""

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_core.bundle.disk import expanded
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import SubmissionId, TaskId

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.follow import TaskFollower
    from assay_core.chain.ledger import TaskLedger
    from assay_core.chain.signers import Signer
    from assay_core.daemon.stopping import StopFlag
    from assay_core.transport.choose import EngineName, Transport

ROOT = re.compile(r"(0x)?[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Network:
    """What `connect` returns. `settings` are those of daemons that shall run on it, see `run_trainer`."""

    chain: "Chain"
    state_dir: Path
    open_transport: "Callable[[], AbstractContextManager[Transport]]"
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def task_count(self) -> int:
        """Tasks are numbered from 1. Raises Unavailable."""
        return self.chain.registry.task_count()

    def task(self, task_id: int) -> "TaskLedger":
        """All that has happened in a task. What was read is kept, so that the next call reads only news.

        Raises Stop: no such task. Unavailable: the node is down.
        """
        with _follower(self, task_id) as follower:
            return follower.refresh()


def connect(
    network: str | PathLike[str] = "local",
    *,
    rpc_url: str | None = None,
    relays: Sequence[str] = (),
    engine: "EngineName" = "relay",
    engines: Mapping[str, Mapping[str, Any]] | None = None,
    account: "Signer | None" = None,
    state_dir: str | PathLike[str] = "~/.assay",
) -> Network:
    """Connect to a network, by its name or by the path of its deployment's file.

    Args:
        rpc_url: node to talk to; by default the deployment's.
        relays: where bundles lie; by default those of the deployment.
        engine: what moves bundles; `engines` are its settings, by the names of a settings file's tables.
        account: who speaks in a swarm; the other engines need none.
    Raises Stop: no such deployment, or the node serves another chain. Unavailable: the node is down.
    """
    from assay_core.chain.connection import Chain
    from assay_core.chain.deployment import deployment_file, load_deployment
    from assay_core.transport.choose import open_engine

    file, folder = deployment_file(network), expanded(state_dir)
    deployment = load_deployment(file)
    chosen, tables = tuple(relays) or deployment.relays, dict(engines or {})

    def open_transport() -> "AbstractContextManager[Transport]":
        if engine == "relay" and not chosen:
            raise Stop(f"network {deployment.network!r} names no relay: name one")
        cache, chain_id = folder / "cache", deployment.chain_id
        return open_engine(engine, relays=chosen, cache=cache, chain_id=chain_id, account=account, tables=tables)

    settings = {"network": str(file), "rpc_url": rpc_url, "relays": chosen, "engine": engine, "engines": tables}
    return Network(Chain.connect(deployment, rpc_url), folder, open_transport, settings)


def follow_task(
    network: Network, task_id: int, *, poll_s: float = 1.0, stop: "StopFlag | None" = None
) -> "Iterator[TaskLedger]":
    """A task's ledger as it is, and again whenever something has happened, until `stop` is set.

    It is the same object, grown, unless the chain was reorganised. A node that is down is waited for.
    Raises Stop: no such task. Unavailable: the node is down at the very start.
    """
    with _follower(network, task_id) as follower:
        ledger = follower.refresh()
        while True:
            yield ledger
            seen = ledger.position
            while ledger.position == seen:
                if stop is not None and stop.is_set():
                    return
                time.sleep(poll_s)
                with suppress(Unavailable):
                    ledger = follower.refresh()


@contextmanager
def _follower(network: Network, task_id: int) -> "Generator[TaskFollower]":
    """Raises Stop: no such task. Unavailable: the node is down."""
    from assay_core.chain.event_store import EventStore
    from assay_core.chain.follow import TaskFollower

    number, at = require_task(network.chain, task_id), network.chain.deployment
    # a local chain that starts again has the same addresses: then the follower finds other blocks, and reads again
    file = f"{at.network}-{at.chain_id}-{at.payouts[2:10].lower()}.db"  # the last to be created: any change shows
    store = EventStore(network.state_dir / "events" / file, at)
    try:
        yield TaskFollower(network.chain, store, number)
    finally:
        store.close()


def require_task(chain: "Chain", task_id: int) -> TaskId:
    """The task of that number. Raises Stop: the network has none."""
    count = chain.registry.task_count()
    if not 1 <= task_id <= count:
        there = "there is none yet" if count == 0 else f"there is task 1 to {count}" if count > 1 else "there is task 1"
        raise Stop(f"no task {task_id} on network {chain.deployment.network!r}: {there}; see `assay task list`")
    return TaskId(task_id)


def named_submission(network: Network, name: str, *, accepted: str) -> "tuple[TaskLedger, SubmissionId]":
    """The task's ledger and the submission that `name` means, whether it is there or not.

    Raises Stop: no name of a submission (`accepted` says what is one), or no such task. Unavailable: the node is down.
    """
    try:
        submission_id = SubmissionId.parse(name)
    except ValueError as error:
        raise Stop(f"{name[:80]!r} names no submission: write {accepted}") from error
    return network.task(submission_id.task_id), submission_id


def find_submission(network: Network, submission: str) -> "tuple[TaskLedger, SubmissionId]":
    """Raises Stop: neither a submission's name nor the root of one."""
    if not ROOT.fullmatch(submission.lower()):
        return named_submission(network, submission, accepted="task/epoch/index, such as 1/0/2, or a manifest root")
    root = bytes.fromhex(submission.lower().removeprefix("0x"))
    for number in range(1, network.task_count + 1):
        ledger = network.task(number)
        for record in ledger.epochs.values():
            for committed in record.submissions:
                if committed.submission.manifest_root == root:
                    return ledger, SubmissionId(ledger.task_id, record.epoch, committed.submission.index)
    raise Stop(f"no submission on network {network.chain.deployment.network!r} has the manifest root {root.hex()}")
