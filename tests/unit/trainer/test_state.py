"""What a trainer keeps on disk and reads at its start: journal, status, settings, keys, signals."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.creations import CONTRACTS
from assay_core.daemon.status import StatusFile
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Epoch, PolicyVersion, Root, Seed
from assay_trainer.app import run_trainer
from assay_trainer.journal import Entry, Journal, Stage, exclusive
from assay_trainer.settings import TrainerSettings, load_trainer_settings
from tests.examples import examples
from tests.machines import fill
from tests.unit.trainer.ground import Ground, QuickStop

ROOTS = st.binary(min_size=32, max_size=32).map(Root)
ENTRIES = st.builds(
    Entry,
    st.integers(0, 999_999).map(Epoch),
    st.sampled_from(Stage),
    st.integers(0, 2**32 - 1).map(PolicyVersion),
    ROOTS,
    ROOTS.map(Seed),
    st.none() | ROOTS,
)


@settings(max_examples=examples(30))
@given(entry=ENTRIES)
def test_a_journal_entry_survives(tmp_path_factory: pytest.TempPathFactory, entry: Entry) -> None:
    folder = tmp_path_factory.mktemp("journal")
    Journal(folder).write(entry)
    assert Journal(folder).read(entry.epoch) == entry
    assert list(Journal(folder).entries()) == [entry]


def test_an_epoch_without_entry_reads_as_none(tmp_path: Path) -> None:
    assert Journal(tmp_path).read(Epoch(3)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"epoch": 0}'])
def test_a_damaged_journal_entry_stops(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "epochs" / "000003.json").write_text(text)
    with pytest.raises(Stop, match="damaged"):
        journal.read(Epoch(3))


def test_two_trainers_never_share_a_state_directory(tmp_path: Path) -> None:
    told = rf"another trainer runs in .* \(process {os.getpid()}\): end it, or name another --state-dir"
    with exclusive(tmp_path), pytest.raises(Stop, match=told), exclusive(tmp_path):
        raise AssertionError("the second came in")
    with exclusive(tmp_path):
        pass


def test_the_status_file_gets_a_line_of_json_per_step(tmp_path: Path) -> None:
    status = StatusFile(tmp_path / "new" / "status.jsonl", logging.getLogger("trainer"), clock=lambda: 12.0)
    status("rolled out", epoch=1, mean_reward=0.5)
    status("waiting", why="é")
    lines = [json.loads(line) for line in (tmp_path / "new" / "status.jsonl").read_text().splitlines()]
    assert lines == [
        {"at": 12.0, "message": "rolled out", "epoch": 1, "mean_reward": 0.5},
        {"at": 12.0, "message": "waiting", "why": "é"},
    ]


def test_settings_come_from_file_environment_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "trainer.toml"
    config.write_text('task_id = 1\nkeystore = "file.json"\nthreads = 2\npoll_s = 2.0\n')
    monkeypatch.setenv("ASSAY_THREADS", "3")
    monkeypatch.setenv("ASSAY_POLL_S", "3.0")
    loaded = load_trainer_settings(config, poll_s=4.0, rpc_url=None)
    assert (loaded.task_id, loaded.threads, loaded.poll_s) == (1, 3, 4.0)
    assert loaded.keystore == Path("file.json")


@pytest.mark.parametrize(
    ("given_settings", "named"),
    [
        ({"keystore": Path("k")}, "task_id"),
        ({"task_id": 1}, "a keystore or a signer is needed"),
        ({"task_id": 0, "keystore": "k"}, "task_id"),
    ],
)
def test_a_missing_or_impossible_setting_is_named(given_settings: dict[str, Any], named: str) -> None:
    with pytest.raises(Stop, match=named):
        load_trainer_settings(**given_settings)


def test_a_configuration_file_that_is_not_there_or_not_toml_stops(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no configuration file"):
        load_trainer_settings(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("task_id = ")
    with pytest.raises(Stop, match="cannot read"):
        load_trainer_settings(tmp_path / "broken.toml")


def settings_for(tmp_path: Path, network: str) -> TrainerSettings:
    return load_trainer_settings(
        network=network, task_id=1, keystore=tmp_path / "none.json", password_file=tmp_path / "pw", state_dir=tmp_path
    )


def test_an_unknown_network_stops(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no deployment"):
        run_trainer(settings_for(tmp_path, "atlantis"))


def test_a_missing_key_stops(tmp_path: Path) -> None:
    deployment = {
        "network": "test",
        "chain_id": 31337,
        "rpc_url": "http://127.0.0.1:1",
        "block": 0,
        "git_commit": "",
        **{field: "0x" + "11" * 20 for field in CONTRACTS},
    }
    (tmp_path / "test.json").write_text(json.dumps(deployment))
    (tmp_path / "pw").write_text("secret")
    with pytest.raises(Stop, match="no key at"):
        run_trainer(settings_for(tmp_path, str(tmp_path / "test.json")))


def test_a_status_file_that_takes_nothing_is_told_once_and_ends_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    status = StatusFile(Path("/dev/full"), logging.getLogger("trainer"))
    for number in range(3):
        status("inner step", step=number)
    assert [record.message for record in caplog.records] == ["the status file takes no lines; going on without"]


def test_a_status_file_goes_on_once_the_disk_has_room(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = small_disk / "status.jsonl"
    status = StatusFile(path, logging.getLogger("trainer"))
    filler = fill(small_disk)
    status("lost")
    status("lost, too")
    filler.unlink()
    status("kept")
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["kept"]
    assert [record.message for record in caplog.records] == [
        "lost",
        "the status file takes no lines; going on without",
        "lost, too",
        "kept",
        "the status file takes lines again",
    ]


@pytest.mark.parametrize("place", ["task read", "submission begun", "rolled out", "submission made"])
def test_a_full_disk_is_waited_for_and_told_once(ground: Ground, small_disk: Path, place: str) -> None:
    ground = replace(ground.enlisted(), folder=small_disk)
    worker = ground.worker(stop=(stop := QuickStop(after=8)))
    fillers = list[Path]()

    def full() -> None:
        if not fillers:
            fillers.append(fill(small_disk))

    def freed() -> None:
        if len(stop.waits) >= 3:
            fillers[0].unlink(missing_ok=True)

    ground.notes.on = {place: full}
    stop.on_wait = freed
    worker.run()
    assert ground.notes.messages.count("waiting for the disk") == 1
    assert "No space left" in str(ground.notes.of("waiting for the disk")["why"])
    assert ground.notes.messages.count("the disk takes writes again") == 1
    assert len(ground.chain.commits) == 1 and set(ground.shards.published) == set(ground.chain.commits)


def test_a_signer_stands_in_for_a_keystore(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_trainer_settings(task_id=1, signer="http://127.0.0.1:9000").keystore is None
    monkeypatch.setenv("ASSAY_SIGNER", "http://127.0.0.1:9000")
    assert load_trainer_settings(task_id=1).signer == "http://127.0.0.1:9000"
    monkeypatch.setenv("ASSAY_SIGNER", "")  # as local networks set it for their processes
    assert load_trainer_settings(task_id=1, keystore=Path("k")).signer is None
