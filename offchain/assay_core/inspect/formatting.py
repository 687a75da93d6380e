"""Data as lines for people, and as plain JSON for programs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any


def jsonable(value: Any) -> Any:
    """Plain JSON: bytes as hex, `*_wei` as strings (they exceed what many readers hold exactly), floats finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    if isinstance(value, dict):
        return {str(name): _wei(item) if str(name).endswith("_wei") else jsonable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinities
    return value


def _wei(value: Any) -> Any:
    return str(value) if isinstance(value, int) else jsonable(value)


def table(rows: Sequence[Sequence[str]], head: Sequence[str], right: frozenset[int] = frozenset()) -> list[str]:
    """Columns padded to their widest cell; those in `right` are aligned to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return [line(head), *(line(row) for row in rows)]


def fields(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One `name  value` line each, values aligned."""
    listed = list(pairs)
    width = max((len(name) for name, _ in listed), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in listed]


def moment(seconds: int) -> str:
    """A chain's time, for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: int) -> str:
    """E.g. `2 days 3 h`, `90 s`; the two largest units."""
    units = (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
