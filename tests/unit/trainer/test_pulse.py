"""What a trainer tells of itself while it works, waits, fails and ends."""

import time
from pathlib import Path

import httpx

from assay_core.daemon.heartbeat import Beat, Sources, read_beat
from assay_core.daemon.metrics import text_of
from assay_core.daemon.monitor import Monitor
from assay_trainer.monitoring import health_from
from assay_trainer.pulse import Pulse
from tests.fakes import QuickStop
from tests.unit.trainer.ground import TASK, Ground


def told(path: Path) -> Beat:
    beat = read_beat(path)
    assert beat is not None
    return beat


def test_a_submission_is_counted_and_each_stage_of_it_timed(ground: Ground) -> None:
    pulse = Pulse(TASK)
    worker = ground.enlisted().worker(pulse=pulse)
    worker.run_once()
    assert pulse.beat.doing == "has handled submission 0 of epoch 0"
    worker.run_once()
    assert pulse.submissions == {
        "committed": 1, "accepted": 0, "rejected": 0, "fraud": 0, "paid": 0, "slashed": 0, "planted": 0,
    }  # fmt: skip
    shown = text_of(pulse.registry).decode()
    for stage in ("rollout", "training", "upload"):
        assert f'assay_stage_seconds_count{{stage="{stage}"}} 1.0' in shown
    account = pulse.beat.account
    assert account is not None and "100 wei if its 1 submissions in flight" in account.would_lose
    assert pulse.beat.doing.startswith("waits: our submission is committed")


def test_what_became_of_submissions_is_told_as_the_chain_tells_it(ground: Ground) -> None:
    pulse = Pulse(TASK)
    worker = ground.enlisted().worker(pulse=pulse)
    worker.run_once()
    ground.chain.seal()
    ground.chain.slash(0, 0)
    ground.chain.enlist(ground.chain.refresh().task.terms_hash)
    ground.chain.seal()
    worker.run_once()
    counts = pulse.submissions
    assert (counts["rejected"], counts["fraud"], counts["slashed"], counts["accepted"]) == (1, 1, 1, 0)
    account = pulse.beat.account
    assert account is not None and (account.slashed_wei, account.missed_epochs) == (100, 1)


def test_failures_of_relays_are_counted_by_kind(ground: Ground) -> None:
    ground.enlisted().shards.is_down = True
    pulse = Pulse(TASK)
    ground.worker(pulse=pulse, stop=QuickStop(after=2)).run()
    assert 'assay_failures_total{kind="fetch unavailable",of="relay"} 2.0' in text_of(pulse.registry).decode()


def test_the_file_tells_what_is_waited_for_and_how_it_ended(ground: Ground, tmp_path: Path) -> None:
    file = tmp_path / "beat.json"
    ground.enlisted().shards.is_down = True
    stop = QuickStop(after=1)
    seen: list[str] = []
    stop.on_wait = lambda: seen.append(told(file).doing)
    ground.worker(pulse=Pulse(TASK, file), stop=stop).run()
    assert seen == ["waits for the network"]
    assert (told(file).doing, told(file).has_ended) == ("stopped, as it was asked to", False)

    ground.shards.is_down = False
    ground.chain.close()
    ground.chain.delist()
    ground.worker(pulse=Pulse(TASK, file)).run()
    assert (told(file).doing, told(file).has_ended) == ("finished: the task is closed", True)


def test_an_outage_is_no_sign_of_life_and_a_step_of_training_is(ground: Ground) -> None:
    now, block_s = [1_000.0], [995]
    sources = Sources(newest_block=lambda: 7, block_time=lambda: block_s[0])
    pulse = Pulse(TASK, None, sources, lambda: now[0])
    pulse.looked(ground.chain.refresh(), ground.chain.trainer)
    assert (pulse.beat.block, pulse.beat.block_at, pulse.beat.lag_s) == (7, 1_000.0, 5.0)
    now[0] = 1_100.0
    pulse.does("waits for the network")
    assert pulse.beat.is_stale(now[0], 60.0)
    pulse.worked()
    assert not pulse.beat.is_stale(now[0], 60.0)
    pulse.looked(ground.chain.refresh(), ground.chain.trainer)
    assert pulse.beat.is_stale(now[0], 60.0), "the node has shown nothing new"
    block_s[0] = 1_000
    assert pulse.beat.lag_s == 105.0


def test_health_over_http_turns_503_when_the_loop_stands_still(ground: Ground) -> None:
    pulse = Pulse(TASK)
    ground.enlisted().worker(pulse=pulse).run_once()
    with Monitor("127.0.0.1", 0, health_from(pulse, 1.0), pulse.registry) as monitor:
        pulse.looked(ground.chain.refresh(), ground.chain.trainer)
        assert httpx.get(f"{monitor.url}/health", trust_env=False).status_code == 200
        time.sleep(1.2)
        assert httpx.get(f"{monitor.url}/health", trust_env=False).json()["status"] == "stale"
        pulse.looked(ground.chain.refresh(), ground.chain.trainer)
        assert httpx.get(f"{monitor.url}/health", trust_env=False).status_code == 200
