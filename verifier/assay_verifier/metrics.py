"""Prometheus metrics, read from the database at each scrape, so that `serve` needs no word from `run`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import Executable, and_, case, func, select
from sqlalchemy.orm import Session

from assay_core.daemon.heartbeat import Beat
from assay_core.daemon.metrics import beat_metrics, calls_metric
from assay_verifier.database import Sessions
from assay_verifier.heartbeat import beat_of
from assay_verifier.models import EpochRow, HeartbeatRow, NodeCallsRow, PolicyRow, SubmissionRow, TransactionRow
from assay_verifier.showing import IS_SHOWN

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1_800, 3_600)  # bounds of the latencies' buckets
OF_EPOCH = and_(EpochRow.task_id == SubmissionRow.task_id, EpochRow.epoch == SubmissionRow.epoch)


def database_metrics(sessions: Sessions, now: float) -> Iterator[Metric]:
    """Rows counted by what matters to an operator; submissions once their verdicts may be shown."""
    with sessions() as session:
        beats = [beat_of(row) for row in session.scalars(select(HeartbeatRow))]
        calls = [(method, count) for method, count in session.execute(select(NodeCallsRow.method, NodeCallsRow.calls))]
        counted = list(_counted(session))
        judged = list(_judged(session))
    yield from counted
    yield from judged
    yield from beat_metrics(beats, now)
    yield from _disagreements(beats)
    yield calls_metric(calls)


def _counted(session: Session) -> Iterator[Metric]:
    epochs = select(EpochRow.task_id, EpochRow.phase, func.count()).group_by(EpochRow.task_id, EpochRow.phase)
    yield _gauge(session, "assay_epochs", "Epochs by phase", ["task", "phase"], epochs)
    newest = select(PolicyRow.task_id, func.max(PolicyRow.version)).where(PolicyRow.root.is_not(None))
    words = "Newest published policy version"
    yield _gauge(session, "assay_policy_version", words, ["task"], newest.group_by(PolicyRow.task_id))
    other = select(PolicyRow.task_id, func.count()).where(PolicyRow.root != PolicyRow.own_root)
    words = "Published roots other than ours"
    yield _gauge(session, "assay_policy_roots_differing", words, ["task"], other.group_by(PolicyRow.task_id))
    sent = CounterMetricFamily("assay_transactions", "Transactions", labels=["task", "name", "outcome"])
    kinds = TransactionRow.task_id, TransactionRow.name, TransactionRow.outcome
    yield _filled(sent, session.execute(select(*kinds, func.count()).group_by(*kinds)))


def _judged(session: Session) -> Iterator[Metric]:
    """How submissions were judged, and how long that took."""
    by_reason = (
        select(SubmissionRow.task_id, func.coalesce(SubmissionRow.reason, "accepted"), func.count())
        .join(EpochRow, OF_EPOCH)
        .where(SubmissionRow.score.is_not(None), IS_SHOWN)
    )
    submissions = CounterMetricFamily("assay_submissions_judged", "Submissions judged", labels=["task", "reason"])
    yield _filled(submissions, session.execute(by_reason.group_by(SubmissionRow.task_id, SubmissionRow.reason)))

    took = SubmissionRow.judged_s
    up_to = [func.sum(case((took <= bound, 1), else_=0)) for bound in SECONDS]
    spent = select(SubmissionRow.task_id, func.count(), func.sum(took), *up_to).join(EpochRow, OF_EPOCH)
    spent = spent.where(took.is_not(None), IS_SHOWN).group_by(SubmissionRow.task_id)
    seconds = CounterMetricFamily("assay_judging_seconds", "Seconds spent judging submissions", labels=["task"])
    each = HistogramMetricFamily("assay_judging_latency_seconds", "Seconds that judging one took", labels=["task"])
    rows: Iterable[Any] = session.execute(spent)
    for task, count, total, *counts in rows:
        seconds.add_metric([str(task)], total)
        buckets = [(str(float(bound)), below) for bound, below in zip(SECONDS, counts, strict=True)]
        each.add_metric([str(task)], [*buckets, ("+Inf", count)], total)
    yield seconds
    yield each


def _disagreements(beats: Iterable[Beat]) -> Iterator[Metric]:
    """With the quorum, as settled."""
    reports = GaugeMetricFamily("assay_reports_differing", "Reports that differ from what was settled", labels=["task"])
    scores = GaugeMetricFamily("assay_scores_differing", "Our scores that differ from the settled", labels=["task"])
    for beat in beats:
        if beat.account is not None and not beat.has_ended:
            reports.add_metric([str(beat.task_id)], beat.account.differing_reports)
            scores.add_metric([str(beat.task_id)], beat.account.differing_scores)
    yield reports
    yield scores


def _gauge(session: Session, name: str, words: str, labels: Sequence[str], query: Executable) -> Metric:
    return _filled(GaugeMetricFamily(name, words, labels=labels), session.execute(query))


def _filled(family: Any, rows: Iterable[Any]) -> Metric:
    """Rows of labels, and last the value."""
    for row in rows:
        family.add_metric([str(label) for label in row[:-1]], row[-1])
    return family
