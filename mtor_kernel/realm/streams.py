"""Where each answer stands, and who follows it.

A :class:`Stream` is the state of one query: its attempt, the answer so far, its place in the
queue, its end. A :class:`Follower` is one reader (a socket, an SSE response) with a cursor a
query. Nothing is ever queued for a reader: it is woken, and then reads what lies after its cursor.
So a reader that stops reading costs its cursors and nothing else, and one that comes back, here or
after a reconnect, goes on where it was by the same code.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import QueryFailed, RealmError
from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.ngram import (
    Cancelled,
    Chunk,
    Failed,
    Notice,
    Progress,
    QueryEnd,
    Queued,
    RealmNGram,
    Requeued,
    Settled,
    Started,
)
from mtor_kernel.protocol.query import Part, Text
from mtor_kernel.protocol.views import QueryInfo

#: The most text that one chunk to a client carries, in characters.
CHUNK_CHARACTERS = 16 * 1024
#: The most queries whose news a follower is given at once.
BATCH = 8


class Stream:
    """The state of one query that is told to its followers."""

    __slots__ = (
        "_pieces",
        "_starts",
        "attempt",
        "end",
        "followers",
        "length",
        "place",
        "progress",
        "query",
        "reason",
        "stage",
        "user",
    )

    def __init__(self, query: str, user: str, *, attempt: int = 0) -> None:
        self.query = query
        self.user = user
        self.stage = Stage.QUEUED
        #: The attempt whose text this is; while queued, the last one that ran.
        self.attempt = attempt
        #: Why that attempt is void, where it is.
        self.reason = ""
        #: Position in the lane and ETA in seconds, as last computed.
        self.place: Queued | None = None
        self.progress: Progress | None = None
        self.end: QueryEnd | None = None
        self.followers: set[Follower] = set()
        #: The answer in pieces, with the position of each one's first unit; see
        #: `protocol/ngram.py`.
        self._pieces: list[Part] = []
        self._starts: list[int] = []
        #: Units of the answer so far: the ``seq`` that the next chunk must have.
        self.length = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer so far, neighbouring words joined."""
        joined: list[Part] = []
        words: list[str] = []
        for piece in self._pieces:
            if isinstance(piece, Text):
                words.append(piece.text)
                continue
            if words:
                joined.append(Text("".join(words)))
                words = []
            joined.append(piece)
        if words:
            joined.append(Text("".join(words)))
        return tuple(joined)

    def start(self, attempt: int) -> None:
        """An attempt begins, with nothing said yet."""
        self.stage = step(self.stage, Stage.RUNNING)
        self.attempt = attempt
        self._forget()
        self._tell()

    def add(self, text: str, part: Part | None) -> None:
        """The answer grows, by words, one other part, or both in this order."""
        for piece in ([Text(text)] if text else []) + ([part] if part is not None else []):
            self._starts.append(self.length)
            self._pieces.append(piece)
            self.length += len(piece.text) if isinstance(piece, Text) else 1
        self._tell()

    def show(self, news: Progress | Queued) -> None:
        """Progress of the attempt, or the place in the queue; the latest replaces the former."""
        if isinstance(news, Progress):
            self.progress = news
        elif news == self.place:
            return
        else:
            self.place = news
        self._tell()

    def requeue(self, reason: str) -> None:
        """The attempt is void; the query waits again."""
        self.stage = step(self.stage, Stage.QUEUED)
        self.reason = reason
        self.place = None
        self._forget()
        self._tell()

    def finish(self, stage: Stage, end: QueryEnd) -> None:
        """The query has ended, and that is written down."""
        self.stage = step(self.stage, stage)
        self.end = end
        self._tell()

    def after(self, seq: int) -> Iterator[tuple[int, Part]]:
        """Yield what of the answer lies at or after `seq`, each piece with its position."""
        if seq >= self.length:
            return
        first = bisect.bisect_right(self._starts, seq) - 1
        for start, piece in zip(self._starts[first:], self._pieces[first:], strict=True):
            if isinstance(piece, Text) and seq > start:
                yield seq, Text(piece.text[seq - start :])
            elif start >= seq:
                yield start, piece

    def _forget(self) -> None:
        self._pieces.clear()
        self._starts.clear()
        self.length = 0
        self.progress = None

    def _tell(self) -> None:
        for follower in self.followers:
            follower.wake(self.query)


def replay(info: QueryInfo, user: str) -> Stream:
    """Return the stream of a query that has ended, as it was stored."""
    stream = Stream(info.id, user, attempt=info.attempt)
    for part in info.answer.parts if info.answer is not None else ():
        if isinstance(part, Text):
            stream.add(part.text, None)
        else:
            stream.add("", part)
    stream.stage = info.stage
    stream.end = _end_of(info)
    return stream


def _end_of(info: QueryInfo) -> QueryEnd:
    charge = info.charge or Charge()
    if info.stage is Stage.SETTLED:
        ended = info.ended_at or info.created_at
        ran = ended - (info.started_at or ended)
        reason = info.answer.finish_reason if info.answer is not None else "stop"
        return Settled(
            info.id,
            info.attempt,
            info.model,
            charge,
            reason,
            round(ended - info.created_at, 3),
            round(ran, 3),
        )
    if info.stage is Stage.CANCELLED:
        return Cancelled(info.id, charge)
    return Failed(info.id, info.error or QueryFailed("It failed.").info())


