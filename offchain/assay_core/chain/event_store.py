"""The events of one deployment in one SQLite file, and how far the chain has been read.

Only what the chain says is kept here: the file can be deleted at any time and is then read anew from the chain.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sqlalchemy import (
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

from assay_core.chain.deployment import Deployment
from assay_core.chain.events import EVENT_BY_NAME, Event, Position, TaskEvent, event_addresses
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import KindTerms, TaskId, TaskParams

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

    `generation` counts roll-backs: whoever folds events starts anew when it has changed.
    """

    def __init__(self, path: Path | None, deployment: Deployment) -> None:
        """`path` None keeps all in memory. Raises Stop: the file belongs to another deployment."""
        self._engine = _open(path)
        identity = _identity(deployment)
        with self._engine.begin() as connection:
            found = connection.scalar(select(_ABOUT.c.deployment))
            if found is None:
                connection.execute(insert(_ABOUT).values(deployment=identity, generation=0))
            elif found != identity:
                raise Stop(
                    f"{path} holds events of another deployment than {deployment.network!r}: "
                    "delete it (it is read again from the chain) or name another file"
                )

    def close(self) -> None:
        self._engine.dispose()

    def generation(self) -> int:
        with self._engine.begin() as connection:
            return int(connection.scalar(select(_ABOUT.c.generation)) or 0)

    def cursor(self) -> Checkpoint | None:
        """The last block read; None: none yet."""
        return next(iter(self.checkpoints(limit=1)), None)

    def checkpoints(self, limit: int = KEPT_CHECKPOINTS) -> list[Checkpoint]:
        """Newest first."""
        query = select(_CHECKPOINTS).order_by(_CHECKPOINTS.c.block_number.desc()).limit(limit)
        with self._engine.begin() as connection:
            return [Checkpoint(row.block_number, row.block_hash) for row in connection.execute(query)]

    def append(self, events: Sequence[Event], upto: Checkpoint) -> None:
        """Events of the blocks after the cursor up to and including `upto`, together with that progress."""
        with self._engine.begin() as connection:
            if events:
                connection.execute(insert(_EVENTS), [_row(each) for each in events])
            connection.execute(insert(_CHECKPOINTS).values(block_number=upto.block_number, block_hash=upto.block_hash))
            _prune(connection)

    def roll_back(self, to: Checkpoint | None) -> None:
        """Forget all that was read after a checkpoint; None: everything."""
        last = -1 if to is None else to.block_number
        with self._engine.begin() as connection:
            connection.execute(delete(_EVENTS).where(_EVENTS.c.block_number > last))
            connection.execute(delete(_CHECKPOINTS).where(_CHECKPOINTS.c.block_number > last))
            connection.execute(update(_ABOUT).values(generation=_ABOUT.c.generation + 1))

    def events(self, after: Position | None = None, task_id: TaskId | None = None) -> Iterator[Event]:
        """In chain order: those after a position, of one task or of all."""
        query = select(_EVENTS).order_by(_EVENTS.c.block_number, _EVENTS.c.log_index)
        if after is not None:
            block, index = after
            later = and_(_EVENTS.c.block_number == block, _EVENTS.c.log_index > index)
            query = query.where(or_(_EVENTS.c.block_number > block, later))
        if task_id is not None:
            query = query.where(_EVENTS.c.task_id == str(task_id))
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return (_event(row) for row in rows)


def _open(path: Path | None) -> Engine:
    if path is None:
        engine = create_engine("sqlite://")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

        def use_wal(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # what a power cut loses is read again

        event.listen(engine, "connect", use_wal)
    _METADATA.create_all(engine)
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
