"""Loops that run as machine code: numba compiles them at their first call and keeps the result beside the source.

That takes seconds, once per machine. Where nothing can be written (a read-only installation and no home), it is once
per process; NUMBA_CACHE_DIR in the environment names another folder.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile what Python calls; other threads run meanwhile."""
    try:
        dispatcher = njit(function, nogil=True, cache=True)
    except RuntimeError:  # no folder for the result
        dispatcher = njit(function, nogil=True)
    return cast(Callable[Arguments, Result], dispatcher)


def inlined(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile what only compiled loops of the same file call, as a part of them."""
    return cast(Callable[Arguments, Result], njit(function, inline="always"))
