"""What a Dask task carries to a worker and what it brings back: JSON both ways, never a pickle."""

from __future__ import annotations

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Part, Query, Weights


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt to run."""

    attempt: AttemptRef
    model: ModelSpec
    query: Query
    #: Which of several gateways carries it, and hears of it; empty where there is one.
    gateway: str = ""


#: Attempts of a slice at most.
MAX_ROWS = 64


#: How long the rows of one query may take together, in seconds; the first is always seen through.
ROWS_SECONDS = 0.25
#: Why such an answer ends before its last row.
OUT_OF_TIME = "time"


class Row(msgspec.Struct, frozen=True):
    """One attempt of a slice."""

    attempt: AttemptRef
    #: An encoded :class:`~mtor_kernel.protocol.query.Query`; looked at when its turn comes, so that
    #: one which cannot be read fails alone.
    query: msgspec.Raw


class Slice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Attempts of small queries that take turns in one Dask task, and so in one slot."""

    model: ModelSpec
    rows: tuple[Row, ...]
    #: After this time no more of them begin: the rest are handed back.
    seconds: float
    #: As in :class:`Task`.
    gateway: str = ""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the attempt ended.

    Exactly one of three: an answer (``error`` is ``None``, ``cancelled`` false), a cancel, or an
    error. `parts` is everything that was published, whole: the realm completes from it a stream
    whose last chunks have not come through. They are left out where the realm has all of it, in an
    outcome that came by the link (:class:`~mtor_kernel.protocol.link.WorkerOutcome`).
    """

    attempt: AttemptRef
    parts: tuple[Part, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    cancelled: bool = False
    error: ErrorInfo | None = None
    #: Whether another worker, or a later try, may do better.
    retryable: bool = False
    #: Whether it was begun at all. What a slice had no time for was not, and is ``cancelled`` too.
    begun: bool = True
    #: What the weights of the model are known by; empty where nobody can tell.
    weights: Weights = ""
