"""Prometheus metrics, read from the database at each scrape, so that `serve` needs no word from `work`."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import and_, func, select

from assay_verifier.database import Sessions
from assay_verifier.models import EpochRow, PolicyRow, TransactionRow, WorkRow
from assay_verifier.showing import IS_SHOWN


class DatabaseCollector(Collector):
    """Counts rows by what matters to an operator; works once their verdicts may be shown."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not touch the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        works = CounterMetricFamily("assay_works_judged", "Works judged", labels=["task", "reason"])
        seconds = CounterMetricFamily("assay_judging_seconds", "Seconds spent judging works", labels=["task"])
        epochs = GaugeMetricFamily("assay_epochs", "Epochs by phase", labels=["task", "phase"])
        version = GaugeMetricFamily("assay_policy_version", "Newest published policy version", labels=["task"])
        differing = GaugeMetricFamily(
            "assay_policy_roots_differing", "Published roots other than ours", labels=["task"]
        )
        sent = CounterMetricFamily("assay_transactions", "Transactions", labels=["task", "name", "outcome"])
        with self._sessions() as session:
            of_epoch = and_(EpochRow.task_id == WorkRow.task_id, EpochRow.epoch == WorkRow.epoch)
            by_reason = select(WorkRow.task_id, WorkRow.reason, func.count()).join(EpochRow, of_epoch)
            by_reason = by_reason.where(WorkRow.score.is_not(None), IS_SHOWN)
            for task, reason, count in session.execute(by_reason.group_by(WorkRow.task_id, WorkRow.reason)):
                works.add_metric([str(task), reason or "accepted"], count)
            spent = select(WorkRow.task_id, func.sum(WorkRow.judged_s)).join(EpochRow, of_epoch).where(IS_SHOWN)
            for task, total in session.execute(spent.group_by(WorkRow.task_id)):
                seconds.add_metric([str(task)], total or 0.0)
            for task, phase, count in session.execute(
                select(EpochRow.task_id, EpochRow.phase, func.count()).group_by(EpochRow.task_id, EpochRow.phase)
            ):
                epochs.add_metric([str(task), phase], count)
            published = select(PolicyRow.task_id, func.max(PolicyRow.version)).where(PolicyRow.root.is_not(None))
            for task, newest in session.execute(published.group_by(PolicyRow.task_id)):
                version.add_metric([str(task)], newest)
            other = select(PolicyRow.task_id, func.count()).where(PolicyRow.root != PolicyRow.own_root)
            for task, count in session.execute(other.group_by(PolicyRow.task_id)):
                differing.add_metric([str(task)], count)
            actions = select(TransactionRow.task_id, TransactionRow.name, TransactionRow.outcome, func.count())
            for task, name, outcome, count in session.execute(
                actions.group_by(TransactionRow.task_id, TransactionRow.name, TransactionRow.outcome)
            ):
                sent.add_metric([str(task), name, outcome], count)
        yield from (works, seconds, epochs, version, differing, sent)
