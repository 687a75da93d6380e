"""Which rules a task goes by, and whether this program knows them."""

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import PROTOCOL_VERSION, TaskId, TaskParams


def require_version(task_id: TaskId, params: TaskParams) -> None:
    """For anyone who is about to enlist or to bond. Raises Stop: the task goes by rules that this program does not
    know.

    Submissions made or judged by other rules would not be accepted: that would cost the bond.
    """
    if params.protocol_version != PROTOCOL_VERSION:
        raise Stop(
            f"task {task_id} goes by version {params.protocol_version} of the protocol, and this program by version "
            f"{PROTOCOL_VERSION}: take part with a release of Assay for that version, or choose another task"
        )
