"""What `/health` answers, whichever daemon stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay_core.daemon.heartbeat import Beat

STALE_AFTER_S = 300.0  # one step of the work may take minutes, during which a daemon looks at nothing


@dataclass(frozen=True, slots=True)
class Health:
    """`status`: ok; stale, where a daemon or its node stands still; no daemon, before the first heartbeat."""

    status: str
    daemons: tuple[dict[str, Any], ...]

    @property
    def code(self) -> int:
        """Of HTTP."""
        return 200 if self.status == "ok" else 503

    def json(self) -> dict[str, Any]:
        return {"status": self.status, "daemons": list(self.daemons)}


def health_of(beats: Sequence[Beat], now: float, stale_after_s: float) -> Health:
    """`stale_after_s`: for how long a daemon may give no sign of life, or its node no new block."""
    is_stale = any(beat.is_stale(now, stale_after_s) for beat in beats)
    status = "no daemon" if not beats else "stale" if is_stale else "ok"
    return Health(status, tuple(described(beat, now) for beat in beats))


def described(beat: Beat, now: float) -> dict[str, Any]:
    """A heartbeat for programs: its ages in seconds, its amounts in wei as text."""
    return {
        "task_id": beat.task_id,
        "block": beat.block,
        "block_age_s": None if beat.block_at is None else _age(now, beat.block_at),
        "look_age_s": _age(now, beat.looked_at),
        "has_ended": beat.has_ended,
        "doing": beat.doing,
        "since": beat.since,
        "deadline": beat.deadline,
        "earned_wei": "0" if beat.account is None else str(beat.account.earned_wei),
    }


def _age(now: float, at: float) -> float:
    return round(max(0.0, now - at), 1)
