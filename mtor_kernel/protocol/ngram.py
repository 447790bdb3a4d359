"""The n-grams: every message of MTOR's protocol, version 1.

An n-gram (not NLP's) is one JSON object in one WebSocket text frame, tagged by ``op``, under the
subprotocol ``mtor.ngram.v1``. Four unions, one a direction::

    client ── ClientNGram ──► realm ── LinkNGram ───► worker
    client ◄── RealmNGram ─── realm ◄── WorkerNGram ── worker

**Where a stream stands.** The answer of an attempt is a sequence of units: each character of text
(a Unicode code point) is one, each other part is one. ``seq`` is the position of a chunk's first
unit, as in TCP, and ``next`` the position after its last. So a chunk may be split or joined on the
way without renumbering, a gap or a repeat is seen at once, and ``(attempt, next)`` of the last
chunk one saw is the cursor from which :class:`Resume` goes on, from a live stream and from a
stored answer alike.

What comes in from clients and workers is refused when a field is unknown. What a client reads
may grow: a field it does not know is skipped.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mtor_kernel.protocol.account import Charge, Count, Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.identity import Role, UserName
from mtor_kernel.protocol.query import Key, ModelName, Part, Query, QueryId, Text
from mtor_kernel.protocol.views import LaneInfo, WorkerInfo

#: The WebSocket subprotocol, on both sockets.
SUBPROTOCOL = "mtor.ngram.v1"

#: A client's own number for a command, echoed as ``id`` in what answers it.
CommandId = Annotated[str, Meta(max_length=64)]
#: The name that a worker gives itself; unique among those linked.
WorkerName = Annotated[str, Meta(min_length=1, max_length=255)]
#: The most that a picture of the work so far may have.
MAX_PREVIEW_BYTES = 64 * 1024
#: A small picture (PNG) of the work so far. It is shown and forgotten, so it is no blob; in JSON it
#: is base64.
Preview = Annotated[bytes, Meta(max_length=MAX_PREVIEW_BYTES)]
#: Number of a try at running a query, from 1.
AttemptNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _Strict(Struct, frozen=True, omit_defaults=True, tag_field="op", forbid_unknown_fields=True):
    """Comes from outside: an unknown field is an error."""


class _Told(Struct, frozen=True, omit_defaults=True, tag_field="op"):
    """Goes to a client: fields may be added in later versions."""


# Client to realm.


class Hello(_Strict, tag="hello"):
    """The first n-gram of a client. Answered by :class:`Welcome`."""

    id: CommandId = ""
    #: Who made the client, for the log: ``mtor_kernel/0.1``.
    client: Annotated[str, Meta(max_length=200)] = ""


class Submit(_Strict, tag="submit"):
    """Ask. Answered by :class:`Admitted` or :class:`Refused`; then the query's events follow."""

    key: Key
    query: Query
    id: CommandId = ""


class Cancel(_Strict, tag="cancel"):
    """Stop a query of one's own. Its end is told as for any other query."""

    query: QueryId
    id: CommandId = ""


class Resume(_Strict, tag="resume"):
    """Follow a query of one's own from a cursor on; ``0, 0`` is the beginning."""

    query: QueryId
    attempt: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    seq: Count = 0
    id: CommandId = ""


class Watch(_Strict, tag="watch"):
    """Hear :class:`RealmState` whenever it changes, from now on."""

    id: CommandId = ""


class Unwatch(_Strict, tag="unwatch"):
    """Hear it no longer."""

    id: CommandId = ""


# Realm to client.


class Welcome(_Told, tag="welcome"):
    """Who one is here, and what the realm takes."""

    user: UserName
    role: Role
    #: Counts the starts of this realm; a greater one than before means that it was restarted.
    epoch: int
    version: str
    max_frame_bytes: int
    id: CommandId = ""
    #: Whether sysops of this realm see the first words of what one asks.
    prompts_shown: bool = False


