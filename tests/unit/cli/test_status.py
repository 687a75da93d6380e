"""`assay … status`: who runs, who hangs and who is dead, out of what daemons have written."""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from assay_core.daemon.heartbeat import FILE_NAME, Account, Balances, Beat, BeatFile
from assay_core.daemon.lock import only_one
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.models import HeartbeatRow
from tests.unit.cli.conftest import Assay

ACCOUNT = Account(
    "ASSAY", 18, earned_wei=3 * 10**18, missed_epochs=2, would_lose="50 ASSAY if frauds",
    balances=Balances(10**18, 240 * 10**18, 180 * 10**18, 60 * 10**18),
)  # fmt: skip


def trainer(home: Path, task_id: int, **changes: object) -> Path:
    now = time.time()
    beat = Beat(
        "trainer", task_id, now, "waits: for epoch 4", now - 90, 7, now, deadline=int(now) + 600, account=ACCOUNT
    )
    folder = home / ".assay" / "trainer" / f"task-{task_id}"
    folder.mkdir(parents=True)
    BeatFile(folder / FILE_NAME).write(replace(beat, **changes))  # pyright: ignore[reportArgumentType]
    (folder / "lock").touch()
    return folder


def test_a_trainer_that_runs_tells_all_that_its_operator_asks(assay: Assay, home: Path) -> None:
    with only_one(trainer(home, 1) / "lock", "a test", "wait"):
        result = assay("trainer", "status")
    assert result.exit_code == 0, result.output
    for words in (
        "trainer of task 1: running",
        "does        waits: for epoch 4",
        "since",
        "1 min 3",
        "deadline",
        ", in ",
        "earned      3 ASSAY",
        "missed      2 epochs",
        "could lose  50 ASSAY if frauds",
        "bond        240 ASSAY: 180 ASSAY free, 60 ASSAY locked for this task",
        "gas         1 coin",
    ):
        assert words in result.stdout, result.stdout


def test_a_trainer_that_is_dead_is_told_with_the_moment_and_exit_code_1(assay: Assay, home: Path) -> None:
    trainer(home, 1, looked_at=time.time() - 7_200)
    result = assay("trainer", "status", "--task", "1")
    assert result.exit_code == 1 and "not running since" in result.stdout and "2 h ago" in result.stdout
    assert "did " in result.stdout


def test_a_trainer_that_hangs_is_told_from_one_that_trains_for_long(assay: Assay, home: Path) -> None:
    long_ago = time.time() - 7_200
    with only_one(trainer(home, 1, looked_at=long_ago) / "lock", "a test", "wait"):
        result = assay("trainer", "status")
        assert result.exit_code == 1 and "running, but standing still since" in result.stdout
        assert assay("trainer", "status", "--stale-after", "10000").exit_code == 0
    with only_one(trainer(home, 2, looked_at=long_ago, worked_at=time.time()) / "lock", "a test", "wait"):
        assert assay("trainer", "status", "--task", "2").exit_code == 0


def test_all_tasks_are_told_in_one_document(assay: Assay, home: Path) -> None:
    for task_id in (10, 9):
        trainer(home, task_id, has_ended=True, doing="finished: the task is closed")
    result = assay("trainer", "status", "--json")
    assert [(each["task_id"], each["state"]) for each in json.loads(result.stdout)] == [(9, "ended"), (10, "ended")]
    assert result.exit_code == 0


@pytest.mark.parametrize("role", ["trainer", "verifier", "relay"])
def test_where_none_has_run_that_is_told_and_nothing_is_made(assay: Assay, home: Path, role: str) -> None:
    result = assay(role, "status")
    assert result.exit_code == 1 and f"no {role} has run here" in result.stdout
    assert not (home / ".assay").exists()


def test_a_verifier_is_told_out_of_its_database(assay: Assay, home: Path) -> None:
    state, now = home / ".assay" / "verifier", time.time()
    engine = open_database(f"sqlite:///{state / 'verifier.db'}")
    migrate(engine)
    account = json.dumps(asdict(replace(ACCOUNT, differing_reports=1, differing_scores=3)))
    with session_factory(engine)() as session, session.begin():
        session.add(HeartbeatRow(1, 7, now, now, "judges epoch 2", now - 5, None, "3", account=account))
    (state / "task-1").mkdir()
    with only_one(state / "task-1" / "verifier.lock", "a test", "wait"):
        result = assay("verifier", "status")
    assert result.exit_code == 0 and "verifier of task 1: running" in result.stdout, result.output
    assert "judges epoch 2" in result.stdout and "in 1 reports, 3 scores" in result.stdout
    assert "not running since" in assay("verifier", "status").stdout
    assert assay("verifier", "status", "--task", "2").exit_code == 1


def test_a_verifier_elsewhere_is_judged_by_the_age_of_its_heartbeat(assay: Assay, home: Path) -> None:
    engine = open_database(f"sqlite:///{home / 'shared.db'}")
    migrate(engine)
    for age_s, code in ((10, 0), (400, 1)):
        at = time.time() - age_s
        with session_factory(engine)() as session, session.begin():
            session.merge(HeartbeatRow(1, 7, at, at, "judges epoch 2", at, None, "3"))
        assert assay("verifier", "status", "--database-url", f"sqlite:///{home / 'shared.db'}").exit_code == code


def test_a_relay_is_told_out_of_its_folder_however_that_is_named(assay: Assay, home: Path) -> None:
    store, now = home / "store", time.time()
    store.mkdir()
    BeatFile(store / FILE_NAME).write(Beat("relay", None, now, "keeps 2 bundles, 1.0 MB", now - 60))
    with only_one(store / "relay.lock", "a test", "wait"):
        assert "relay: running" in assay("relay", "status", "--store", str(store)).stdout
        assert "keeps 2 bundles" in assay("relay", "status", env={"ASSAY_RELAY_DIRECTORY": str(store)}).stdout
        (home / "assay.toml").write_text(f'[relay]\ndirectory = "{store}"\n')
        assert assay("relay", "status").exit_code == 0
    assert "not running since" in assay("relay", "status").stdout


def test_a_file_that_is_no_heartbeat_is_one_line(assay: Assay, home: Path) -> None:
    (trainer(home, 1) / FILE_NAME).write_text("{")
    result = assay("trainer", "status")
    assert result.exit_code == 1 and "is no heartbeat of this release" in result.stderr
