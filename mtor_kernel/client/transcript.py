"""Put an answer together from what comes in, whatever the way there did to it. Pure.

A stream may break off and come again from a cursor, so pieces may come twice, overlap or be
missing, and attempts may change. What a :class:`Transcript` lets through is one attempt's
answer without gap or repeat, or a word (``Requeued``) that it starts afresh.
"""

from __future__ import annotations

from mtor_kernel.protocol.ngram import (
    Cancelled,
    Chunk,
    Failed,
    Progress,
    QueryEnd,
    QueryEvent,
    Queued,
    Requeued,
    Resume,
    Settled,
    Started,
)
from mtor_kernel.protocol.query import Part, Text
from mtor_kernel.protocol.units import parts_of, units


class Transcript:
    """One query's answer so far, and the cursor from which it goes on."""

    def __init__(self, query: str) -> None:
        self.query = query
        #: The attempt whose answer this is; 0 before any is known.
        self.attempt = 0
        #: Position after the last unit of it.
        self.next = 0
        self.end: QueryEnd | None = None
        self._started = False
        self._pieces: list[Part] = []
        #: The cursor at which a gap was seen and the rest asked for; ``None``: no gap.
        self._asked: tuple[int, int] | None = None

    @property
    def cursor(self) -> Resume:
        """The command that has the realm go on from here."""
        return Resume(self.query, self.attempt, self.next)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer so far, neighbouring words joined."""
        return parts_of(self._pieces)

    def take(self, event: QueryEvent) -> tuple[list[QueryEvent], bool]:
        """Return what of `event` is news, and whether to ask the realm for what is missing."""
        if self.end is not None:
            return [], False
        match event:
            case Queued():
                return [event], False
            case Started():
                return self._begin(event.attempt, event), False
            case Requeued():
                self._turn(event.attempt)
                return [event], False
            case Progress():
                return [event] if event.attempt == self.attempt else [], False
            case Chunk():
                return self._add(event)
            case Settled() if event.attempt != self.attempt:
                # An end is right in any case. Asked from here on, the realm tells it again.
                self._turn(event.attempt)
                return [], True
            case Settled() if self._asked is not None:
                return [], False  # it will come again, after what is missing
            case Settled() | Failed() | Cancelled():
                self.end = event
                return [event], False

    def _begin(self, attempt: int, event: Started | None = None) -> list[QueryEvent]:
        """An attempt runs; tell first that its predecessor is void where nobody has told."""
        if attempt < self.attempt or (attempt == self.attempt and self._started):
            return []
        told: list[QueryEvent] = []
        if attempt > self.attempt:
            if self._started:
                told.append(Requeued(self.query, attempt))
            self._turn(attempt)
        self._started = True
        return [*told, event or Started(self.query, attempt)]

    def _turn(self, attempt: int) -> None:
        """Forget the answer so far: this attempt starts afresh."""
        self.attempt, self.next, self._started, self._asked = attempt, 0, False, None
        self._pieces.clear()

    def _add(self, chunk: Chunk) -> tuple[list[QueryEvent], bool]:
        if chunk.attempt < self.attempt:
            return [], False
        told = self._begin(chunk.attempt)
        if chunk.seq > self.next:
            return told, self._ask()
        fresh = self._trim(chunk)
        if fresh is None:
            return told, False
        self._asked = None
        self._pieces += [Text(fresh.text)] if fresh.text else []
        self._pieces += [fresh.part] if fresh.part is not None else []
        self.next = fresh.next
        return [*told, fresh], False

    def _trim(self, chunk: Chunk) -> Chunk | None:
        """Return the part of `chunk` that lies after the cursor; ``None`` where nothing does."""
        end = chunk.seq + units(chunk.text, chunk.part)
        if end <= self.next:
            return None
        text = chunk.text[self.next - chunk.seq :]
        return Chunk(self.query, chunk.attempt, self.next, end, text, chunk.part)

    def _ask(self) -> bool:
        """Tell whether what is missing has not been asked for yet."""
        before, self._asked = self._asked, (self.attempt, self.next)
        return before != self._asked
