"""``api/queries/{id}/events``: the events of one query, from any point on, as they come."""

from __future__ import annotations

import re

from tornado.iostream import StreamClosedError

from mtor_kernel.gateway.queries import known
from mtor_kernel.gateway.sse import EventStream, event
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.identity import SCOPE_QUERY
from mtor_kernel.protocol.ngram import Chunk, QueryEnd, RealmNGram, Requeued, Started

#: The id of the last event. Browsers send it back when they reconnect, and are told to stop.
END = "end"
_CURSOR = re.compile(r"(\d{1,9})\.(\d{1,15})", re.ASCII)


class Cursor:
    """How much of a query a listener has been told; its text is the id of each event."""

    def __init__(self, attempt: int = 0, seq: int = 0) -> None:
        self.attempt = attempt
        self.seq = seq

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor written as ``attempt.seq``; of an empty text, the beginning."""
        if not text:
            return cls()
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise BadInput("Say where to go on as ATTEMPT.SEQ, such as 1.57, or leave it out.")
        return cls(int(found[1]), int(found[2]))

    def pass_(self, ngram: RealmNGram) -> str:
        """Move past an event and return its id."""
        if isinstance(ngram, QueryEnd):
            return END
        if isinstance(ngram, Started | Requeued) and ngram.attempt != self.attempt:
            self.attempt, self.seq = ngram.attempt, 0
        elif isinstance(ngram, Chunk):
            self.attempt, self.seq = ngram.attempt, ngram.next
        return f"{self.attempt}.{self.seq}"


class Events(EventStream):
    """One listener. That it leaves does not stop the query."""

    scope = SCOPE_QUERY

    async def get(self, id: str) -> None:
        """Stream until the query has ended; ``after`` or ``Last-Event-ID`` says from where."""
        after = self.request.headers.get("Last-Event-ID") or self.words("after")
        if after == END:
            self.set_status(204)
            return
        cursor = Cursor.parse(after)
        follower = self.follow()
        try:
            await follower.add(known(id), cursor.attempt, cursor.seq)
            self.begin()
            await self.flush()
            ended = False
            while not (ended or self.left):
                ngrams = await self.hear(follower, self.gateway.limits.heartbeat_seconds)
                if ngrams:
                    await self.push(b"".join(_written(ngram, cursor) for ngram in ngrams))
                    ended = isinstance(ngrams[-1], QueryEnd)
                elif not self.left:
                    await self.beat()
        except (StreamClosedError, TimeoutError):
            return
        finally:
            self.stop_hearing(follower)


def _written(ngram: RealmNGram, cursor: Cursor) -> bytes:
    name: str = ngram.__struct_config__.tag  # type: ignore[assignment]  # every n-gram has one
    return event(encode(ngram), name=name, id=cursor.pass_(ngram))
