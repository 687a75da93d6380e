"""The cache of events: damaged files are read again, and several processes may use one file."""

import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay_core.chain.event_store import Checkpoint, EventStore
from assay_core.chain.events import Event, TaskOpened
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Root, Seed, TaskId
from tests.machines import fill
from tests.unit.chain.places import DEPLOYMENT, PARAMS

SOMEBODY = Address("0x" + "11" * 20)


def opened(block: int, index: int = 0) -> Event:
    return TaskOpened(
        block_number=block,
        log_index=index,
        tx_hash=bytes([block]) * 32,
        task_id=TaskId(block),
        initiator=SOMEBODY,
        params=PARAMS,
        spec_hash=Root(b"\x01" * 32),
        spec_uri="",
        policy_root=Root(b"\x02" * 32),
        terms_hash=b"\x03" * 32,
        seed=Seed(b"\x04" * 32),
    )


def checkpoint(block: int) -> Checkpoint:
    return Checkpoint(block, bytes([block]) * 32)


def written(path: Path) -> EventStore:
    """With an event in each of the blocks 1 to 3."""
    store = EventStore(path, DEPLOYMENT)
    assert store.cursor() is None
    store.append([opened(block) for block in (1, 2, 3)], checkpoint(3))
    return store


def blocks(store: EventStore) -> list[int]:
    return [event.block_number for event in store.events()]


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    written(tmp_path / "events.db").close()
    store = EventStore(tmp_path / "events.db", DEPLOYMENT)
    assert (blocks(store), store.cursor()) == ([1, 2, 3], checkpoint(3))
    assert next(store.events()) == opened(1)


def overwritten(path: Path) -> None:
    path.write_bytes(b"this was an event cache" * 100)


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scratched(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4_096:] = b"\xff" * (len(data) - 4_096)
    path.write_bytes(data)


def of_another_release(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE events RENAME COLUMN body TO content")


@pytest.mark.parametrize("damage", [overwritten, halved, scratched, of_another_release])
def test_a_damaged_file_is_begun_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "events.db"
    written(path).close()
    damage(path)
    store = EventStore(path, DEPLOYMENT)
    assert (blocks(store), store.cursor()) == ([], None)
    store.append([opened(1)], checkpoint(1))
    store.close()
    assert blocks(EventStore(path, DEPLOYMENT)) == [1]


@pytest.mark.parametrize("change", ["name = 'TaskRenamed'", "body = '{'", "body = '{}'", "body = '[1]'"])
def test_events_that_no_release_of_ours_wrote_are_read_again(tmp_path: Path, change: str) -> None:
    path = tmp_path / "events.db"
    store = written(path)
    before = store.generation()
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE events SET {change} WHERE block_number = 2")
    with pytest.raises(Unavailable, match=r"was damaged, and is now read again from the chain"):
        store.events()
    assert (blocks(store), store.cursor()) == ([], None)
    assert store.generation() != before, "anyone who folds events must begin again"


def test_damage_done_while_it_is_in_use_is_mended_too(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = written(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE checkpoints")
    with pytest.raises(Unavailable, match="was damaged"):
        store.cursor()
    assert store.cursor() is None


def test_a_file_of_another_deployment_is_no_damage(tmp_path: Path) -> None:
    written(tmp_path / "events.db").close()
    with pytest.raises(Stop, match="another deployment"):
        EventStore(tmp_path / "events.db", DEPLOYMENT.model_copy(update={"chain_id": 5}))
    assert blocks(EventStore(tmp_path / "events.db", DEPLOYMENT)) == [1, 2, 3]


def test_a_place_that_is_no_file_stops(tmp_path: Path) -> None:
    (tmp_path / "events.db").mkdir()
    with pytest.raises(Stop, match=r"cannot open .*events.db: unable to open"):
        EventStore(tmp_path / "events.db", DEPLOYMENT)


def test_a_full_disk_is_waited_for(small_disk: Path) -> None:
    filler = fill(small_disk)
    with pytest.raises((Unavailable, OSError)):
        EventStore(small_disk / "events.db", DEPLOYMENT)
    filler.unlink()
    assert blocks(written(small_disk / "events.db")) == [1, 2, 3]


def test_two_processes_that_read_the_same_blocks_keep_them_once(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    one, other = EventStore(path, DEPLOYMENT), EventStore(path, DEPLOYMENT)
    assert one.cursor() is other.cursor() is None
    one.append([opened(1), opened(3)], checkpoint(3))
    other.append([opened(1), opened(3), opened(4)], checkpoint(4))
    one.append([opened(4), opened(5)], checkpoint(5))
    other.append([opened(4)], checkpoint(4))
    assert blocks(one) == blocks(other) == [1, 3, 4, 5]
    assert one.cursor() == other.cursor() == checkpoint(5)


def test_what_was_read_before_another_process_took_something_back_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    one = written(path)
    other = EventStore(path, DEPLOYMENT)
    assert one.cursor() == other.cursor() == checkpoint(3)
    other.roll_back(None)
    with pytest.raises(Unavailable, match="another process took back"):
        one.append([opened(4)], checkpoint(4))
    with pytest.raises(Unavailable, match="another process took back"):
        one.roll_back(checkpoint(2))
    assert one.cursor() is None
    one.append([opened(1)], checkpoint(1))
    assert blocks(other) == [1]


def test_a_path_may_hold_any_sign(tmp_path: Path) -> None:
    path = tmp_path / "100 % sure? #1 ü" / "events.db"
    written(path).close()
    assert path.is_file() and blocks(EventStore(path, DEPLOYMENT)) == [1, 2, 3]


def make_stores(folder: Path, start: Any) -> None:
    for number in range(8):
        start.wait(60)
        store = EventStore(folder / f"{number}.db", DEPLOYMENT)
        store.cursor()
        store.append([opened(1), opened(2)], checkpoint(2))
        assert blocks(store) == [1, 2]


def test_processes_may_make_the_file_at_the_same_moment(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("fork")
    start = processes.Barrier(3)
    started = [processes.Process(target=make_stores, args=(tmp_path / "fresh", start)) for _ in range(3)]
    for each in started:
        each.start()
    for each in started:
        each.join(100)
    assert [each.exitcode for each in started] == [0] * 3
