"""Shell patterns that name parts of a model: parameters to train, layers to adapt."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import cast

from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed

MAX_PATTERNS = 64
PATTERN = re.compile(r"[A-Za-z0-9_.*?\[\]-]{1,200}")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns matches the whole name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def parse_patterns(value: Json, what: str = "trainable") -> tuple[str, ...]:
    """Shell patterns (`blocks.1.*`), not regular expressions: those of a stranger can take for ever to match.

    Raises Malformed: no list, too many, or characters that no pattern needs.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_PATTERNS:
        raise Malformed(f"policy.json: {what} must be a list of 1 to {MAX_PATTERNS} patterns")
    for pattern in value:
        if not isinstance(pattern, str) or not PATTERN.fullmatch(pattern) or pattern.count("*") > 4:
            raise Malformed(f"policy.json: a pattern of {what} may hold letters, digits, '._-?[]' and up to 4 '*'")
    return tuple(cast(list[str], value))
