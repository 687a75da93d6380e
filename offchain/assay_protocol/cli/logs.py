"""Logs of long-running commands: constant messages with their fields, as lines for people or as JSON lines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

# what every LogRecord has; anything else came in through `extra`
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
NOISY = ("httpx", "httpcore", "web3", "urllib3", "uvicorn.access", "alembic")


def start_logging(is_json: bool, is_verbose: bool = False) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if is_json else Lines())
    logging.basicConfig(level=logging.DEBUG if is_verbose else logging.INFO, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


class Lines(logging.Formatter):
    """`12:34:56 INFO    submission committed  epoch=3 index=0`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        extras = " ".join(f"{name}={_shown(value)}" for name, value in _extras(record).items())
        line = f"{at} {record.levelname:<7} {record.getMessage()}" + (f"  {extras}" if extras else "")
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: _plain(value) for name, value in _extras(record).items()},
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in STANDARD}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool, str)) or value is None else _shown(value)


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
