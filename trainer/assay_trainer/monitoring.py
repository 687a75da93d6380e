"""The trainer's `/health` and `/metrics`: what its pulse tells, read in the monitor's thread."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from assay_core.chain.node import NodeProvider
from assay_core.daemon.health import Health, health_of
from assay_core.daemon.metrics import Readings, beat_metrics, calls_metric
from assay_core.daemon.monitor import Monitor
from assay_core.daemon.status import Status
from assay_trainer.pulse import Pulse
from assay_trainer.settings import TrainerSettings


def opened_monitor(
    settings: TrainerSettings, pulse: Pulse, node: NodeProvider, status: Status
) -> AbstractContextManager[object]:
    """Nothing where no port is given. Raises Stop: the port is taken."""
    if settings.metrics_port is None:
        return nullcontext()
    pulse.registry.register(Readings(lambda: _metrics(pulse, node)))
    health = health_from(pulse, settings.stale_after_s)
    monitor = Monitor(settings.metrics_host, settings.metrics_port, health, pulse.registry)
    status("metrics served", url=f"{monitor.url}/metrics", health=f"{monitor.url}/health")
    return monitor


def health_from(pulse: Pulse, stale_after_s: float, clock: Callable[[], float] = time.time) -> Callable[[], Health]:
    """What `/health` answers at each request."""
    return lambda: health_of([pulse.beat], clock(), stale_after_s)


def _metrics(pulse: Pulse, node: NodeProvider) -> Iterator[Metric]:
    beat = pulse.beat
    yield from beat_metrics([beat], time.time())
    yield calls_metric(_copied(node.calls).items())
    troubles = CounterMetricFamily("assay_node_failures", "Questions that a node failed to answer", labels=["kind"])
    for kind, count in _copied(node.troubles).items():
        troubles.add_metric([kind], count)
    yield troubles
    submissions = GaugeMetricFamily("assay_submissions", "Submissions of ours", labels=["task", "state"])
    for state, count in pulse.submissions.items():
        submissions.add_metric([str(beat.task_id), state], count)
    yield submissions


def _copied(counts: Counter[str]) -> dict[str, int]:
    """In one step, since another thread counts meanwhile."""
    return dict(counts)
