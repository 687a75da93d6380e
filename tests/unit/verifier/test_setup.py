"""Settings, database and what goes wrong before anything runs."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import TaskId
from assay_verifier.app import built_verifier
from assay_verifier.database import migrate, open_database, sole_writer
from assay_verifier.models import Base
from assay_verifier.service import build_service, run_service
from assay_verifier.settings import ServeSettings, VerifierSettings, load_serve_settings, load_verifier_settings
from tests.machines import PYTHON_PATH, ROOT


def test_migrations_make_the_schema_of_the_models(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'new/folder/verifier.db'}")
    migrate(engine)
    migrate(engine)  # nothing to do
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_database_of_another_release_stops(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Stop, match=r"newer release of Assay, or another one .*9999.*name another --database-url"):
        migrate(engine)


@pytest.mark.slow
def test_an_install_path_may_hold_a_percent_sign(tmp_path: Path) -> None:
    package = tmp_path / "100%(here)s %d" / "assay_verifier"
    shutil.copytree(ROOT / "verifier" / "assay_verifier", package, ignore=shutil.ignore_patterns("__pycache__"))
    script = "import sys; from assay_verifier.database import *; migrate(open_database(sys.argv[1]))"
    url = f"sqlite:///{tmp_path / 'verifier.db'}"
    env = {**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{PYTHON_PATH}"}
    done = subprocess.run([sys.executable, "-c", script, url], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_verifier_at_a_time_writes_a_task_and_the_other_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'verifier.db'}"
    first, second = open_database(url), open_database(url)
    told = rf"task 1 into .*verifier.db \(process {os.getpid()}\): end it"
    with ExitStack() as stack:
        stack.enter_context(sole_writer(first, TaskId(1)))
        stack.enter_context(sole_writer(first, TaskId(2)))
        with pytest.raises(Stop, match=told):
            stack.enter_context(sole_writer(second, TaskId(1)))
    with sole_writer(second, TaskId(1)):
        pass


@pytest.mark.parametrize("url", ["not a url", "oracle+nothing://here", "postgresql+absent://localhost/x"])
def test_database_that_cannot_be_opened_stops(url: str) -> None:
    with pytest.raises(Stop, match="database"):
        open_database(url)


def test_file_that_is_no_database_stops(tmp_path: Path) -> None:
    (tmp_path / "verifier.db").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(Stop, match="database"):
        build_service(ServeSettings(state_dir=tmp_path))


def test_argument_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "assay.toml"
    config.write_text('task_id = 1\nkeystore = "file.json"\nthreads = 2\nrelays = ["http://a"]\n')
    monkeypatch.setenv("ASSAY_THREADS", "3")
    monkeypatch.setenv("ASSAY_RELAYS", "http://b http://c")
    settings = load_verifier_settings(config, task_id=7, keystore=None)
    assert (settings.task_id, settings.threads, settings.keystore) == (7, 3, Path("file.json"))
    assert settings.relays == ("http://b", "http://c")
    assert load_serve_settings(port=99).port == 99


def test_missing_or_impossible_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="task_id"):
        load_verifier_settings(keystore=tmp_path)
    with pytest.raises(Stop, match="poll_s"):
        load_verifier_settings(task_id=1, keystore=tmp_path, poll_s=-1)
    with pytest.raises(Stop, match="no configuration file"):
        load_verifier_settings(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("task_id = ")
    with pytest.raises(Stop, match="cannot read"):
        load_verifier_settings(broken)


def test_unknown_network_stops(tmp_path: Path) -> None:
    settings = VerifierSettings(task_id=1, keystore=tmp_path / "key.json", network="atlantis", state_dir=tmp_path)
    with pytest.raises(Stop, match="atlantis"), built_verifier(settings):
        pass


@pytest.mark.slow
def test_the_service_loads_neither_torch_nor_a_node_client() -> None:
    program = (
        "import sys, assay_protocol.cli.verifier, assay_verifier.service\n"
        "print([name for name in ('torch', 'transformers', 'web3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_service_says_where_it_serves_and_ends_at_the_first_signal(tmp_path: Path) -> None:
    arguments = ["verifier", "serve", "--port", "0", "--state-dir", str(tmp_path), "--root-path", "assay/"]
    program = [sys.executable, "-c", "from assay_protocol.cli import main; main(prog_name='assay')", *arguments]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        line = next(line for line in service.stderr if "serving" in line)
        found = re.search(r"url=(http://127\.0\.0\.1:[1-9]\d*)/assay$", line.strip())
        assert found is not None, line
        assert httpx.get(found[1] + "/docs", timeout=10, trust_env=False).status_code == 200
        service.send_signal(signal.SIGINT)
        assert service.wait(10) == 0


def test_a_port_that_is_taken_by_another_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Stop, match="choose another --port"):
        run_service(ServeSettings(state_dir=tmp_path, port=taken.getsockname()[1]))
