"""Who follows answers: readers with a cursor a query.

A :class:`Follower` is one reader (a socket, an SSE response). Nothing is ever queued for it: it is
woken, and then reads what lies after its cursors. So a reader that stops reading costs its cursors
and little else, and one that comes back, here or after a reconnect, goes on where it was by the
same code.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.ngram import (
    Chunk,
    Notice,
    Progress,
    Queued,
    RealmNGram,
    Requeued,
    Started,
)
from mtor_kernel.protocol.query import Text
from mtor_kernel.realm.streams import Stream

#: The most text that one chunk to a client carries, in characters.
CHUNK_CHARACTERS = 16 * 1024
#: The most of ended answers that is kept in memory until one reader has read them, in characters.
#: What is more is read from the store when its turn comes.
KEPT_CHARACTERS = 512 * 1024
#: The most queries whose news a follower is given at once.
BATCH = 64
#: A batch that holds this many characters takes no further query. With the longest chunk on top,
#: and six bytes of JSON to the character at worst, it stays below 256 KiB, read or not.
BATCH_CHARACTERS = 24 * 1024


class _Cursor:
    """How much of one stream one follower has been told."""

    __slots__ = ("attempt", "kept", "place", "progress", "seq", "started", "stream")

    def __init__(self, stream: Stream, attempt: int, seq: int) -> None:
        #: ``None``: it has ended, and is read from the store when its turn comes.
        self.stream: Stream | None = stream
        #: Characters of an ended stream that are in memory for this cursor's sake.
        self.kept = 0
        self.attempt = attempt
        self.seq = seq if attempt else 0
        self.started = False
        self.place: Queued | None = None
        self.progress: Progress | None = None

    def news(self, stream: Stream) -> list[RealmNGram]:
        """Return what it has not been told of its stream, in order, and move on."""
        told: list[RealmNGram] = list(self._turned(stream))
        if stream.stage is Stage.QUEUED:
            if stream.place is not None and stream.place != self.place:
                self.place = stream.place
                told.append(stream.place)
            return told
        if stream.attempt and stream.attempt == self.attempt and not self.started:
            self.started = True
            told.append(Started(stream.query, stream.attempt, stream.model, stream.note))
        if stream.progress is not None and stream.progress is not self.progress:
            self.progress = stream.progress
            told.append(stream.progress)
        chunk = self._chunk(stream)
        if chunk is not None:
            told.append(chunk)
        if stream.end is not None and self.seq >= stream.length:
            told.append(stream.end)
        return told

    def _turned(self, stream: Stream) -> Iterator[Requeued]:
        """Notice that the attempt it was told of is not the one that counts now."""
        current = stream.attempt + (stream.stage is Stage.QUEUED)
        if stream.stage in (Stage.FAILED, Stage.CANCELLED) and current < self.attempt:
            return  # it ended while it waited: the next attempt never came
        if self.attempt and (self.attempt != current or self.seq > stream.length):
            self.seq, self.started, self.progress = 0, False, None
            yield Requeued(stream.query, max(1, current), stream.reason)
        self.attempt = current

    def _chunk(self, stream: Stream) -> Chunk | None:
        """Join what is new into the next chunk: words up to the limit, or one other part."""
        start, size = self.seq, 0
        words: list[str] = []
        for at, piece in stream.after(start):
            if not isinstance(piece, Text):
                if not words:
                    self.seq = at + 1
                    return Chunk(stream.query, self.attempt, at, self.seq, part=piece)
                break
            words.append(piece.text[: CHUNK_CHARACTERS - size])
            size += len(words[-1])
            if size == CHUNK_CHARACTERS:
                break
        if not words:
            return None
        self.seq = start + size
        return Chunk(stream.query, self.attempt, start, self.seq, text="".join(words))


def _weight(told: RealmNGram) -> int:
    """Return how much of a batch one n-gram takes, in characters: of a part or preview, all."""
    if isinstance(told, Chunk):
        return len(told.text) if told.part is None else BATCH_CHARACTERS
    return BATCH_CHARACTERS if isinstance(told, Progress) and told.preview else 0


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
        self._pictured: RealmNGram | None = None
        self._fault: RealmError | None = None
        self._woken = asyncio.Event()
        #: Characters of ended streams that are in memory because they were not read yet.
        self._kept = 0
        #: The query that is being read from the store: one at a time.
        self._open = ""

    @property
    def following(self) -> int:
        """How many queries it follows."""
        return len(self._cursors)

    def follows(self, query: str) -> bool:
        """Tell whether it follows a query."""
        return query in self._cursors

    async def add(self, query: str, attempt: int = 0, seq: int = 0) -> None:
        """Follow a query from a cursor on; following it again moves the cursor.

        Raises
        ------
        NotFound
            There is no such query, or it is somebody else's.
        """
        stream = await self._find(self.user, query)
        self.leave(query)
        self._cursors[query] = _Cursor(stream, attempt, seq)
        stream.followers.add(self)
        if stream.end is not None:
            self.ended(stream)
        if attempt or stream.attempt or stream.place is not None or stream.end is not None:
            self.wake(query)

    def watch(self, on: bool) -> None:
        """Hear how the realm stands whenever that changes, or no longer."""
        self.watching, self._pictured = on, None

    def wake(self, query: str) -> None:
        """Something is new in `query`."""
        if query in self._cursors:
            self._fresh[query] = None
            self._woken.set()

    def ended(self, stream: Stream) -> None:
        """A stream has ended: keep it until it is read, or, where too much is kept, let it go."""
        cursor = self._cursors[stream.query]
        size = stream.size
        if self._kept + size <= KEPT_CHARACTERS:
            cursor.kept = size
            self._kept += size
        else:
            cursor.stream = None
            stream.followers.discard(self)
            self.wake(stream.query)  # the stream itself tells this one no more

    def notify(self, notice: Notice) -> None:
        """The sysop says something; of many unread ones the latest are kept."""
        self._notices.append(notice)
        self._woken.set()

    def picture(self, state: RealmNGram) -> None:
        """How the realm stands; an unread earlier picture is replaced, the same one told once."""
        if state is not self._pictured:
            self._state = self._pictured = state
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
            await self._reopen()
            told = self._collect()
            if told:
                return told

    async def _reopen(self) -> None:
        """Read the next query that was let go, if none is being read.

        Whoever waits here may be cancelled: nothing was taken yet that could be lost.
        """
        waiting = (query for query in self._fresh if self._cursors[query].stream is None)
        query = next(waiting, "") if not self._open else ""
        if query:
            stream = await self._find(self.user, query)
            cursor = self._cursors.get(query)
            if cursor is not None and not self._open:
                cursor.stream, self._open = stream, query

    def _collect(self) -> list[RealmNGram]:
        told: list[RealmNGram] = [*self._notices]
        self._notices.clear()
        if self._state is not None:
            told.append(self._state)
            self._state = None
        at_hand = (query for query in self._fresh if self._cursors[query].stream is not None)
        weight = 0
        for query in list(itertools.islice(at_hand, BATCH)):
            if weight >= BATCH_CHARACTERS:
                break
            cursor = self._cursors[query]
            assert cursor.stream is not None
            news = cursor.news(cursor.stream)
            weight += sum(map(_weight, news))
            told.extend(news)
            del self._fresh[query]
            if cursor.seq < cursor.stream.length:
                self._fresh[query] = None  # last in turn
            elif cursor.stream.end is not None:
                self.leave(query)
        if not self._fresh:
            self._woken.clear()
        return told

    def leave(self, query: str) -> None:
        """Follow a query no longer."""
        cursor = self._cursors.pop(query, None)
        self._fresh.pop(query, None)
        if cursor is None:
            return
        self._kept -= cursor.kept
        if self._open == query:
            self._open = ""
        if cursor.stream is not None:
            cursor.stream.followers.discard(self)

    def close(self) -> None:
        """Follow nothing any more. What is followed goes on without it."""
        for query in list(self._cursors):
            self.leave(query)
        self._fresh.clear()
        self._closed(self)
