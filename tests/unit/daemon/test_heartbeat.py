"""Heartbeats: what is stale, what is written and read back, and who holds a lock."""

import multiprocessing
import time
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from assay_core.daemon.heartbeat import Account, BalanceReader, Balances, Beat, BeatFile, read_beat
from assay_core.daemon.lock import is_held, only_one
from assay_core.protocol.errors import Stop, Unavailable

BALANCES = Balances(coin_wei=2**70, bond_wei=100, free_wei=40, locked_wei=60)
BEAT = Beat(
    "trainer", 1, 1_000.0, "waits", 900.0, block=7, block_at=990.0, account=Account("ASSAY", 18, balances=BALANCES)
)


@pytest.mark.parametrize(
    ("change", "is_stale"),
    [
        pytest.param({}, False, id="lives"),
        pytest.param({"looked_at": 940.0}, True, id="has not looked"),
        pytest.param({"looked_at": 940.0, "worked_at": 1_000.0}, False, id="trains for long"),
        pytest.param({"block_at": 930.0}, True, id="node shows no new block"),
        pytest.param({"lag_s": 70.0}, True, id="node lags"),
        pytest.param({"looked_at": 0.0, "has_ended": True}, False, id="its task is over"),
    ],
)
def test_a_daemon_or_node_that_stands_still_for_too_long_is_stale(change: dict[str, float], is_stale: bool) -> None:
    assert replace(BEAT, **change).is_stale(1_005.0, 60.0) is is_stale  # pyright: ignore[reportArgumentType]


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    BeatFile(tmp_path / "beat").write(BEAT)
    assert read_beat(tmp_path / "beat") == BEAT
    assert [path.name for path in tmp_path.iterdir()] == ["beat"]
    assert read_beat(tmp_path / "none") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"account": null, "pulse": 2}', '{"account": {"x": 1}}'])
def test_a_file_that_is_no_heartbeat_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "beat").write_text(content)
    with pytest.raises(Stop, match="is no heartbeat"):
        read_beat(tmp_path / "beat")


def test_a_folder_that_is_gone_costs_the_beat_alone(tmp_path: Path) -> None:
    BeatFile(tmp_path / "gone" / "beat").write(BEAT)


def test_balances_are_asked_for_now_and_then_and_what_fails_is_for_later() -> None:
    now, asked, is_down = [0.0], list[float](), [False]

    def ask() -> Balances:
        asked.append(now[0])
        if is_down[0]:
            raise Unavailable("no node")
        return BALANCES

    reader = BalanceReader(ask, lambda: now[0])
    for second in range(0, 700, 10):
        now[0], is_down[0] = float(second), second > 0
        assert reader.look(is_news=second == 110) == BALANCES
    assert asked == [0.0, 110.0, 410.0]


def _hold(file: Path, is_up: Event) -> None:
    with only_one(file, "a test", "wait"):
        is_up.set()
        time.sleep(60)


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    assert is_held(tmp_path / "lock") is None
    context = multiprocessing.get_context("spawn")
    is_up = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", is_up))
    process.start()
    assert is_up.wait(60) and is_held(tmp_path / "lock") is True
    process.kill()
    process.join()
    assert is_held(tmp_path / "lock") is False
