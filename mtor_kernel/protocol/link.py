"""The n-grams of the link: what a worker and the realm say to each other.

The worker dials. The subprotocol is that of the clients: :mod:`~mtor_kernel.protocol.ngram`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mtor_kernel.protocol.account import Count, Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.ngram import AttemptNumber, Preview, Strict
from mtor_kernel.protocol.query import ModelName, Part, QueryId, Weights

#: The name that a worker gives itself; unique among those linked.
WorkerName = Annotated[str, Meta(min_length=1, max_length=255)]

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
    #: What its weights are known by; empty where that is not known, or not yet.
    weights: Weights = ""


class WorkerHello(Strict, tag="hello"):
    """The first n-gram of a worker: who it is and what it serves."""

    worker: WorkerName
    #: Its address on the Dask scheduler; empty for a worker that is no Dask member.
    address: Annotated[str, Meta(max_length=255)] = ""
    served: tuple[Served, ...] = ()
    #: Dask threads: attempts of all models together that may run at once.
    threads: Annotated[int, Meta(ge=1, le=100_000)] = 1
    version: Annotated[str, Meta(max_length=100)] = ""


class Beat(Strict, tag="beat"):
    """Still here, every 5 s; renews the lease of each attempt that it names."""

    running: tuple[AttemptRef, ...] = ()
    memory_bytes: Count = 0
    #: Processor use of the worker process, in percent of one core.
    cpu_percent: Annotated[float, Meta(ge=0)] = 0.0


class WorkerChunk(Strict, tag="chunk"):
    """The next piece of an attempt's answer: words, or one other part."""

    query: QueryId
    attempt: AttemptNumber
    epoch: int
    seq: Count
    text: str = ""
    part: Part | None = None


class WorkerProgress(Strict, tag="progress"):
    """How far an attempt is."""

    query: QueryId
    attempt: AttemptNumber
    epoch: int
    fraction: Annotated[float, Meta(ge=0, le=1)]
    note: Annotated[str, Meta(max_length=500)] = ""
    preview: Preview = b""


class WorkerOutcome(Strict, tag="outcome"):
    """How an attempt ended; comes after its last chunk, on the connection that took all of them.

    Of the answer only the last words may be in it: the realm has all of it if its stream ends at
    `next` then. Where it does not, where the link is down, or where this does not fit a frame, the
    realm waits for the result of the Dask task, which says the same and brings the whole answer.
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
    #: Whether it was begun at all: what a slice had no time for was not, and is ``cancelled`` too.
    begun: bool = True
    #: What the weights of the model are known by; empty where nobody can tell.
    weights: Weights = ""
    #: The last words of the answer, which end at `next` and came in no chunk.
    text: str = ""


#: ``op`` of the n-gram that holds others.
SEVERAL = "several"


class WorkerSeveral(Strict, tag=SEVERAL):
    """What several attempts said within a few milliseconds, in that order; each as if alone."""

    said: Annotated[tuple[WorkerChunk | WorkerProgress | WorkerOutcome, ...], Meta(max_length=4096)]


class Health(Strict, tag="health"):
    """What it serves has changed: loaded, unloaded, fallen ill, got well."""

    served: tuple[Served, ...]


class Bye(Strict, tag="bye"):
    """It is leaving in good order."""

    reason: Annotated[str, Meta(max_length=500)] = ""


# Realm to worker.


class Stop(Strict, tag="cancel"):
    """Stop an attempt at its next chunk."""

    query: QueryId
    attempt: AttemptNumber


class Load(Strict, tag="load"):
    """Bring a model into memory."""

    model: ModelName


class Unload(Strict, tag="unload"):
    """Take it out."""

    model: ModelName


class Drain(Strict, tag="drain"):
    """Take nothing new (``on``), or take work again; what runs goes on."""

    on: bool = True


WorkerNGram = (
    WorkerHello | Beat | WorkerChunk | WorkerProgress | WorkerOutcome | WorkerSeveral | Health | Bye
)
LinkNGram = Stop | Load | Unload | Drain
