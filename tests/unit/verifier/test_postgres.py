"""The verifier's database on PostgreSQL: the same schema, the same rows, several processes at once.

Starts a PostgreSQL of its own on loopback, from Debian's package or from the PATH; without one there is nothing to try.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from eth_account import Account
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Root, TaskId
from assay_protocol.devnet.anvil import free_port
from assay_verifier.api import create_api
from assay_verifier.database import database_fault, migrate, open_database, session_factory, sole_writer
from assay_verifier.models import AttestationRow, Base
from assay_verifier.recorder import Recorder
from assay_verifier.verdict import report_bytes
from tests.fakes import Notes
from tests.machines import PYTHON_PATH
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, judging_queue, node_of
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

pytestmark = pytest.mark.slow

KEY = Account.from_key(b"\x01" * 32)
VERIFIER = Address(KEY.address)
STARTS_WITHIN_S = 30


def binaries() -> Path | None:
    """The folder with initdb and postgres: the newest of Debian's, or where the PATH says."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = [folder for folder in debian if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path and (Path(on_path).parent / "postgres").exists() else None


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: the user to run it as, None for ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of an empty PostgreSQL that lives as long as these tests."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL (initdb, postgres) is not installed")
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    user, port = unprivileged(), free_port()
    folder = Path(mkdtemp(prefix="assay-postgres-", dir="/tmp"))  # a path that this user may enter
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    make = [found / "initdb", "--pgdata", data, "--username", "assay", "--auth", "trust", "--encoding", "UTF8"]
    subprocess.run([*make, "--no-sync"], user=user, check=True, capture_output=True, cwd=folder)
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), "fsync": "off"}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        node = subprocess.Popen(
            [found / "postgres", "-D", data, "-p", str(port), *flags], user=user, stdout=log, stderr=log, cwd=folder
        )
    try:
        await_port(port, node, folder / "log")
        yield f"postgresql+psycopg://assay@127.0.0.1:{port}/postgres"
    finally:
        node.send_signal(signal.SIGINT)  # SIGTERM would wait for connections that a failed test left open
        node.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def await_port(port: int, node: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and node.poll() is None:
        try:
            open_database(f"postgresql+psycopg://assay@127.0.0.1:{port}/postgres").connect().close()
            return
        except Exception:  # noqa: BLE001 -- refused, or still starting up
            time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def engine(server: str) -> Iterator[Engine]:
    """The database with its schema, emptied after the test."""
    engine = open_database(server)
    migrate(engine)
    yield engine
    empty(engine)


def empty(engine: Engine) -> None:
    Base.metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    engine.dispose()


def test_migrations_make_the_schema_of_the_models(engine: Engine) -> None:
    migrate(engine)  # nothing to do
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_daemon_and_service_may_start_at_the_same_moment(server: str) -> None:
    script = "import sys; from assay_verifier.database import *; migrate(open_database(sys.argv[1]))"
    started = [subprocess.Popen([sys.executable, "-c", script, server], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(each.communicate(timeout=60)[1].decode()[-500:], each.returncode) for each in started] == [("", 0)] * 3
    empty(open_database(server))


def test_epoch_is_recorded_judged_attested_and_shown(
    engine: Engine,
    policy_bundle: Bundle,
    trainer: HonestTrainer,
    tmp_path: Path,
) -> None:
    sessions, shards, sent = session_factory(engine), ShardStore(), Sent()
    chronicle = Chronicle(shards.add(policy_bundle))
    chronicle.verifier(VERIFIER)
    chronicle.submission(TRAINER, shards.add(trainer.write(trainer.parts())))
    recorder = Recorder(sessions, SPEC)
    recorder.record(chronicle.ledger, {})
    chronicle.seal()
    recorder.record(chronicle.ledger, {})
    queue = judging_queue(shards)
    while queue.judge_next(chronicle.ledger, chronicle.record()):
        pass
    judged = queue.judgements(chronicle.ledger, chronicle.record(), give_up=False)
    assert judged is not None
    attester = attester_of(node_of(VERIFIER, KEY, sent, shards, sessions, Notes()), tmp_path / "evidence")
    row = attester.write(chronicle.record(), judged)
    attester.commit(chronicle.record())
    with sessions() as session, session.begin():
        kept = session.get_one(AttestationRow, (1, 0))
        assert (kept.report, kept.salt, kept.committed) == (report_bytes([judged[0].verdict]), row.salt, True)
        assert kept.written_at.tzinfo is not None
        kept.revealed = True
    submission = TestClient(create_api(sessions)).get("/tasks/1/epochs/0/submissions/0").json()
    assert (submission["score"], submission["trainer"]) == (100, TRAINER)


def test_submission_replaced_by_a_reorganisation_loses_its_evidence(engine: Engine) -> None:
    sessions = session_factory(engine)
    recorder = Recorder(sessions, SPEC)
    for root in (Root(b"\x01" * 32), Root(b"\x02" * 32)):
        chronicle = Chronicle(Root(b"\x05" * 32))
        chronicle.submission(TRAINER, root)
        recorder.record(chronicle.ledger, {})
    submissions = TestClient(create_api(sessions)).get("/tasks/1/epochs/0/submissions").json()
    assert [submission["manifest_root"].removeprefix("0x") for submission in submissions] == [(b"\x02" * 32).hex()]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_url_as_hosters_write_it_works(server: str, scheme: str) -> None:
    engine = open_database(server.replace("postgresql+psycopg", scheme))
    migrate(engine)
    empty(engine)


def test_schema_of_a_newer_release_is_told_without_the_password(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Stop, match="newer release of Assay") as caught:
        migrate(open_database(str(engine.url.set(password="geheim").render_as_string(hide_password=False))))
    assert "geheim" not in str(caught.value) and "9999" in str(caught.value)


def test_one_verifier_at_a_time_writes_a_task_and_the_other_is_named(server: str) -> None:
    script = """if True:
        import sys
        from assay_verifier.database import *
        with sole_writer(open_database(sys.argv[1]), 1):
            print("held", flush=True)
            sys.stdin.readline()
    """
    command = [sys.executable, "-c", script, server]
    env = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    engine = open_database(server)
    try:
        with pytest.raises(Stop, match=f"process {holder.pid} on "), sole_writer(engine, TaskId(1)):
            pass
        with sole_writer(engine, TaskId(2)):  # another task is another matter
            pass
        holder.kill()
        holder.wait()
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not is_free(engine):
            assert time.monotonic() < deadline, "the lock outlived its holder"
    finally:
        holder.kill()
        engine.dispose()


def is_free(engine: Engine) -> bool:
    try:
        with sole_writer(engine, TaskId(1)):
            return True
    except Stop:
        return False


def test_a_connection_that_is_lost_is_this_machines_trouble(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert str(database_fault(caught.value)).startswith("the database does not answer")
    assert database_fault(ValueError("no")) is None


def test_server_that_is_down_stops_the_operator() -> None:
    with pytest.raises(Stop, match="database"):
        migrate(open_database(f"postgresql+psycopg://assay@127.0.0.1:{free_port()}/postgres"))
