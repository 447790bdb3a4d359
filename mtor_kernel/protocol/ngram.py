"""The n-grams: every message of MTOR's protocol, version 1, and here those of its clients.

An n-gram (not NLP's) is one JSON object in one WebSocket text frame, tagged by ``op``, under the
subprotocol ``mtor.ngram.v1``. Four unions, one a direction::

    client ── ClientNGram ──► realm ── LinkNGram ───► worker
    client ◄── RealmNGram ─── realm ◄── WorkerNGram ── worker

Those of the workers stand in :mod:`~mtor_kernel.protocol.link`. What ``seq`` and ``next`` count
stands in :mod:`~mtor_kernel.protocol.units`.

What comes in from clients and workers is refused when a field is unknown. What a client reads
may grow: a field it does not know is skipped.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mtor_kernel.protocol.account import Charge, Count
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.identity import Role, UserName
from mtor_kernel.protocol.query import Key, ModelName, Part, Query, QueryId
from mtor_kernel.protocol.views import LaneInfo, WorkerInfo

#: The WebSocket subprotocol, on both sockets.
SUBPROTOCOL = "mtor.ngram.v1"

#: A client's own number for a command, echoed as ``id`` in what answers it.
CommandId = Annotated[str, Meta(max_length=64)]
#: The most that a picture of the work so far may have.
MAX_PREVIEW_BYTES = 64 * 1024
#: A small picture (PNG) of the work so far. It is shown and forgotten, so it is no blob; in JSON it
#: is base64.
Preview = Annotated[bytes, Meta(max_length=MAX_PREVIEW_BYTES)]
#: The most submissions that one frame carries.
MAX_SUBMITS = 64
#: Number of a try at running a query, from 1.
AttemptNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Strict(Struct, frozen=True, omit_defaults=True, tag_field="op", forbid_unknown_fields=True):
    """Comes from outside: an unknown field is an error."""


class Told(Struct, frozen=True, omit_defaults=True, tag_field="op"):
    """Goes to a client: fields may be added in later versions."""


# Client to realm.


class Hello(Strict, tag="hello"):
    """The first n-gram of a client. Answered by :class:`Welcome`."""

    id: CommandId = ""
    #: Who made the client, for the log: ``mtor_kernel/0.1``.
    client: Annotated[str, Meta(max_length=200)] = ""


class Submit(Strict, tag="submit"):
    """Ask. Answered by :class:`Admitted` or :class:`Refused`; then the query's events follow."""

    key: Key
    query: Query
    id: CommandId = ""


class SubmitAll(Strict, tag="submit_all"):
    """Ask several things at once; each is answered as if it had come alone."""

    asked: Annotated[tuple[Submit, ...], Meta(min_length=1, max_length=MAX_SUBMITS)]
    id: CommandId = ""
    #: Whether the client reads :class:`Several`, from now on.
    several: bool = False


class Cancel(Strict, tag="cancel"):
    """Stop a query of one's own. Its end is told as for any other query."""

    query: QueryId
    id: CommandId = ""


class Resume(Strict, tag="resume"):
    """Follow a query of one's own from a cursor on; ``0, 0`` is the beginning."""

    query: QueryId
    attempt: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    seq: Count = 0
    id: CommandId = ""


class Watch(Strict, tag="watch"):
    """Hear :class:`RealmState` whenever it changes, from now on."""

    id: CommandId = ""


class Unwatch(Strict, tag="unwatch"):
    """Hear it no longer."""

    id: CommandId = ""


# Realm to client.


class Welcome(Told, tag="welcome"):
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
    #: How many submissions one frame may carry (:class:`SubmitAll`); 0: that is not understood.
    max_submits: int = 0


class Admitted(Told, tag="admitted"):
    """The query is written down, its hold placed: it will reach exactly one end."""

    query: QueryId
    #: The model whose lane it waits in, after aliases and fallbacks.
    model: ModelName
    hold_micro: Count
    id: CommandId = ""
    #: Whether an earlier submission with the same key had admitted it already.
    repeated: bool = False


class Refused(Told, tag="refused"):
    """Nothing was written, nothing held. Says why, and when to try again."""

    error: ErrorInfo
    id: CommandId = ""


class Queued(Told, tag="queued"):
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


class Started(Told, tag="started"):
    """An attempt was given to a worker."""

    query: QueryId
    attempt: AttemptNumber
    #: Which model answers: of a chain not always the one that was admitted, and then why.
    model: str = ""
    reason: str = ""


class Progress(Told, tag="progress"):
    """How far the attempt is. Later ones replace earlier ones."""

    query: QueryId
    attempt: AttemptNumber
    #: Done so far, 0 to 1.
    fraction: Annotated[float, Meta(ge=0, le=1)]
    note: str = ""
    #: Empty where there is none.
    preview: Preview = b""


class Chunk(Told, tag="chunk"):
    """The next piece of the answer: words, or one other part."""

    query: QueryId
    attempt: AttemptNumber
    seq: Count
    #: Position after this chunk: the cursor to resume from.
    next: Count
    text: str = ""
    part: Part | None = None


class Requeued(Told, tag="requeued"):
    """The attempt before this one is void: forget its text; it starts afresh with this number."""

    query: QueryId
    #: The number that the next attempt will have.
    attempt: AttemptNumber
    reason: str = ""


class Settled(Told, tag="settled"):
    """The end: an answer, and what it cost."""

    query: QueryId
    attempt: AttemptNumber
    model: ModelName
    charge: Charge
    finish_reason: str = "stop"
    #: From submission to end, and of that from the attempt's start to its end.
    seconds: float = 0.0
    running_seconds: float = 0.0
    #: What the model's weights are known by: ``sha256:…``, or what a service calls them.
    weights: str = ""


class Failed(Told, tag="failed"):
    """The end: no answer, no charge."""

    query: QueryId
    error: ErrorInfo


class Cancelled(Told, tag="cancelled"):
    """The end: it was cancelled; what had been published is charged."""

    query: QueryId
    charge: Charge


class RealmState(Told, tag="realm"):
    """Depth of every lane and who serves what; no names, no prompts."""

    lanes: tuple[LaneInfo, ...]
    workers: tuple[WorkerInfo, ...]
    admission_open: bool = True


class Notice(Told, tag="notice"):
    """The sysop says something to everybody who is connected."""

    text: str
    level: Literal["info", "warning"] = "info"


class Error(Told, tag="error"):
    """A command could not be carried out; the socket stays open."""

    error: ErrorInfo
    id: CommandId = ""
    query: str = ""


class Several(Told, tag="several"):
    """What would have gone in frames of its own, in that order; each as if alone."""

    told: tuple[
        Admitted | Refused | Queued | Started | Progress | Chunk | Requeued | Settled | Failed
        | Cancelled,
        ...,
    ]  # fmt: skip


ClientNGram = Hello | Submit | SubmitAll | Cancel | Resume | Watch | Unwatch
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
    | Several
)

#: The events of one query, as a stream yields them.
QueryEvent = Queued | Started | Progress | Chunk | Requeued | Settled | Failed | Cancelled
#: The events after which a query has no more.
QueryEnd = Settled | Failed | Cancelled