class Admitted(_Told, tag="admitted"):
    """The query is written down, its hold placed: it will reach exactly one end."""

    query: QueryId
    #: The model whose lane it waits in, after aliases and fallbacks.
    model: ModelName
    hold_micro: Count
    id: CommandId = ""
    #: Whether an earlier submission with the same key had admitted it already.
    repeated: bool = False


class Refused(_Told, tag="refused"):
    """Nothing was written, nothing held. Says why, and when to try again."""

    error: ErrorInfo
    id: CommandId = ""


class Queued(_Told, tag="queued"):
    """It waits: how many go before it, and for about how long."""

    query: QueryId
    #: Queries that will start before it; 0 is the next to start.
    position: int
    #: ``None`` where nothing is known yet, or nobody serves the model now.
    eta_seconds: float | None = None
    #: In whose lane it waits; of a chain that may change while it waits.
    model: str = ""
    #: Why it waits, or waits there, where that is not only its turn: a model fails, nobody serves.
    reason: str = ""


class Started(_Told, tag="started"):
    """An attempt was given to a worker."""

    query: QueryId
    attempt: AttemptNumber
    #: Which model answers: of a chain not always the one that was admitted, and then why.
    model: str = ""
    reason: str = ""


class Progress(_Told, tag="progress"):
    """How far the attempt is. Later ones replace earlier ones."""

    query: QueryId
    attempt: AttemptNumber
    #: Done so far, 0 to 1.
    fraction: Annotated[float, Meta(ge=0, le=1)]
    note: str = ""
    #: Empty where there is none.
    preview: Preview = b""


class Chunk(_Told, tag="chunk"):
    """The next piece of the answer: words, or one other part."""

    query: QueryId
    attempt: AttemptNumber
    seq: Count
    #: Position after this chunk: the cursor to resume from.
    next: Count
    text: str = ""
    part: Part | None = None


class Requeued(_Told, tag="requeued"):
    """The attempt before this one is void: forget its text; it starts afresh with this number."""

    query: QueryId
    #: The number that the next attempt will have.
    attempt: AttemptNumber
    reason: str = ""


class Settled(_Told, tag="settled"):
    """The end: an answer, and what it cost."""

    query: QueryId
    attempt: AttemptNumber
    model: ModelName
    charge: Charge
    finish_reason: str = "stop"
    #: From submission to end, and of that from the attempt's start to its end.
    seconds: float = 0.0
    running_seconds: float = 0.0


class Failed(_Told, tag="failed"):
    """The end: no answer, no charge."""

    query: QueryId
    error: ErrorInfo


class Cancelled(_Told, tag="cancelled"):
    """The end: it was cancelled; what had been published is charged."""

    query: QueryId
    charge: Charge


class RealmState(_Told, tag="realm"):
    """Depth of every lane and who serves what; no names, no prompts."""

    lanes: tuple[LaneInfo, ...]
    workers: tuple[WorkerInfo, ...]
    admission_open: bool = True


class Notice(_Told, tag="notice"):
    """The sysop says something to everybody who is connected."""

    text: str
    level: Literal["info", "warning"] = "info"


class Error(_Told, tag="error"):
    """A command could not be carried out; the socket stays open."""

    error: ErrorInfo
    id: CommandId = ""
    query: str = ""


# Worker to realm.


