"""A store for what must be done: tried again while it cannot be, until the realm stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from mtor_kernel.protocol.errors import RealmStopping, Unavailable
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two tries.
PAUSE_SECONDS = 1.0

_Work = Callable[[Connection], T]


class Patient:
    """Reads and writes a store that may fail for a while: a disk that is full, a restart of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def epoch(self) -> int:
        """The epoch of this run of the realm."""
        return self._store.epoch

    async def read(self, work: _Work[T]) -> T:
        """Return what `work` finds, as soon as it can be looked up."""
        return await _until_it_can(lambda: self._store.read(work), "it cannot be looked up yet")

    async def write(self, work: _Work[T]) -> T:
        """Return what `work` brings, as soon as it is written down."""
        return await _until_it_can(
            lambda: self._store.write(work), "an end cannot be written down yet"
        )


async def _until_it_can(attempt: Callable[[], Awaitable[T]], trouble: str) -> T:
    while True:
        try:
            return await attempt()
        except RealmStopping:
            raise
        except Unavailable:
            log.exception(trouble)
            await asyncio.sleep(PAUSE_SECONDS)
