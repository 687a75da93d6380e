"""What the daemon says of itself: in its log when it changes, and in the database, where the service finds it."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from assay_core.daemon.heartbeat import WRITTEN_EVERY_S, Account, Beat, Sources, account_of
from assay_core.daemon.status import Status
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import TaskId
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.models import HeartbeatRow

if TYPE_CHECKING:  # what it is derived with talks to nodes: the service needs none
    from assay_verifier.standing import Standing


class Heartbeat:
    """Of one task."""

    def __init__(
        self,
        sessions: Sessions,
        task_id: TaskId,
        sources: Sources,
        status: Status,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sessions, self._task_id, self._sources = sessions, task_id, sources
        self._status, self._clock = status, clock
        self._standing: Standing | None = None
        self._account: Account | None = None
        self._since = self._block_at = self._written_at = 0.0
        self._block: int | None = None  # before the first look

    @property
    def money(self) -> Money:
        """In which amounts are told."""
        return self._sources.money

    def beat(self, standing: "Standing", account: Account, *, has_ended: bool = False) -> None:
        """After a look at the chain that succeeded; where nothing has changed, written now and then."""
        now, block = self._clock(), self._sources.newest_block()
        is_new = standing != self._standing
        if is_new:
            self._standing, self._since = standing, now
            earned = self.money.show(standing.earned_wei)
            self._status("now", doing=standing.doing, deadline=standing.deadline, earned=earned)
        if block != self._block or not self._block_at:
            self._block, self._block_at = block, now
        is_news = is_new or account != self._account
        self._account = account
        found = self._sources.look(is_news=is_news)
        if is_news or has_ended or now - self._written_at >= WRITTEN_EVERY_S:
            self._written_at = now
            self._write(standing, replace(account, balances=found), now, has_ended)

    def _write(self, standing: "Standing", account: Account, now: float, has_ended: bool) -> None:
        with self._sessions() as session, session.begin():
            session.merge(
                HeartbeatRow(
                    self._task_id,
                    -1 if self._block is None else self._block,
                    self._block_at,
                    now,
                    standing.doing,
                    self._since,
                    standing.deadline,
                    str(standing.earned_wei),
                    has_ended=has_ended,
                    lag_s=self._sources.lag_s(now),
                    account=json.dumps(asdict(account)),
                )
            )


def beat_of(row: HeartbeatRow) -> Beat:
    """What a daemon said of itself, as all daemons do."""
    told = Account(earned_wei=int(row.earned_wei)) if row.account is None else account_of(json.loads(row.account))
    return Beat(
        role="verifier",
        task_id=row.task_id,
        looked_at=row.looked_at,
        doing=row.doing,
        since=row.since,
        block=row.block_number,
        block_at=row.block_at,
        lag_s=row.lag_s,
        deadline=row.deadline,
        has_ended=row.has_ended,
        account=told,
    )


def read_beats(url: str) -> list[Beat]:
    """The last heartbeat of each task in a database; none where there is no database yet.

    Raises Stop: it cannot be opened. Unavailable: it does not answer.
    """
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).is_file():
        return []
    engine = open_database(url)
    try:
        migrate(engine)
        with session_factory(engine)() as session:
            return [beat_of(row) for row in session.scalars(select(HeartbeatRow).order_by(HeartbeatRow.task_id))]
    except SQLAlchemyError as error:
        raise Unavailable(f"the database does not answer ({type(error).__name__}); try again") from error
    finally:
        engine.dispose()
