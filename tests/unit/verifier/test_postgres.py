"""The verifier's database on PostgreSQL: the same schema, the same rows, several processes at once.

Starts a PostgreSQL of its own on loopback, from Debian's package or from the PATH; without one there is nothing to try.
"""

import os
import pwd
import shutil
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

from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Root, TaskId
from assay_protocol.devnet.anvil import free_port
from assay_verifier.api import create_api
from assay_verifier.attester import Attester
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.inbox import Inbox, JudgeContext
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.models import AttestationRow, Base
from assay_verifier.recorder import Recorder
from assay_verifier.sealed import Envelope
from assay_verifier.transactions import Transactions
from assay_verifier.verdict import report_bytes
from tests.unit.verifier.chronicle import CONTRACT, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, Silent
from tests.unit.verifier.honest import SPEC, TRAINER, Bundle, HonestTrainer

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
        node.terminate()
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
    chronicle.work(TRAINER, shards.add(trainer.write(trainer.parts())))
    recorder = Recorder(sessions, SPEC)
    recorder.record(chronicle.ledger, {})
    chronicle.seal()
    recorder.record(chronicle.ledger, {})
    inbox = Inbox(shards, SPEC)
    queue = JudgingQueue(SPEC, inbox, JudgeContext(inbox, make_environment(SPEC.environment), load_policy))
    while queue.judge_next(chronicle.ledger, chronicle.record()):
        pass
    judged = queue.judgements(chronicle.ledger, chronicle.record(), give_up=False)
    assert judged is not None
    attester = Attester(
        TaskId(1),
        VERIFIER,
        KEY,
        contracts().attestations,
        Transactions(sent, sessions, TaskId(1)),
        shards,
        sessions,
        Envelope(KEY, 31_337, CONTRACT),
        tmp_path / "evidence",
        Silent(),
    )
    row = attester.write(chronicle.record(), judged)
    attester.commit(chronicle.record())
    with sessions() as session, session.begin():
        kept = session.get_one(AttestationRow, (1, 0))
        assert (kept.report, kept.salt, kept.committed) == (report_bytes([judged[0].verdict]), row.salt, True)
        assert kept.written_at.tzinfo is not None
        kept.revealed = True
    work = TestClient(create_api(sessions)).get("/tasks/1/epochs/0/works/0").json()
    assert (work["score"], work["trainer"]) == (100, TRAINER)


def test_work_replaced_by_a_reorganisation_loses_its_evidence(engine: Engine) -> None:
    sessions = session_factory(engine)
    recorder = Recorder(sessions, SPEC)
    for root in (Root(b"\x01" * 32), Root(b"\x02" * 32)):
        chronicle = Chronicle(Root(b"\x05" * 32))
        chronicle.work(TRAINER, root)
        recorder.record(chronicle.ledger, {})
    works = TestClient(create_api(sessions)).get("/tasks/1/epochs/0/works").json()
    assert [work["manifest_root"].removeprefix("0x") for work in works] == [(b"\x02" * 32).hex()]


def test_server_that_is_down_stops_the_operator() -> None:
    with pytest.raises(Stop, match="database"):
        migrate(open_database(f"postgresql+psycopg://assay@127.0.0.1:{free_port()}/postgres"))
