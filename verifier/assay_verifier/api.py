"""`verifier serve`: what this verifier saw and judged, and why.

Reads the database that `verifier run` writes.
"""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assay_core.daemon.health import STALE_AFTER_S, health_of
from assay_core.daemon.metrics import CONTENT_TYPE, Readings, text_of
from assay_core.protocol.encoding import parse_canonical_json
from assay_verifier.database import Sessions
from assay_verifier.heartbeat import beat_of
from assay_verifier.metrics import database_metrics
from assay_verifier.models import AttestationRow, EpochRow, EvidenceRow, HeartbeatRow, PolicyRow, SubmissionRow, TaskRow
from assay_verifier.showing import is_shown, shown_epochs, without_verdict
from assay_verifier.web.answers import HeadAsGet, Prefixed, answer_errors
from assay_verifier.web.pages import pages

T = TypeVar("T")
MAX_ID = 2**63 - 1
TaskNumber = Annotated[int, Path(ge=1, le=MAX_ID)]
EpochNumber = Annotated[int, Path(ge=0, le=MAX_ID)]
Index = Annotated[int, Path(ge=0, le=65_535)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Offset = Annotated[int, Query(ge=0, le=MAX_ID)]


class DaemonOut(BaseModel):
    """What `verifier run` last wrote about itself for one task. `since` and `deadline` are Unix times."""

    task_id: int
    block: int
    block_age_s: float
    look_age_s: float
    has_ended: bool
    doing: str
    since: float
    deadline: int | None
    earned_wei: str


class HealthOut(BaseModel):
    """`status`: ok; stale, where a daemon or its node has stood still for too long; no daemon, before the first."""

    status: str
    tasks: int
    daemons: list[DaemonOut]


class TaskOut(BaseModel):
    task_id: int
    title: str
    initiator: str
    spec_root: str
    is_closed: bool
    epochs: int
    newest_policy: int | None


class TaskDetailOut(TaskOut):
    spec: dict[str, Any]


class EpochOut(BaseModel):
    """`scores` are what the quorum settled on, one per submission; `report` is this verifier's own, None until
    revealed.
    """

    task_id: int
    epoch: int
    phase: str
    seed: str | None
    submissions: int
    scores: list[int] | None
    report: list[int] | None
    evidence_root: str | None
    committed: bool
    revealed: bool


class SubmissionOut(BaseModel):
    """`score` is this verifier's own (0 unpaid, 1-100 percent, 255 fraud), `settled_score` the quorum's.

    All that this verifier found is None until its attestation is revealed.
    """

    task_id: int
    epoch: int
    index: int
    trainer: str
    units: int
    policy_version: int
    manifest_root: str
    score: int | None
    reason: str | None
    settled_score: int | None
    mean_reward: float | None
    update_norm: float | None
    judged_s: float | None


class SubmissionDetailOut(SubmissionOut):
    """`evidence` holds the case and every finding: what was measured, against which threshold."""

    evidence: dict[str, Any] | None


class PolicyOut(BaseModel):
    """`root` was published by the quorum; `own_root` is what this verifier aggregated."""

    task_id: int
    version: int
    epoch: int | None
    root: str | None
    own_root: str | None
    uri: str | None


def _session(request: Request) -> Iterator[Session]:
    sessions: Sessions = request.app.state.sessions
    with sessions() as session:
        yield session


Read = Annotated[Session, Depends(_session)]
router = APIRouter()


def create_api(
    sessions: Sessions,
    *,
    root_path: str = "",
    stale_after_s: float = STALE_AFTER_S,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The service over one database. `root_path`: the prefix that a proxy serves it under, such as `/assay`."""
    api = FastAPI(
        title="Assay verifier",
        description="What this verifier judged, with score, reason and evidence for every submission.",
        version="1",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; /docs is one of ours
        redoc_url=None,
    )
    registry = CollectorRegistry()
    registry.register(Readings(lambda: database_metrics(sessions, clock())))
    api.state.sessions = sessions
    api.state.registry = registry
    api.state.stale_after_s, api.state.clock = stale_after_s, clock
    api.add_middleware(HeadAsGet)
    api.add_middleware(Prefixed, prefix=root_path)
    answer_errors(api)
    api.include_router(router)
    api.include_router(pages)
    return api


@router.get("/health", tags=["service"], responses={503: {"model": HealthOut}})
def read_health(request: Request, response: Response, session: Read) -> HealthOut:
    """How long ago the daemon looked at the chain, and saw a new block there; 503 when that is too long ago."""
    state = request.app.state
    tasks = session.scalar(select(func.count()).select_from(TaskRow)) or 0
    beats = [beat_of(row) for row in session.scalars(select(HeartbeatRow).order_by(HeartbeatRow.task_id))]
    health = health_of(beats, state.clock(), state.stale_after_s)
    response.status_code = health.code
    return HealthOut(status=health.status, tasks=tasks, daemons=[DaemonOut(**each) for each in health.daemons])


@router.get("/metrics", tags=["service"], response_class=Response)
def read_metrics(request: Request) -> Response:
    """In Prometheus' text format."""
    return Response(text_of(request.app.state.registry), media_type=CONTENT_TYPE)


@router.get("/tasks", tags=["tasks"])
def read_tasks(session: Read, limit: Limit = 100, offset: Offset = 0) -> list[TaskOut]:
    """Tasks that this verifier attests for, by id."""
    rows = session.scalars(select(TaskRow).order_by(TaskRow.task_id).limit(limit).offset(offset))
    return [TaskOut(**_task(session, row)) for row in rows]


@router.get("/tasks/{task_id}", tags=["tasks"])
def read_task(task_id: TaskNumber, session: Read) -> TaskDetailOut:
    """One task with its spec; 404 for one that this verifier does not know."""
    row = _found(session.get(TaskRow, task_id), f"task {task_id}")
    return TaskDetailOut(**_task(session, row), spec=_parsed(row.spec))


@router.get("/tasks/{task_id}/epochs", tags=["tasks"])
def read_epochs(task_id: TaskNumber, session: Read, limit: Limit = 100, offset: Offset = 0) -> list[EpochOut]:
    """Epochs, the newest first."""
    _found(session.get(TaskRow, task_id), f"task {task_id}")
    query = select(EpochRow).where(EpochRow.task_id == task_id).order_by(EpochRow.epoch.desc())
    shown = shown_epochs(session, task_id)
    return [_epoch(session, row, row.epoch in shown) for row in session.scalars(query.limit(limit).offset(offset))]


@router.get("/tasks/{task_id}/epochs/{epoch}", tags=["tasks"])
def read_epoch(task_id: TaskNumber, epoch: EpochNumber, session: Read) -> EpochOut:
    """One epoch: its phase, settled scores and this verifier's report."""
    row = _found(session.get(EpochRow, (task_id, epoch)), f"epoch {task_id}/{epoch}")
    return _epoch(session, row, is_shown(session, task_id, epoch))


@router.get("/tasks/{task_id}/epochs/{epoch}/submissions", tags=["submissions"])
def read_submissions(task_id: TaskNumber, epoch: EpochNumber, session: Read) -> list[SubmissionOut]:
    """All submissions of an epoch, by index."""
    _found(session.get(EpochRow, (task_id, epoch)), f"epoch {task_id}/{epoch}")
    query = (
        select(SubmissionRow)
        .where(SubmissionRow.task_id == task_id, SubmissionRow.epoch == epoch)
        .order_by(SubmissionRow.index)
    )
    shown = is_shown(session, task_id, epoch)
    return [SubmissionOut(**_submission(row if shown else without_verdict(row))) for row in session.scalars(query)]


@router.get("/tasks/{task_id}/epochs/{epoch}/submissions/{index}", tags=["submissions"])
def read_submission(task_id: TaskNumber, epoch: EpochNumber, index: Index, session: Read) -> SubmissionDetailOut:
    """One submission with the evidence for its score."""
    row = _found(session.get(SubmissionRow, (task_id, epoch, index)), f"submission {task_id}/{epoch}/{index}")
    if not is_shown(session, task_id, epoch):
        return SubmissionDetailOut(**_submission(without_verdict(row)), evidence=None)
    evidence = session.get(EvidenceRow, (task_id, epoch, index))
    return SubmissionDetailOut(**_submission(row), evidence=_parsed(evidence.document) if evidence else None)


@router.get("/policies", tags=["policies"])
def read_policies(
    session: Read,
    task_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> list[PolicyOut]:
    """Policy versions, by task and version."""
    query = select(PolicyRow).order_by(PolicyRow.task_id, PolicyRow.version).limit(limit).offset(offset)
    if task_id is not None:
        query = query.where(PolicyRow.task_id == task_id)
    return [
        PolicyOut(
            task_id=row.task_id,
            version=row.version,
            epoch=row.epoch,
            root=_hex(row.root),
            own_root=_hex(row.own_root),
            uri=row.uri,
        )
        for row in session.scalars(query)
    ]


def _task(session: Session, row: TaskRow) -> dict[str, Any]:
    epochs = session.scalar(select(func.count()).select_from(EpochRow).where(EpochRow.task_id == row.task_id))
    published = select(func.max(PolicyRow.version)).where(PolicyRow.task_id == row.task_id, PolicyRow.root.is_not(None))
    return {
        "task_id": row.task_id,
        "title": row.title,
        "initiator": row.initiator,
        "spec_root": row.spec_root.hex(),
        "is_closed": row.is_closed,
        "epochs": epochs or 0,
        "newest_policy": session.scalar(published),
    }


def _epoch(session: Session, row: EpochRow, shown: bool) -> EpochOut:
    attestation = session.get(AttestationRow, (row.task_id, row.epoch))
    submissions = select(func.count()).where(SubmissionRow.task_id == row.task_id, SubmissionRow.epoch == row.epoch)
    return EpochOut(
        task_id=row.task_id,
        epoch=row.epoch,
        phase=row.phase,
        seed=_hex(row.seed),
        submissions=session.scalar(submissions) or 0,
        scores=None if row.scores is None else list(row.scores),
        report=list(attestation.report) if attestation and shown else None,
        evidence_root=_hex(attestation.evidence_root) if attestation and shown else None,
        committed=bool(attestation and attestation.committed),
        revealed=bool(attestation and attestation.revealed),
    )


def _submission(row: SubmissionRow) -> dict[str, Any]:
    return {
        "task_id": row.task_id,
        "epoch": row.epoch,
        "index": row.index,
        "trainer": row.trainer,
        "units": row.units,
        "policy_version": row.policy_version,
        "manifest_root": row.manifest_root.hex(),
        "score": row.score,
        "reason": row.reason,
        "settled_score": row.settled_score,
        "mean_reward": row.mean_reward,
        "update_norm": row.update_norm,
        "judged_s": row.judged_s,
    }


def _found(row: T | None, what: str) -> T:
    if row is None:
        raise HTTPException(404, f"this verifier knows no {what}")
    return row


def _parsed(document: str) -> dict[str, Any]:
    return cast("dict[str, Any]", parse_canonical_json(document.encode()))


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
