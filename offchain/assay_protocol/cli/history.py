"""Reading a task's history for one command: the ledger, its spec from the relays, and both as people read them."""

from typing import TYPE_CHECKING

from assay_core.protocol.errors import ProtocolError, Stop
from assay_core.protocol.types import TaskId

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.ledger import TaskLedger
    from assay_core.protocol.spec import TaskSpec
    from assay_core.protocol.types import WorkId
    from assay_protocol.cli.invocation import Invocation


def task_ledger(invocation: "Invocation", chain: "Chain", task_id: int) -> "TaskLedger":
    """All that has happened in a task. What was read stays in a file, so that the next command reads only news.

    Raises Stop: no such task. Unavailable: the node is down.
    """
    from assay_core.chain.event_store import EventStore
    from assay_core.chain.follow import TaskFollower

    at = chain.deployment
    # a local chain that starts anew has the same addresses: then the follower finds other blocks, and reads again
    file = f"{at.network}-{at.chain_id}-{at.payouts[2:10].lower()}.db"  # the last to be created: any change shows
    store = EventStore(invocation.state_folder("events") / file, at)
    try:
        return TaskFollower(chain, store, TaskId(task_id)).refresh()
    finally:
        store.close()


def require_task(chain: "Chain", task_id: int) -> None:
    """Raises Stop: the network has no such task."""
    count = chain.registry.task_count()
    if not 1 <= task_id <= count:
        there = "there is none yet" if count == 0 else f"there is task 1 to {count}" if count > 1 else "there is task 1"
        raise Stop(f"no task {task_id} on network {chain.deployment.network!r}: {there}; see `assay task list`")


def named_work(invocation: "Invocation", chain: "Chain", name: str, *, accepted: str) -> "tuple[TaskLedger, WorkId]":
    """The task's ledger and the work that `name` means, whether it is there or not.

    Raises Stop: no name of a work (`accepted` says what is one), or no such task. Unavailable: the node is down.
    """
    from assay_core.protocol.types import WorkId

    try:
        work_id = WorkId.parse(name)
    except ValueError as error:
        raise Stop(f"{name[:80]!r} names no work: write {accepted}") from error
    require_task(chain, work_id.task_id)
    return task_ledger(invocation, chain, work_id.task_id), work_id


def spec_if_any(invocation: "Invocation", ledger: "TaskLedger") -> "tuple[TaskSpec | None, str]":
    """The task's spec from the relays, or None and why not: commands that only show it go on without."""
    from assay_core.transport.engine import fetch_spec

    try:
        with invocation.relay_client() as client:
            return fetch_spec(client, ledger.task.spec_hash), ""
    except ProtocolError as error:
        return None, str(error)