class _Cursor:
    """How much of one stream one follower has been told."""

    __slots__ = ("attempt", "place", "progress", "seq", "started", "stream")

    def __init__(self, stream: Stream, attempt: int, seq: int) -> None:
        self.stream = stream
        self.attempt = attempt
        self.seq = seq if attempt else 0
        self.started = False
        self.place: Queued | None = None
        self.progress: Progress | None = None

    def news(self) -> list[RealmNGram]:
        """Return what it has not been told, in order, and move on."""
        stream = self.stream
        told: list[RealmNGram] = list(self._turned())
        if stream.stage is Stage.QUEUED:
            if stream.place is not None and stream.place != self.place:
                self.place = stream.place
                told.append(stream.place)
            return told
        if stream.attempt == self.attempt and not self.started:
            self.started = True
            told.append(Started(stream.query, stream.attempt))
        if stream.progress is not None and stream.progress is not self.progress:
            self.progress = stream.progress
            told.append(stream.progress)
        chunk = self._chunk()
        if chunk is not None:
            told.append(chunk)
        if self.done:
            assert stream.end is not None
            told.append(stream.end)
        return told

    @property
    def behind(self) -> bool:
        """Whether the answer so far goes on after the cursor."""
        return self.seq < self.stream.length

    @property
    def done(self) -> bool:
        """Whether the query has ended and everything was told."""
        return self.stream.end is not None and not self.behind

    def _turned(self) -> Iterator[Requeued]:
        """Notice that the attempt it was told of is not the one that counts now."""
        stream = self.stream
        current = stream.attempt + (stream.stage is Stage.QUEUED)
        if stream.stage in (Stage.FAILED, Stage.CANCELLED) and current < self.attempt:
            return  # it ended while it waited: the next attempt never came
        if self.attempt and (self.attempt != current or self.seq > stream.length):
            self.seq, self.started, self.progress = 0, False, None
            yield Requeued(stream.query, max(1, current), stream.reason)
        self.attempt = current

    def _chunk(self) -> Chunk | None:
        """Join what is new into the next chunk: words up to the limit, or one other part."""
        start, size = self.seq, 0
        words: list[str] = []
        for at, piece in self.stream.after(start):
            if not isinstance(piece, Text):
                if not words:
                    self.seq = at + 1
                    return Chunk(self.stream.query, self.attempt, at, self.seq, part=piece)
                break
            words.append(piece.text[: CHUNK_CHARACTERS - size])
            size += len(words[-1])
            if size == CHUNK_CHARACTERS:
                break
        if not words:
            return None
        self.seq = start + size
        return Chunk(self.stream.query, self.attempt, start, self.seq, text="".join(words))


#: Returns the stream of a person's query, live or as it was stored.
Find = Callable[[str, str], Awaitable[Stream]]


class Follower:
    """One reader of any number of queries of one person. Close it when done."""

    def __init__(self, user: str, find: Find, closed: Callable[[Follower], None]) -> None:
        self.user = user
        self._find = find
        self._closed = closed
        #: Whether it hears how the realm stands.
        self.watching = False
        self._cursors: dict[str, _Cursor] = {}
        #: Queries with something new, oldest first (a dict serves as an ordered set).
        self._fresh: dict[str, None] = {}
        self._notices: deque[Notice] = deque(maxlen=8)
        self._state: RealmNGram | None = None
        self._fault: RealmError | None = None
        self._woken = asyncio.Event()

    @property
    def following(self) -> int:
        """How many queries it follows."""
        return len(self._cursors)

    async def add(self, query: str, attempt: int = 0, seq: int = 0) -> None:
        """Follow a query from a cursor on; following it again moves the cursor.

        Raises
        ------
        NotFound
            There is no such query, or it is somebody else's.
        """
        stream = await self._find(self.user, query)
        self._cursors[stream.query] = _Cursor(stream, attempt, seq)
        stream.followers.add(self)
        self.wake(stream.query)

    def watch(self, on: bool) -> None:
        """Hear how the realm stands whenever that changes, or no longer."""
        self.watching = on

    def wake(self, query: str) -> None:
        """Something is new in `query`."""
        self._fresh[query] = None
        self._woken.set()

    def notify(self, notice: Notice) -> None:
        """The sysop says something; of many unread ones the latest are kept."""
        self._notices.append(notice)
        self._woken.set()

    def picture(self, state: RealmNGram) -> None:
        """How the realm stands; an unread earlier picture is replaced."""
        self._state = state
        self._woken.set()

    def expel(self, fault: RealmError) -> None:
        """Have :meth:`next` raise `fault` from now on."""
        self._fault = fault
        self._woken.set()

    async def next(self) -> list[RealmNGram]:
        """Wait until something is new, and return it in order: never empty, and bounded.

        Raises
        ------
        RealmError
            The person was banned, or the realm closes.
        """
        while True:
            await self._woken.wait()
            if self._fault is not None:
                raise self._fault
            told = self._collect()
            if told:
                return told

    def _collect(self) -> list[RealmNGram]:
        told: list[RealmNGram] = [*self._notices]
        self._notices.clear()
        if self._state is not None:
            told.append(self._state)
            self._state = None
        for query in list(itertools.islice(self._fresh, BATCH)):
            del self._fresh[query]
            cursor = self._cursors.get(query)
            if cursor is None:
                continue
            told.extend(cursor.news())
            if cursor.done:
                self._leave(query)
            elif cursor.behind:
                self._fresh[query] = None
        if not self._fresh:
            self._woken.clear()
        return told

    def _leave(self, query: str) -> None:
        cursor = self._cursors.pop(query, None)
        if cursor is not None:
            cursor.stream.followers.discard(self)

    def close(self) -> None:
        """Follow nothing any more. What is followed goes on without it."""
        for query in list(self._cursors):
            self._leave(query)
        self._fresh.clear()
        self._closed(self)
