"""Reading a task's history for one command: the ledger, its spec from the relays, and both as people read them."""

from typing import TYPE_CHECKING, Any

from offchain.protocol.errors import ProtocolError, Stop
from offchain.protocol.manifest import BundleKind, BundleLimits
from offchain.protocol.types import EpochPhase, TaskId

if TYPE_CHECKING:
    from offchain.chain.connection import Chain
    from offchain.chain.ledger import CommittedWork, EpochRecord, TaskLedger
    from offchain.cli.invocation import Invocation
    from offchain.protocol.spec import TaskSpec
    from offchain.protocol.types import WorkId

SPEC_NAME = "spec.json"
TASK_BUNDLE_LIMITS = BundleLimits(bundle_bytes=2**20, files=16)


def task_ledger(invocation: "Invocation", chain: "Chain", task_id: int) -> "TaskLedger":
    """All that has happened in a task. What was read stays in a file, so that the next command reads only news.

    Raises Stop: no such task. Unavailable: the node is down.
    """
    from offchain.chain.event_store import EventStore
    from offchain.chain.follow import TaskFollower

    at = chain.deployment
    # a local chain that starts anew has the same addresses: then the follower finds other blocks, and reads again
    file = f"{at.network}-{at.chain_id}-{at.payouts[2:10].lower()}.db"  # the last to be created: any change shows
    store = EventStore(invocation.state_folder("events") / file, at)
    try:
        return TaskFollower(chain, store, TaskId(task_id)).refresh()
    finally:
        store.close()


def named_work(invocation: "Invocation", chain: "Chain", name: str, *, accepted: str) -> "tuple[TaskLedger, WorkId]":
    """The task's ledger and the work that `name` means, whether it is there or not.

    Raises Stop: no name of a work (`accepted` says what is one), or no such task. Unavailable: the node is down.
    """
    from offchain.cli.task import require_task
    from offchain.protocol.types import WorkId

    try:
        work_id = WorkId.parse(name)
    except ValueError as error:
        raise Stop(f"{name[:80]!r} names no work: write {accepted}") from error
    require_task(chain, work_id.task_id)
    return task_ledger(invocation, chain, work_id.task_id), work_id


def committed_work(ledger: "TaskLedger", work_id: "WorkId") -> "tuple[EpochRecord, CommittedWork]":
    """Raises Stop: there is no such work."""
    try:
        committed = ledger.work(work_id.epoch, work_id.index)
    except LookupError as error:
        raise Stop(f"{error}: `assay task show {work_id.task_id}` lists the epochs and their works") from error
    return ledger.epochs[work_id.epoch], committed


def fetch_spec(invocation: "Invocation", ledger: "TaskLedger") -> "tuple[TaskSpec | None, str]":
    """The task's spec from the relays, or None and why not: commands that only show it go on without."""
    from offchain.protocol.spec import parse_spec

    try:
        with invocation.relay_client() as client:
            directory = client.fetch(ledger.task.spec_hash, BundleKind.TASK, TASK_BUNDLE_LIMITS)
            return parse_spec((directory / SPEC_NAME).read_bytes()), ""
    except ProtocolError as error:
        return None, str(error)
    except OSError as error:
        return None, f"its task bundle has no readable {SPEC_NAME}: {error.strerror}"


def phase_of(record: "EpochRecord") -> str:
    """Where an epoch stands, as its events tell it (a window that has just passed shows with the next event)."""
    if record.is_void:
        phase = EpochPhase.VOID
    elif record.is_final:
        phase = EpochPhase.FINAL
    elif record.is_settled:
        phase = EpochPhase.CHALLENGEABLE
    elif record.is_attested:
        phase = EpochPhase.ATTESTED
    elif record.reveals:
        phase = EpochPhase.ATTEST_REVEAL
    elif record.is_sealed:
        phase = EpochPhase.ATTEST_COMMIT
    else:
        phase = EpochPhase.COMMITTING
    return phase.name.lower().replace("_", " ")


def epoch_json(record: "EpochRecord") -> dict[str, Any]:
    """An epoch for programs."""
    return {
        "epoch": record.epoch,
        "phase": phase_of(record),
        "works": [
            {
                "index": committed.work.index,
                "trainer": committed.work.trainer,
                "units": committed.work.units,
                "policy_version": committed.work.policy_version,
                "manifest_root": committed.work.manifest_root,
                "score": record.score_of(committed.work.index),
                "claimed_wei": record.claims.get(committed.work.index),
                "is_slashed": committed.work.index in record.frauds,
            }
            for committed in record.works
        ],
        "seed": record.seed,
        "attest_by": record.attest_by,
        "challenge_by": record.challenge_by,
        "committed": sorted(record.commitments),
        "revealed": sorted(record.reveals),
        "policy_version": record.policy.version if record.policy else None,
    }
