"""The port beside a daemon's work: what it answers, and that it holds up nothing."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from assay_core.daemon.health import Health, health_of
from assay_core.daemon.heartbeat import Account, Balances, Beat
from assay_core.daemon.metrics import Readings, beat_metrics
from assay_core.daemon.monitor import Monitor
from assay_core.protocol.errors import Stop

BEAT = Beat(
    "trainer", 3, 1_000.0, "waits", 900.0, block=7, block_at=990.0, lag_s=2.0, deadline=1_100,
    account=Account("ASSAY", 18, earned_wei=5, missed_epochs=2, balances=Balances(9, 100, 40, 60)),
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 1_010.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(clock: Clock) -> Iterator[str]:
    registry = CollectorRegistry()
    registry.register(Readings(lambda: beat_metrics([BEAT], clock())))
    with Monitor("127.0.0.1", 0, lambda: health_of([BEAT], clock(), 60.0), registry) as monitor:
        yield monitor.url


def get(url: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, url, trust_env=False, timeout=10)


def test_health_is_503_once_the_loop_stands_still(url: str, clock: Clock) -> None:
    answer = get(f"{url}/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["daemons"][0]["look_age_s"] == 10.0
    clock.now = 1_061.0
    answer = get(f"{url}/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "stale")
    assert get(f"{url}/health", "HEAD").status_code == 503


def test_health_is_503_before_the_first_heartbeat() -> None:
    assert (health_of([], 0.0, 60.0).status, health_of([], 0.0, 60.0).code) == ("no daemon", 503)


def test_metrics_are_in_the_text_format_of_prometheus(url: str) -> None:
    answer = get(f"{url}/metrics?name=any")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for line in (
        'assay_look_age_seconds{task="3"} 10.0',
        'assay_block_age_seconds{task="3"} 20.0',
        'assay_chain_lag_seconds{task="3"} 2.0',
        'assay_block{task="3"} 7.0',
        'assay_deadline_seconds{task="3"} 1100.0',
        'assay_coin_wei{task="3"} 9.0',
        'assay_earned_wei{task="3"} 5.0',
        'assay_epochs_missed{task="3"} 2.0',
        'assay_bond_wei{state="total",task="3"} 100.0',
        'assay_bond_wei{state="free",task="3"} 40.0',
        'assay_bond_wei{state="locked",task="3"} 60.0',
    ):
        assert line in answer.text


def test_there_is_nothing_else(url: str) -> None:
    assert (get(url).status_code, get(f"{url}/../etc").status_code, get(f"{url}/health", "POST").status_code) == (
        404,
        404,
        501,
    )


def test_a_collector_that_fails_ends_neither_server_nor_others() -> None:
    def broken() -> Iterator[object]:
        raise RuntimeError("broken")
        yield

    registry = CollectorRegistry()
    Counter("fine", "fine", registry=registry)
    registry.register(Readings(broken))  # pyright: ignore[reportArgumentType]
    with Monitor("127.0.0.1", 0, lambda: Health("ok", ()), registry) as monitor:
        with pytest.raises(httpx.TransportError):
            get(f"{monitor.url}/metrics")
        assert get(f"{monitor.url}/health").status_code == 200


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Stop, match=f"cannot listen on 127.0.0.1:{port}.*--metrics-port"):
            Monitor("127.0.0.1", port, lambda: Health("ok", ()), CollectorRegistry())


def test_a_client_that_says_nothing_does_not_keep_the_process() -> None:
    program = """
import socket
from urllib.parse import urlsplit
from prometheus_client import CollectorRegistry
from assay_core.daemon.health import Health
from assay_core.daemon.monitor import Monitor
monitor = Monitor("127.0.0.1", 0, lambda: Health("ok", ()), CollectorRegistry())
silent = socket.create_connection(("127.0.0.1", urlsplit(monitor.url).port))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
