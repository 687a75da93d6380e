"""Prometheus metrics that daemons share: names, labels, and the text that `/metrics` answers.

Amounts are wei, as floats: for graphs and alarms, not for sums.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from assay_core.daemon.heartbeat import Account, Beat

CONTENT_TYPE = CONTENT_TYPE_LATEST
OF_BEATS: Mapping[str, tuple[str, Callable[[Beat, float], float | None]]] = {
    "assay_look_age_seconds": ("Since the daemon looked at the chain", lambda beat, now: now - beat.looked_at),
    "assay_work_age_seconds": ("Since the daemon's last sign of life", lambda beat, now: now - beat.alive_at),
    "assay_block_age_seconds": (
        "Since the daemon saw a new block",
        lambda beat, now: None if beat.block_at is None else now - beat.block_at,
    ),
    "assay_block": ("Newest block that the daemon has read", lambda beat, _: beat.block),
    "assay_chain_lag_seconds": ("Age of the node's newest block at the last look", lambda beat, _: beat.lag_s),
    "assay_deadline_seconds": ("Unix time by which what is waited for ends", lambda beat, _: beat.deadline),
}
OF_ACCOUNTS: Mapping[str, tuple[str, Callable[[Account], float | None]]] = {
    "assay_coin_wei": (
        "Coin of the acting key, for gas",
        lambda account: account.balances and account.balances.coin_wei,
    ),
    "assay_earned_wei": ("Earned in the task, claimed or not", lambda account: account.earned_wei),
    "assay_slashed_wei": ("Slashed in the task", lambda account: account.slashed_wei),
    "assay_epochs_missed": ("Epochs without what was waited for from us", lambda account: account.missed_epochs),
}


class Readings(Collector):
    """Metrics that are found out when somebody asks."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._read()


def text_of(registry: CollectorRegistry) -> bytes:
    """All of a registry in Prometheus' text format."""
    return generate_latest(registry)


def beat_metrics(beats: Iterable[Beat], now: float) -> Iterator[Metric]:
    """What heartbeats tell, by task; nothing of a daemon whose task is over."""
    living = [beat for beat in beats if not beat.has_ended]
    for name, (words, of_beat) in OF_BEATS.items():
        yield _gauge(name, words, ((str(beat.task_id), of_beat(beat, now)) for beat in living))
    accounts = [(str(beat.task_id), beat.account) for beat in living if beat.account is not None]
    for name, (words, of_account) in OF_ACCOUNTS.items():
        yield _gauge(name, words, ((task, of_account(account)) for task, account in accounts))
    bond = GaugeMetricFamily("assay_bond_wei", "Bond of the operator in its role", labels=["task", "state"])
    for task, account in accounts:
        if (balances := account.balances) is not None:
            bond.add_metric([task, "total"], balances.bond_wei)
            bond.add_metric([task, "free"], balances.free_wei)
            bond.add_metric([task, "locked"], balances.locked_wei)
    yield bond


def _gauge(name: str, words: str, values: Iterable[tuple[str, float | None]]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["task"])
    for task, value in values:
        if value is not None:
            family.add_metric([task], value)
    return family


def calls_metric(calls: Iterable[tuple[str, int]]) -> Metric:
    """Requests to the node by method of JSON-RPC."""
    asked = CounterMetricFamily("assay_node_calls", "Questions to the node", labels=["method"])
    for method, count in calls:
        asked.add_metric([method], count)
    return asked
