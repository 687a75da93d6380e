"""Opens the verifier's database and brings its schema up to date."""

import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from assay_core.daemon.lock import only_one
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import TaskId

MIGRATION_ATTEMPTS = 4
POSTGRES = ("postgres", "postgresql")
MIGRATION_LOCK = 0x41737361  # PostgreSQL: one process at a time makes tables
WRITER_LOCK = 0x41737362  # … and one verifier at a time writes a task
LOCK_HOLDER = """
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = :kind AND objid = :number AND objsubid = 2 AND granted
"""
Sessions = Callable[[], Session]


def open_database(url: str) -> Engine:
    """An engine for `url`. SQLite gets a write-ahead log, so that `serve` reads while `run` writes.

    Raises Stop: the URL is none, its driver is missing or the folder cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in POSTGRES:
            parsed = parsed.set(drivername="postgresql+psycopg")  # which is the driver that the extra installs
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
    except (ArgumentError, ImportError, OSError) as error:
        raise Stop(f"cannot open the database: {error}; correct database_url") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "busy_timeout=10000", "foreign_keys=ON", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def shown_url(url: URL) -> str:
    """For people: without the password."""
    return url.render_as_string(hide_password=True)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; nothing to do when it is.

    Raises Stop: the database cannot be reached, or was made by a release with other tables.
    """
    config = Config()
    scripts = str(files("assay_verifier") / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))  # "%" begins a variable there
    for attempt in range(MIGRATION_ATTEMPTS):
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            return
        except CommandError as error:
            raise Stop(
                f"{shown_url(engine.url)} was made by a newer release of Assay, or another one ({error}): go on with "
                "that release, or name another --database-url"
            ) from error
        except DBAPIError as error:
            # `run` and `serve` may start at the same moment: the second finds its tables made
            if attempt == MIGRATION_ATTEMPTS - 1:
                raise Stop(f"cannot prepare the database {shown_url(engine.url)}: {error.orig}") from error
            time.sleep(0.2 * (attempt + 1))


@contextmanager
def sole_writer(engine: Engine, task_id: TaskId) -> Generator[None]:
    """Keep a task's rows in this database for this process alone. Raises Stop: another verifier has them."""
    advice = "end it, or name another --database-url or --state-dir"
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and file != ":memory:":
        who = f"another verifier writes task {task_id} into {file}"
        with only_one(Path(f"{file}.task-{task_id}.lock"), who, advice):
            yield
    elif engine.dialect.name == "postgresql":
        with _advisory_lock(engine, task_id % 2**31, f"another verifier writes task {task_id} into {file!r}", advice):
            yield
    else:
        yield


@contextmanager
def _advisory_lock(engine: Engine, number: int, who: str, advice: str) -> Generator[None]:
    """A lock of PostgreSQL's, that of one connection and gone with it. Its holder is told by the connection's name."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = {"name": f"assay verifier, process {os.getpid()} on {socket.gethostname()}"[:63]}
        connection.execute(text("SELECT set_config('application_name', :name, false)"), name)
        key = {"kind": WRITER_LOCK, "number": number}
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:kind, :number)"), key):
            holder = connection.scalar(text(LOCK_HOLDER), key) or "of another user"
            raise Stop(f"{who} ({holder}): {advice}")
        try:
            yield
        finally:
            with suppress(DBAPIError):  # the connection is gone, and the lock with it
                connection.execute(text("SELECT pg_advisory_unlock(:kind, :number)"), key)


def database_fault(error: BaseException | None) -> str | None:
    """What a database that does not answer says, if that is what lies behind an error; None: it is something else."""
    while error is not None:
        if isinstance(error, (OperationalError, InterfaceError)):
            return f"the database does not answer: {str(error.orig).strip()}".splitlines()[0]
        error = error.__cause__ or error.__context__
    return None


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose rows stay readable after the transaction."""
    return sessionmaker(engine, expire_on_commit=False)
