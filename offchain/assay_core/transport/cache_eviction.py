"""Keeps the cache of a process that runs for months small."""

import logging
import time
from collections.abc import Callable, Iterable

from assay_core.protocol.types import Root
from assay_core.transport.cache import Cache

log = logging.getLogger(__name__)


class Tidier:
    """From time to time, removes bundles that nobody has asked for lately; what is removed can be fetched again."""

    def __init__(
        self,
        cache: Cache,
        *,
        every_s: float = 600.0,
        max_age_s: float = 3_600.0,
        newest: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache, self._every_s, self._max_age_s, self._newest = cache, every_s, max_age_s, newest
        self._clock = clock
        self._next = clock()

    def __call__(self, in_use: Iterable[Root]) -> None:
        """Cheap when it is not time yet: `in_use`, which stays, is not even looked at. Never raises for a disk."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + self._every_s
        try:
            removed = self._cache.prune(max_age_s=self._max_age_s, newest=self._newest, keep=in_use)
        except OSError as error:
            log.warning("the cache could not be tidied", extra={"why": str(error)})
            return
        if removed:
            log.info("cache tidied", extra={"bundles_removed": removed})
