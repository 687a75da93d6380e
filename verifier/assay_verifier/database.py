"""Opens the verifier's database and brings its schema up to date."""

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from assay_core.protocol.errors import Stop

MIGRATION_ATTEMPTS = 4
MIGRATION_LOCK = 0x41737361  # PostgreSQL: one process at a time makes tables
Sessions = Callable[[], Session]


def open_database(url: str) -> Engine:
    """An engine for `url`. SQLite gets a write-ahead log, so that `serve` reads while `work` writes.

    Raises Stop: the URL is none, its driver is missing or the folder cannot be made.
    """
    try:
        parsed = make_url(url)
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


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; nothing to do when it is. Raises Stop: the database cannot be reached."""
    config = Config()
    config.set_main_option("script_location", str(files("assay_verifier") / "migrations"))
    for attempt in range(MIGRATION_ATTEMPTS):
        try:
            with engine.begin() as connection:
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            return
        except DBAPIError as error:
            # `work` and `serve` may start at the same moment: whoever comes second finds its tables made
            if attempt == MIGRATION_ATTEMPTS - 1:
                raise Stop(f"cannot prepare the database: {error.orig}") from error
            time.sleep(0.2 * (attempt + 1))


def session_factory(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)
