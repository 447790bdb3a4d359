"""Where each answer stands.

A :class:`Stream` is the state of one query that its followers are told: its attempt, the answer so
far, its place in the queue, its end. It holds no history of events: whoever follows compares it
with what they were told last (`followers.py`).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import QueryFailed
from mtor_kernel.protocol.lifecycle import Stage, step
from mtor_kernel.protocol.ngram import Cancelled, Failed, Progress, QueryEnd, Queued, Settled
from mtor_kernel.protocol.query import Part, Text
from mtor_kernel.protocol.units import parts_of
from mtor_kernel.protocol.views import QueryInfo

if TYPE_CHECKING:
    from mtor_kernel.realm.followers import Follower


class Stream:
    """The state of one query that is told to its followers."""

    __slots__ = (
        "__weakref__",
        "_pieces",
        "_starts",
        "attempt",
        "end",
        "followers",
        "length",
        "model",
        "note",
        "place",
        "progress",
        "query",
        "reason",
        "stage",
        "unbegun",
        "user",
    )

    def __init__(self, query: str, user: str, *, attempt: int = 0) -> None:
        self.query = query
        self.user = user
        self.stage = Stage.QUEUED
        #: The attempt whose text this is; while queued, the last one that ran.
        self.attempt = attempt
        #: Attempts that ended before a model was asked, through nobody's fault.
        self.unbegun = 0
        #: Why that attempt is void, where it is.
        self.reason = ""
        #: Which model answers, once an attempt has begun.
        self.model = ""
        #: Why it is in another lane than at first, where it is.
        self.note = ""
        #: Position in the lane and ETA in seconds, as last computed.
        self.place: Queued | None = None
        self.progress: Progress | None = None
        self.end: QueryEnd | None = None
        self.followers: set[Follower] = set()
        #: The answer in pieces, with the position of each one's first unit; see
        #: `protocol/units.py`.
        self._pieces: list[Part] = []
        self._starts: list[int] = []
        #: Units of the answer so far: the ``seq`` that the next chunk must have.
        self.length = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer so far, neighbouring words joined."""
        return parts_of(self._pieces)

    @property
    def size(self) -> int:
        """How much memory the answer takes, in characters: a part may be one unit and large."""
        parts = [piece for piece in self._pieces if not isinstance(piece, Text)]
        return self.length + sum(len(encode(part)) for part in parts)

    def start(self, attempt: int, model: str = "", *, quiet: bool = False) -> None:
        """An attempt begins, with nothing said yet; if `quiet`, it is told with what comes next."""
        self.stage = step(self.stage, Stage.RUNNING)
        self.attempt = attempt
        self.model = model
        self._forget()
        if not quiet:
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
        for follower in tuple(self.followers):
            follower.ended(self)
        self._tell()

    def adopt(self, info: QueryInfo) -> None:
        """The query has ended as the store says, and not by what was seen of it here."""
        parts = info.answer.parts if info.answer is not None else ()
        if (self.attempt, self.parts) != (info.attempt, parts):
            self.attempt = info.attempt
            self._forget()
            for part in parts:
                if isinstance(part, Text):
                    self.add(part.text, None)
                else:
                    self.add("", part)
        self.stage, self.model, self.end = info.stage, info.model, _end_of(info)
        for follower in tuple(self.followers):
            follower.ended(self)
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
    stream = Stream(info.id, user)
    stream.adopt(info)
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
            # A clock may have been set back meanwhile.
            round(max(0.0, ended - info.created_at), 3),
            round(max(0.0, ran), 3),
            info.answer.weights if info.answer is not None else "",
        )
    if info.stage is Stage.CANCELLED:
        return Cancelled(info.id, charge)
    return Failed(info.id, info.error or QueryFailed("It failed.").info())
