"""Assay as a library: from a task's file to what its submissions have earned. docs/library.md shows each name in use.

Importing this costs nothing: what a name stands for is imported when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay_core.chain.ledger import TaskLedger
    from assay_core.protocol.errors import ProtocolError, Rejected, Reverted, Stop, Unavailable
    from assay_protocol.devnet.localnet import local_network
    from assay_protocol.lookup import explain, export_policy
    from assay_protocol.network import Network, connect, follow_task
    from assay_protocol.opening import build_task, open_task
    from assay_protocol.reproduction import judge, reproduce
    from assay_protocol.rewards import bond, claim, earnings
    from assay_protocol.running import run_trainer, run_verifier
    from assay_protocol.submission import build_submission
    from assay_protocol.task_file import load_task_file
    from assay_protocol.tasks import example_task

__all__ = [
    "Network",
    "ProtocolError",
    "Rejected",
    "Reverted",
    "Stop",
    "TaskLedger",
    "Unavailable",
    "bond",
    "build_submission",
    "build_task",
    "claim",
    "connect",
    "earnings",
    "example_task",
    "explain",
    "export_policy",
    "follow_task",
    "judge",
    "load_task_file",
    "local_network",
    "open_task",
    "reproduce",
    "run_trainer",
    "run_verifier",
]

_MODULES = {
    "assay_core.chain.ledger": ("TaskLedger",),
    "assay_core.protocol.errors": ("ProtocolError", "Rejected", "Reverted", "Stop", "Unavailable"),
    "assay_protocol.devnet.localnet": ("local_network",),
    "assay_protocol.network": ("Network", "connect", "follow_task"),
    "assay_protocol.opening": ("build_task", "open_task"),
    "assay_protocol.reproduction": ("judge", "reproduce"),
    "assay_protocol.rewards": ("bond", "claim", "earnings"),
    "assay_protocol.running": ("run_trainer", "run_verifier"),
    "assay_protocol.submission": ("build_submission",),
    "assay_protocol.task_file": ("load_task_file",),
    "assay_protocol.tasks": ("example_task",),
    "assay_protocol.lookup": ("explain", "export_policy"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
