"""The explorer: tasks, epochs with their scores, and for each submission what was checked and what failed."""

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
from assay_verifier.models import AttestationRow, EpochRow, EvidenceRow, PolicyRow, SubmissionRow, TaskRow
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
    """The CSS class of a score."""
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


TEMPLATES = _templates()


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; its links start with the prefix that a proxy serves it under."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    text = TEMPLATES.get_template(name).render(root=root, status=status, **values)
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def _session(request: Request) -> Iterator[Session]:
    sessions: Sessions = request.app.state.sessions
    with sessions() as session:
        yield session


Read = Annotated[Session, Depends(_session)]


@pages.get("/docs", response_class=HTMLResponse)
def show_docs(request: Request) -> HTMLResponse:
    """What the service answers, out of its OpenAPI description."""
    calls = [
        {
            "method": method.upper(),
            "path": path,
            "query": [each["name"] for each in call.get("parameters", []) if each["in"] == "query"],
            "words": call.get("description", ""),
        }
        for path, methods in request.app.openapi()["paths"].items()
        for method, call in methods.items()
    ]
    return render(request, "docs.html", calls=calls)


@pages.get("/", response_class=HTMLResponse)
def show_tasks(session: Read, request: Request) -> HTMLResponse:
    """The task list."""
    tasks = session.scalars(select(TaskRow).order_by(TaskRow.task_id).limit(SHOWN)).all()
    return render(request, "tasks.html", tasks=tasks)


@pages.get("/explorer/tasks/{task_id}", response_class=HTMLResponse)
def show_task(task_id: TaskNumber, session: Read, request: Request) -> HTMLResponse:
    """A task's epochs, the newest first, each with the scores of its submissions; and its policies."""
    task = session.get(TaskRow, task_id)
    if task is None:
        raise HTTPException(404, f"this verifier knows no task {task_id}")
    epochs = session.scalars(
        select(EpochRow).where(EpochRow.task_id == task_id).order_by(EpochRow.epoch.desc()).limit(SHOWN)
    ).all()
    submissions: dict[int, list[SubmissionRow]] = {row.epoch: [] for row in epochs}
    shown = shown_epochs(session, task_id)
    query = (
        select(SubmissionRow)
        .where(SubmissionRow.task_id == task_id, SubmissionRow.epoch.in_(submissions))
        .order_by(SubmissionRow.index)
    )
    for submission in session.scalars(query):
        submissions[submission.epoch].append(submission if submission.epoch in shown else without_verdict(submission))
    policies = session.scalars(
        select(PolicyRow).where(PolicyRow.task_id == task_id).order_by(PolicyRow.version.desc()).limit(SHOWN)
    ).all()
    return render(request, "task.html", task=task, epochs=epochs, submissions=submissions, policies=policies)


@pages.get("/explorer/tasks/{task_id}/epochs/{epoch}", response_class=HTMLResponse)
def show_epoch(task_id: TaskNumber, epoch: EpochNumber, session: Read, request: Request) -> HTMLResponse:
    """The submissions of one epoch."""
    row = session.get(EpochRow, (task_id, epoch))
    if row is None:
        raise HTTPException(404, f"this verifier knows no epoch {task_id}/{epoch}")
    submissions = session.scalars(
        select(SubmissionRow)
        .where(SubmissionRow.task_id == task_id, SubmissionRow.epoch == epoch)
        .order_by(SubmissionRow.index)
    ).all()
    attestation = session.get(AttestationRow, (task_id, epoch))
    shown = is_shown(session, task_id, epoch)
    submissions = submissions if shown else [without_verdict(submission) for submission in submissions]
    return render(request, "epoch.html", epoch=row, submissions=submissions, attestation=attestation, shown=shown)


@pages.get("/explorer/tasks/{task_id}/epochs/{epoch}/submissions/{index}", response_class=HTMLResponse)
def show_submission(
    task_id: TaskNumber, epoch: EpochNumber, index: Index, session: Read, request: Request
) -> HTMLResponse:
    """One submission: every check, what it measured, against which threshold."""
    submission = session.get(SubmissionRow, (task_id, epoch, index))
    if submission is None:
        raise HTTPException(404, f"this verifier knows no submission {task_id}/{epoch}/{index}")
    if not is_shown(session, task_id, epoch):
        return render(request, "submission.html", submission=without_verdict(submission), document=None)
    evidence = session.get(EvidenceRow, (task_id, epoch, index))
    document: Any = parse_canonical_json(evidence.document.encode()) if evidence else None
    return render(request, "submission.html", submission=submission, document=document)
