"""A small realm in a thread of its own, for tests that block theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from tests.realms import CATALOGUE, TOKEN, SmallRealm, small_realm

#: More models: one that falls silent after three words, one that fails, one that holds little.
MORE = """
[[models]]
name = "endless"
modality = "chat"
backend = "echo"
slots = 4
rates = { output_token_micro = 5 }
settings = { chunks = 10, hang = true, fail_after = 3 }

[[models]]
name = "broken"
modality = "chat"
backend = "echo"
rates = { output_token_micro = 5 }
settings = { fail = true }

[[models]]
name = "forgetful"
modality = "chat"
backend = "echo"
context_tokens = 200
default_max_tokens = 50
rates = { output_token_micro = 5 }
"""

T = TypeVar("T")


class RealmElsewhere:
    """A small realm whose event loop runs in another thread than the test.

    `how` is what :func:`~tests.realms.small_realm` takes besides.
    """

    def __init__(
        self,
        folder: Path,
        catalogue: str = CATALOGUE + MORE,
        **how: Any,
    ) -> None:
        self._how = {"catalogue": catalogue, **how}
        self._loop = asyncio.new_event_loop()
        self._opened: Future[SmallRealm] = Future()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=[self._live(folder)]
        )
        self._thread.start()
        self.small = self._opened.result(60)
        self.environment = {"MTOR_URL": self.small.url, "MTOR_TOKEN": TOKEN}

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(100)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()

    async def _live(self, folder: Path) -> None:
        self._stop = asyncio.Event()
        try:
            async with small_realm(folder, **self._how) as small:
                self._opened.set_result(small)
                await self._stop.wait()
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            raise
