"""What a daemon says of itself while it lives: what it does, since when, and what its operator has at stake.

Written where others find it: in a small file of JSON, or in a database. Times are Unix seconds.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Stop, Unavailable

log = logging.getLogger(__name__)

FILE_NAME = "heartbeat.json"
WRITTEN_EVERY_S = 5.0
ASKED_EVERY_S, ASKED_AGAIN_S = 300.0, 30.0  # for balances: at the latest, and at the earliest where something happened


@dataclass(frozen=True, slots=True)
class Balances:
    """What an operator has on chain, in wei: coin of the key that acts, tokens bonded in its role.

    `free_wei` of the bond answers for nothing, `locked_wei` for this task.
    """

    coin_wei: int
    bond_wei: int
    free_wei: int
    locked_wei: int


@dataclass(frozen=True, slots=True)
class Account:
    """What one task has brought an operator, and may cost it. `balances`: None where it is not known yet.

    `missed_epochs` ended without the submission or the report that was waited for. Reports that differ from the settled
    scores, and the scores in which they do, are a verifier's. `would_lose` is for people.
    """

    symbol: str = ""
    decimals: int = 0
    earned_wei: int = 0
    slashed_wei: int = 0
    missed_epochs: int = 0
    differing_reports: int = 0
    differing_scores: int = 0
    would_lose: str = ""
    balances: Balances | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat. `looked_at`: the last look at the chain (a relay: at its store) that succeeded; `worked_at`: the
    last step of long work between two looks; `block_at`: when the newest block was first seen; `lag_s`: how old that
    block was at the last look; `deadline`: by when what it waits for ends.
    """

    role: str
    task_id: int | None
    looked_at: float
    doing: str
    since: float
    block: int | None = None
    block_at: float | None = None
    lag_s: float = 0.0
    worked_at: float = 0.0
    deadline: int | None = None
    has_ended: bool = False
    account: Account | None = None

    @property
    def alive_at(self) -> float:
        """The last sign of life."""
        return max(self.looked_at, self.worked_at)

    def is_stale(self, now: float, after_s: float) -> bool:
        """Whether the daemon has given no sign of life for so long, or its node had shown nothing new at its last look.

        Nobody expects anything of one whose task is over.
        """
        if self.has_ended:
            return False
        block_age_s = 0.0 if self.block_at is None else self.looked_at - self.block_at
        return max(now - self.alive_at, block_age_s, self.lag_s) > after_s


class BalanceReader:
    """Asks for balances now and then, since that costs questions to the node; what fails is for the next time."""

    def __init__(self, ask: Callable[[], Balances], clock: Callable[[], float] = time.monotonic) -> None:
        """`ask` raises Unavailable."""
        self._ask, self._clock = ask, clock
        self._asked_at: float | None = None
        self._has_news = False
        self._balances: Balances | None = None

    def look(self, *, is_news: bool) -> Balances | None:
        """What was found last. `is_news`: something has happened that may have changed it."""
        now, self._has_news = self._clock(), self._has_news or is_news
        after_s = ASKED_AGAIN_S if self._has_news else ASKED_EVERY_S
        if self._asked_at is None or now - self._asked_at >= after_s:
            self._asked_at, self._has_news = now, False
            try:
                self._balances = self._ask()
            except Unavailable as error:
                log.debug("balances are not known now", extra={"why": str(error)})
        return self._balances


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a daemon finds what it tells: the newest block read and its Unix time, balances, the token's name.

    None of them asks the node but `balances`, now and then.
    """

    newest_block: Callable[[], int | None] = lambda: None
    block_time: Callable[[], int | None] = lambda: None
    balances: BalanceReader | None = None
    money: Money = Money("wei", 0)  # noqa: RUF009 - frozen

    def look(self, *, is_news: bool) -> Balances | None:
        """See `BalanceReader.look`; None where there is none."""
        return None if self.balances is None else self.balances.look(is_news=is_news)

    def lag_s(self, now: float) -> float:
        """How old the newest block is; 0 where that is not known."""
        block_time = self.block_time()
        return 0.0 if block_time is None else max(0.0, now - block_time)


class BeatFile:
    """Where a heartbeat is written, whole or not at all. A disk that takes nothing costs the beat, not the daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, beat: Beat) -> None:
        """Not synced: after a power cut nobody lives."""
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            temporary.write_text(json.dumps(asdict(beat)), encoding="utf-8")
            os.replace(temporary, self._path)
        except OSError as error:
            log.debug("no heartbeat written", extra={"why": error.strerror})


def read_beat(path: Path) -> Beat | None:
    """The last heartbeat in a file; None: there never was one. Raises Stop: the file is none of ours."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        account = value.pop("account")
        return Beat(**value, account=None if account is None else account_of(account))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Stop(f"{path} is no heartbeat of this release: start the daemon again, which replaces it") from error


def account_of(value: dict[str, object]) -> Account:
    """Out of what `asdict` made of it. Raises TypeError: it is none."""
    balances = value.get("balances")
    found = Balances(**balances) if isinstance(balances, dict) else None  # pyright: ignore[reportUnknownArgumentType]
    return Account(**{**value, "balances": found})  # pyright: ignore[reportArgumentType]
