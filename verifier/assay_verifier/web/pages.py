"""The explorer: tasks, epochs with their scores, and for each work what was checked and what failed."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from sqlalchemy import select
from sqlalchemy.orm import Session

from assay_core.protocol.encoding import parse_canonical_json
from assay_core.protocol.types import SCORE_FRAUD
from assay_verifier.database import Sessions
from assay_verifier.models import AttestationRow, EpochRow, EvidenceRow, PolicyRow, TaskRow, WorkRow
from assay_verifier.showing import is_shown, shown_epochs, without_verdict

MAX_ID = 2**63 - 1
SHOWN = 200
TaskNumber = Annotated[int, Path(ge=1, le=MAX_ID)]
EpochNumber = Annotated[int, Path(ge=0, le=MAX_ID)]
Index = Annotated[int, Path(ge=0, le=65_535)]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
pages = APIRouter(include_in_schema=False)


def score_words(score: int | None) -> str:
    """A score as people read it."""
    if score is None:
        return "no score yet"
    if score == SCORE_FRAUD:
        return "fraud"
    return "unpaid" if score == 0 else f"{score} %"


def score_class(score: int | None) -> str:
    if score is None:
        return "open"
    if score == SCORE_FRAUD:
        return "fraud"
    return "unpaid" if score == 0 else "paid"


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(FilePath(__file__).parent / "templates"), autoescape=select_autoescape(default=True)
    )
    templates.filters["score_words"] = score_words
    templates.filters["score_class"] = score_class
    return templates


def _session(request: Request) -> Iterator[Session]:
    sessions: Sessions = request.app.state.sessions
    with sessions() as session:
        yield session


Read = Annotated[Session, Depends(_session)]
Templates = Annotated[Environment, Depends(_templates)]


def _page(templates: Environment, name: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(templates.get_template(name).render(**values), headers=HEADERS)


@pages.get("/", response_class=HTMLResponse)
def show_tasks(session: Read, templates: Templates) -> HTMLResponse:
    """The task list."""
    tasks = session.scalars(select(TaskRow).order_by(TaskRow.task_id).limit(SHOWN)).all()
    return _page(templates, "tasks.html", tasks=tasks)


@pages.get("/explorer/tasks/{task_id}", response_class=HTMLResponse)
def show_task(task_id: TaskNumber, session: Read, templates: Templates) -> HTMLResponse:
    """A task's epochs, the newest first, each with the scores of its works; and its policies."""
    task = session.get(TaskRow, task_id)
    if task is None:
        raise HTTPException(404, f"this verifier knows no task {task_id}")
    epochs = session.scalars(
        select(EpochRow).where(EpochRow.task_id == task_id).order_by(EpochRow.epoch.desc()).limit(SHOWN)
    ).all()
    works: dict[int, list[WorkRow]] = {row.epoch: [] for row in epochs}
    shown = shown_epochs(session, task_id)
    query = select(WorkRow).where(WorkRow.task_id == task_id, WorkRow.epoch.in_(works)).order_by(WorkRow.index)
    for work in session.scalars(query):
        works[work.epoch].append(work if work.epoch in shown else without_verdict(work))
    policies = session.scalars(
        select(PolicyRow).where(PolicyRow.task_id == task_id).order_by(PolicyRow.version.desc()).limit(SHOWN)
    ).all()
    return _page(templates, "task.html", task=task, epochs=epochs, works=works, policies=policies)


@pages.get("/explorer/tasks/{task_id}/epochs/{epoch}", response_class=HTMLResponse)
def show_epoch(task_id: TaskNumber, epoch: EpochNumber, session: Read, templates: Templates) -> HTMLResponse:
    """The works of one epoch."""
    row = session.get(EpochRow, (task_id, epoch))
    if row is None:
        raise HTTPException(404, f"this verifier knows no epoch {task_id}/{epoch}")
    works = session.scalars(
        select(WorkRow).where(WorkRow.task_id == task_id, WorkRow.epoch == epoch).order_by(WorkRow.index)
    ).all()
    attestation = session.get(AttestationRow, (task_id, epoch))
    shown = is_shown(session, task_id, epoch)
    works = works if shown else [without_verdict(work) for work in works]
    return _page(templates, "epoch.html", epoch=row, works=works, attestation=attestation, shown=shown)


@pages.get("/explorer/tasks/{task_id}/epochs/{epoch}/works/{index}", response_class=HTMLResponse)
def show_work(
    task_id: TaskNumber, epoch: EpochNumber, index: Index, session: Read, templates: Templates
) -> HTMLResponse:
    """One work: every check, what it measured, against which threshold."""
    work = session.get(WorkRow, (task_id, epoch, index))
    if work is None:
        raise HTTPException(404, f"this verifier knows no work {task_id}/{epoch}/{index}")
    if not is_shown(session, task_id, epoch):
        return _page(templates, "work.html", work=without_verdict(work), document=None)
    evidence = session.get(EvidenceRow, (task_id, epoch, index))
    document: Any = parse_canonical_json(evidence.document.encode()) if evidence else None
    return _page(templates, "work.html", work=work, document=document)