class AttemptRef(Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt, named so that a stale one can be told from the current one."""

    query: QueryId
    attempt: AttemptNumber
    #: The realm's epoch in which the attempt was dispatched.
    epoch: int


class Served(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A model as one worker serves it."""

    model: ModelName
    #: Attempts of it that may run at once.
    slots: Annotated[int, Meta(ge=0, le=100_000)] = 1
    #: Whether it lies in memory.
    loaded: bool = False
    #: Why it is not well; empty when it is.
    trouble: Annotated[str, Meta(max_length=500)] = ""


class WorkerHello(_Strict, tag="hello"):
    """The first n-gram of a worker: who it is and what it serves."""

    worker: WorkerName
    #: Its address on the Dask scheduler; empty for a worker that is no Dask member.
    address: Annotated[str, Meta(max_length=255)] = ""
    served: tuple[Served, ...] = ()
    #: Dask threads: attempts of all models together that may run at once.
    threads: Annotated[int, Meta(ge=1, le=100_000)] = 1
    version: Annotated[str, Meta(max_length=100)] = ""


class Beat(_Strict, tag="beat"):
    """Still here, every 5 s; renews the lease of each attempt that it names."""

    running: tuple[AttemptRef, ...] = ()
    memory_bytes: Count = 0
    #: Processor use of the worker process, in percent of one core.
    cpu_percent: Annotated[float, Meta(ge=0)] = 0.0


class WorkerChunk(_Strict, tag="chunk"):
    """The next piece of an attempt's answer: words, or one other part."""

    query: QueryId
    attempt: AttemptNumber
    epoch: int
    seq: Count
    text: str = ""
    part: Part | None = None


class WorkerProgress(_Strict, tag="progress"):
    """How far an attempt is."""

    query: QueryId
    attempt: AttemptNumber
    epoch: int
    fraction: Annotated[float, Meta(ge=0, le=1)]
    note: Annotated[str, Meta(max_length=500)] = ""
    preview: Preview = b""


class WorkerOutcome(_Strict, tag="outcome"):
    """How an attempt ended; comes after its last chunk, on the connection that took all of them.

    The answer itself is not in it: the realm has that if its stream ends at `next`. Where it does
    not, where the link is down, or where this does not fit a frame, the realm waits for the result
    of the Dask task, which says the same and brings the whole answer.
    """

    query: QueryId
    attempt: AttemptNumber
    epoch: int
    #: Position after the last unit of the answer.
    next: Count
    usage: Usage = Usage()
    finish_reason: str = "stop"
    #: Whether it was told to stop, and did.
    cancelled: bool = False
    error: ErrorInfo | None = None
    #: Whether another worker, or a later try, may do better.
    retryable: bool = False


class Health(_Strict, tag="health"):
    """What it serves has changed: loaded, unloaded, fallen ill, got well."""

    served: tuple[Served, ...]


class Bye(_Strict, tag="bye"):
    """It is leaving in good order."""

    reason: Annotated[str, Meta(max_length=500)] = ""


# Realm to worker.


class Stop(_Strict, tag="cancel"):
    """Stop an attempt at its next chunk."""

    query: QueryId
    attempt: AttemptNumber


class Load(_Strict, tag="load"):
    """Bring a model into memory."""

    model: ModelName


class Unload(_Strict, tag="unload"):
    """Take it out."""

    model: ModelName


class Drain(_Strict, tag="drain"):
    """Take nothing new (``on``), or take work again; what runs goes on."""

    on: bool = True


ClientNGram = Hello | Submit | Cancel | Resume | Watch | Unwatch
RealmNGram = (
    Welcome
    | Admitted
    | Refused
    | Queued
    | Started
    | Progress
    | Chunk
    | Requeued
    | Settled
    | Failed
    | Cancelled
    | RealmState
    | Notice
    | Error
)
WorkerNGram = WorkerHello | Beat | WorkerChunk | WorkerProgress | WorkerOutcome | Health | Bye
LinkNGram = Stop | Load | Unload | Drain

#: The events of one query, as a stream yields them.
QueryEvent = Queued | Started | Progress | Chunk | Requeued | Settled | Failed | Cancelled
#: The events after which a query has no more.
QueryEnd = Settled | Failed | Cancelled


def units(text: str, part: Part | None) -> int:
    """Return how many units of an answer a chunk carries (see the module's docstring)."""
    return len(text) + (part is not None)


def after(parts: tuple[Part, ...], seq: int) -> list[Part]:
    """Return what of an answer lies at or after position `seq`."""
    rest: list[Part] = []
    for part in parts:
        size = len(part.text) if isinstance(part, Text) else 1
        if seq < size:
            rest.append(Text(part.text[seq:]) if isinstance(part, Text) else part)
        seq = max(0, seq - size)
    return rest
