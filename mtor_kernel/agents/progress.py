"""What an agent's host is told while a tool call waits: MCP's progress notifications."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from mtor_kernel.protocol.ngram import Chunk, Progress, QueryEvent, Queued, Requeued, Started

#: Sends progress, total and message.
Report = Callable[[float, float | None, str], Awaitable[None]]
#: The least time between two notifications of the same kind, in seconds.
PAUSE_SECONDS = 0.25
#: How much of the end of an answer under way is shown, in characters.
TAIL_CHARACTERS = 200
#: By how much a notification goes on that knows no fraction: MCP wants each greater than the last.
STEP = 0.001


class Telling:
    """Tells how a query goes, at most a few times a second."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._percent = 0.0
        self._words = ""
        self._last: tuple[type[QueryEvent] | None, float] = (None, 0.0)

    async def say(self, message: str, fraction: float | None = None) -> None:
        """Tell something; the total is given only where a fraction is known."""
        known = 0.0 if fraction is None else 100 * fraction
        self._percent = max(self._percent + STEP, known)
        await self._report(self._percent, None if fraction is None else 100.0, message)

    async def heard(self, event: QueryEvent) -> None:
        """Tell of an event, unless one like it was told of just now."""
        if isinstance(event, Chunk):
            self._words += event.text
        elif isinstance(event, Requeued):
            self._words = ""
        if not self._is_soon(event):
            message, fraction = self._message(event)
            if message:
                await self.say(message, fraction)

    def _is_soon(self, event: QueryEvent) -> bool:
        kind, when = self._last
        now = time.monotonic()
        if kind is type(event) and now - when < PAUSE_SECONDS:
            return True
        self._last = (type(event), now)
        return False

    def _message(self, event: QueryEvent) -> tuple[str, float | None]:
        match event:
            case Queued():
                return _waiting(event), None
            case Started():
                return f"{event.model} answers." if event.model else "It has started.", None
            case Progress():
                return event.note or f"{event.fraction:.0%}", event.fraction
            case Chunk():
                return self._words[-TAIL_CHARACTERS:], None
            case Requeued():
                return f"It starts afresh: {event.reason}", None
            case _:
                return "", None


def _waiting(event: Queued) -> str:
    said = f"It waits: {event.position} before it"
    if event.eta_seconds is not None:
        said += f", about {event.eta_seconds:.0f} s"
    return f"{said}. {event.reason}".rstrip()
