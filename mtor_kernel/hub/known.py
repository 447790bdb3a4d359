"""What the Hub said of each token, kept for a while.

A gateway asks for every request who is asking; a Hub answers some hundred times a second. And a Hub
that is down, or hangs, must not stop whoever is known: while it does not answer, nothing changes in
it either.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mtor_kernel.protocol.errors import Unavailable

log = logging.getLogger(__name__)

#: What the Hub says of a token's owner; ``None``: it opens nothing.
Model = dict[str, Any] | None

#: How long a token that opens nothing is not asked about again, in seconds.
REFUSED_SECONDS = 5.0
#: How long somebody who is known waits for a Hub that does not answer, in seconds.
HURRY_SECONDS = 1.0
#: How long a Hub that did not answer is not waited for by anybody who is known, in seconds.
SILENCE_SECONDS = 5.0
#: Tokens that are kept, at most.
MOST = 20_000


@dataclass(slots=True)
class _Entry:
    model: Model
    asked_at: float


class Known:
    """Asks about each token once in a while, however many want to know.

    Parameters
    ----------
    ask
        Asks the Hub about a token. Raises anything where the Hub gives no answer.
    fresh_seconds
        How long an answer holds.
    stale_seconds
        How long it may be used when the Hub gives no other.
    patience_seconds
        How long somebody who is not known waits for the Hub.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Model]],
        *,
        fresh_seconds: float,
        stale_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._patience_seconds = patience_seconds
        #: By a hash of the token: a token is kept no longer than the question about it lasts.
        self._entries: dict[bytes, _Entry] = {}
        self._asking: dict[bytes, asyncio.Task[Model]] = {}
        self._silent_until = 0.0
        #: How often the Hub was asked.
        self.asked = 0

    async def model(self, token: str) -> Model:
        """Return what the Hub says of `token`.

        Raises
        ------
        Unavailable
            It does not answer, and has not said it lately.
        """
        key = hashlib.sha256(token.encode()).digest()
        entry, now = self._entries.get(key), time.monotonic()
        if entry is not None and now - entry.asked_at < self._holds(entry):
            return entry.model
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._find_out(key, token))
            asking.add_done_callback(lambda done: self._found_out(key, done))
        usable = entry is not None and now - entry.asked_at < self._stale_seconds
        if usable and entry is not None and entry.model is not None:
            hurry = 0.0 if now < self._silent_until else HURRY_SECONDS
            await asyncio.wait([asking], timeout=hurry)
            if asking.done() and not asking.exception():
                return asking.result()
            self._silent_until = time.monotonic() + SILENCE_SECONDS
            return entry.model
        # Shielded: others wait for the same answer.
        await asyncio.wait([asking], timeout=self._patience_seconds)
        if asking.done() and not asking.exception():
            return asking.result()
        raise Unavailable(
            "JupyterHub does not answer, and only it knows you: try again in a moment.",
            retry_after_seconds=SILENCE_SECONDS,
        )

    def _holds(self, entry: _Entry) -> float:
        return REFUSED_SECONDS if entry.model is None else self._fresh_seconds

    async def _find_out(self, key: bytes, token: str) -> Model:
        self.asked += 1
        async with asyncio.timeout(max(self._patience_seconds, HURRY_SECONDS)):
            model = await self._ask(token)
        self._entries.pop(key, None)
        self._entries[key] = _Entry(model, time.monotonic())
        if len(self._entries) > MOST:
            del self._entries[next(iter(self._entries))]  # the one that was asked about first
        return model

    def _found_out(self, key: bytes, asking: asyncio.Task[Model]) -> None:
        del self._asking[key]
        if not asking.cancelled() and (error := asking.exception()) is not None:
            log.warning("JupyterHub gave no answer: %s", str(error) or type(error).__name__)
