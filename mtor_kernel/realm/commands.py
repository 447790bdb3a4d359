"""What was begun is carried to its end, also when whoever asked for it has gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from mtor_kernel.protocol.errors import RealmError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long a close waits for commands under way.
CLOSE_SECONDS = 5.0


class Commands:
    """The commands under way."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def whole(self, command: Coroutine[Any, Any, T]) -> T:
        """Return what `command` returns; it is carried to its end even if this is cancelled."""
        task = asyncio.create_task(command)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # A refusal that nobody hears any more is no fault to be logged.
            task.add_done_callback(_unheard)
            raise

    async def close(self) -> None:
        """Wait a while for all of them, and give up what cannot be done now."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSE_SECONDS)
        for late in self._under_way:
            # It waits for space on the disk; what it was to write is done after the next start.
            late.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


def _unheard(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, RealmError):
        log.error("what nobody waited for any more went wrong", exc_info=error)
