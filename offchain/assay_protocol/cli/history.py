"""Reading a task's history for one command: the ledger, its spec from the relays, and both as people read them."""

from typing import TYPE_CHECKING

from assay_core.protocol.errors import ProtocolError
from assay_protocol.network import read_task

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.ledger import TaskLedger
    from assay_core.protocol.spec import TaskSpec
    from assay_protocol.cli.invocation import Invocation


def task_ledger(invocation: "Invocation", chain: "Chain", task_id: int) -> "TaskLedger":
    """All that has happened in a task. Raises Stop: no such task. Unavailable: the node is down."""
    return read_task(chain, invocation.state_folder(), task_id)


def spec_if_any(invocation: "Invocation", ledger: "TaskLedger") -> "tuple[TaskSpec | None, str]":
    """The task's spec from the relays, or None and why not: commands that only show it go on without."""
    from assay_core.transport.engine import fetch_spec

    try:
        with invocation.relay_client() as client:
            return fetch_spec(client, ledger.task.spec_hash), ""
    except ProtocolError as error:
        return None, str(error)
