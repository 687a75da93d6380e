"""The events of one deployment in one SQLite file, and how far the chain has been read.

Only what the chain says is kept here: the file can be deleted at any time and is then read again from the chain.
"""

import fcntl
import json
import logging
import secrets
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError

from assay_core.bundle.disk import disk_fault
from assay_core.chain.deployment import Deployment
from assay_core.chain.events import EVENT_BY_NAME, Event, Position, TaskEvent, event_addresses
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import KindTerms, TaskId, TaskParams

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 256

_METADATA = MetaData()
_ABOUT = Table(
    "about",
    _METADATA,
    Column("deployment", String, primary_key=True),
    Column("generation", Integer, nullable=False),
)
_CHECKPOINTS = Table(
    "checkpoints",
    _METADATA,
    Column("block_number", Integer, primary_key=True),
    Column("block_hash", LargeBinary(32), nullable=False),
)
_EVENTS = Table(
    "events",
    _METADATA,
    Column("block_number", Integer, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("tx_hash", LargeBinary(32), nullable=False),
    Column("task_id", String, index=True),  # decimal: 256 bits do not fit SQLite's integers
    Column("name", String, nullable=False),
    Column("body", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block up to which everything was read."""

    block_number: int
    block_hash: bytes


class EventStore:
    """Events and checkpoints. Every method is one transaction.

    `generation` counts roll-backs: anyone who folds events starts again when it has changed.
    """

    def __init__(self, path: Path | None, deployment: Deployment) -> None:
        """`path` None keeps all in memory. A damaged file is begun again.

        Raises Stop: the file belongs to another deployment, or cannot be opened.
        """
        self._path = path
        self._deployment = deployment
        self._followed: int | None = None  # the generation that the cursor was read in
        with _one_at_a_time(path):
            try:
                self._engine = self._open(generation=0)
            except DatabaseError as error:
                self._begin_again(error)

    def close(self) -> None:
        self._engine.dispose()

    def generation(self) -> int:
        with self._transaction() as connection:
            return _generation(connection)

    def cursor(self) -> Checkpoint | None:
        """The last block read; None: none yet."""
        with self._transaction() as connection:
            self._followed = _generation(connection)
            return next(iter(_checkpoints(connection, limit=1)), None)

    def checkpoints(self, limit: int = KEPT_CHECKPOINTS) -> list[Checkpoint]:
        """Newest first."""
        with self._transaction() as connection:
            return _checkpoints(connection, limit)

    def append(self, events: Sequence[Event], upto: Checkpoint) -> None:
        """Events of the blocks after the cursor up to and including `upto`, together with that progress.

        What another process has appended meanwhile is not appended twice. Raises Unavailable: it took something back.
        """
        with self._transaction(writes=True) as connection:
            self._require_followed(connection)
            read = next(iter(_checkpoints(connection, limit=1)), None)
            fresh = [each for each in events if read is None or each.block_number > read.block_number]
            if fresh:
                connection.execute(insert(_EVENTS), [_row(each) for each in fresh])
            if read is None or upto.block_number > read.block_number:
                row = {"block_number": upto.block_number, "block_hash": upto.block_hash}
                connection.execute(insert(_CHECKPOINTS).values(row))
            _prune(connection)

    def roll_back(self, to: Checkpoint | None) -> None:
        """Forget all that was read after a checkpoint; None: everything. Raises Unavailable as `append`."""
        last = -1 if to is None else to.block_number
        with self._transaction(writes=True) as connection:
            self._require_followed(connection)
            connection.execute(delete(_EVENTS).where(_EVENTS.c.block_number > last))
            connection.execute(delete(_CHECKPOINTS).where(_CHECKPOINTS.c.block_number > last))
            connection.execute(update(_ABOUT).values(generation=_ABOUT.c.generation + 1))
            self._followed = _generation(connection)

    def positions(self, first: int) -> set[Position]:
        """Where events are, from a block on."""
        query = select(_EVENTS.c.block_number, _EVENTS.c.log_index).where(_EVENTS.c.block_number >= first)
        with self._transaction() as connection:
            return {(row.block_number, row.log_index) for row in connection.execute(query)}

    def events(self, after: Position | None = None, task_id: TaskId | None = None) -> Iterator[Event]:
        """In chain order: those after a position, of one task or of all."""
        query = select(_EVENTS).order_by(_EVENTS.c.block_number, _EVENTS.c.log_index)
        if after is not None:
            block, index = after
            later = and_(_EVENTS.c.block_number == block, _EVENTS.c.log_index > index)
            query = query.where(or_(_EVENTS.c.block_number > block, later))
        if task_id is not None:
            query = query.where(_EVENTS.c.task_id == str(task_id))
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        try:
            return iter([_event(row) for row in rows])
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # not what this release writes
            raise self._renewed(error) from error

    # -- the file

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Generator[Connection]:
        """Raises Unavailable: the file turned out to be damaged, and was begun again."""
        try:
            with self._engine.begin() as connection:
                if writes:  # what is decided inside stays true until it is written
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except DatabaseError as error:
            if not _is_damage(error):
                raise
            raise self._renewed(error) from error

    def _require_followed(self, connection: Connection) -> None:
        if self._followed is not None and self._followed != _generation(connection):
            raise Unavailable("another process took back events of a reorganised chain meanwhile; trying again")

    def _open(self, generation: int) -> Engine:
        """Raises DatabaseError: damaged, or out of reach; Stop: another deployment's."""
        engine = _open(self._path)
        try:
            self._claim(engine, generation)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _claim(self, engine: Engine, generation: int) -> None:
        identity = _identity(self._deployment)
        with engine.begin() as connection:
            _require_intact(connection)
            found = connection.scalar(select(_ABOUT.c.deployment))
            if found is None:
                connection.execute(insert(_ABOUT).values(deployment=identity, generation=generation))
            elif found != identity:
                raise Stop(
                    f"{self._path} holds events of another deployment than {self._deployment.network!r}: "
                    "delete it (it is read again from the chain) or name another file"
                )

    def _renewed(self, error: Exception) -> Unavailable:
        """Begin the file again while it is in use; what to tell the one who uses it."""
        self._engine.dispose()
        with _one_at_a_time(self._path):
            self._begin_again(error)
        return Unavailable(f"{self._path} was damaged, and is now read again from the chain; try again")

    def _begin_again(self, error: Exception) -> None:
        """Make the file again, empty, with a generation that nobody has seen.

        Raises Stop: that is no damage; Unavailable: the disk takes nothing now.
        """
        if (fault := disk_fault(error)) is not None:
            raise Unavailable(f"{self._path} cannot be written ({fault}): make room") from error
        if isinstance(error, DatabaseError) and not _is_damage(error):
            raise Stop(f"cannot open {self._path}: {error.orig}; name another folder with --state-dir") from error
        log.warning("a damaged cache of events is read again", extra={"file": str(self._path), "why": str(error)[:200]})
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._engine = self._open(secrets.randbits(31))


@contextmanager
def _one_at_a_time(path: Path | None) -> Generator[None]:
    """Processes that open the same file wait for each other: SQLite itself refuses some that make it together."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_damage(error: DatabaseError) -> bool:
    """Whether the file is no database, a broken one, or lacks tables of ours."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such" in str(error.orig)


def _require_intact(connection: Connection) -> None:
    """Raises DatabaseError: it is damaged."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        damage = sqlite3.DatabaseError(str(found))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise DatabaseError("PRAGMA quick_check", None, damage)
    for kept in _METADATA.sorted_tables:
        connection.execute(select(kept).limit(1))


def _generation(connection: Connection) -> int:
    return int(connection.scalar(select(_ABOUT.c.generation)) or 0)


def _checkpoints(connection: Connection, limit: int) -> list[Checkpoint]:
    query = select(_CHECKPOINTS).order_by(_CHECKPOINTS.c.block_number.desc()).limit(limit)
    return [Checkpoint(row.block_number, row.block_hash) for row in connection.execute(query)]


def _open(path: Path | None) -> Engine:
    if path is None:
        engine = create_engine("sqlite://")
    else:
        engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})

        def use_wal(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut loses is read again

        event.listen(engine, "connect", use_wal)
    try:
        _METADATA.create_all(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _identity(deployment: Deployment) -> str:
    return "/".join((str(deployment.chain_id), *event_addresses(deployment)))


def _prune(connection: Connection) -> None:
    """Old checkpoints are of no use: a reorganisation deeper than the kept ones is read again from the start."""
    count = connection.scalar(select(func.count()).select_from(_CHECKPOINTS)) or 0
    if count > 2 * KEPT_CHECKPOINTS:
        newest = select(_CHECKPOINTS.c.block_number).order_by(_CHECKPOINTS.c.block_number.desc())
        oldest_kept = connection.scalar(newest.offset(KEPT_CHECKPOINTS - 1).limit(1))
        connection.execute(delete(_CHECKPOINTS).where(_CHECKPOINTS.c.block_number < oldest_kept))


def _row(each: Event) -> dict[str, Any]:
    body = asdict(each)
    block_number, log_index, tx_hash = (body.pop(name) for name in ("block_number", "log_index", "tx_hash"))
    return {
        "block_number": block_number,
        "log_index": log_index,
        "tx_hash": tx_hash,
        "task_id": str(each.task_id) if isinstance(each, TaskEvent) else None,
        "name": type(each).__name__,
        "body": json.dumps(body, default=_hex),
    }


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(type(value).__name__)


def _event(row: Any) -> Event:
    kind = EVENT_BY_NAME[row.name]
    types = _types(kind)
    body = {name: _read(types[name], value) for name, value in json.loads(row.body).items()}
    return kind(block_number=row.block_number, log_index=row.log_index, tx_hash=row.tx_hash, **body)


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    """A value of JSON as the type that a field of an event has."""
    while hasattr(kind, "__supertype__"):  # NewType
        kind = kind.__supertype__
    if kind is bytes:
        return bytes.fromhex(value[2:])
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        each = [parts[0]] * len(value) if parts[-1] is ... else parts
        return tuple(map(_read, each, value))
    if kind is TaskParams or kind is KindTerms:
        types = _types(kind)
        return kind(**{name: _read(types[name], part) for name, part in value.items()})
    return kind(value) if issubclass(kind, IntEnum) else value
