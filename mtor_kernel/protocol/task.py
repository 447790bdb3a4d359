"""What a Dask task carries to a worker and what it brings back: JSON both ways, never a pickle."""

from __future__ import annotations

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.protocol.query import Part, Query


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt to run."""

    attempt: AttemptRef
    model: ModelSpec
    query: Query
    #: Which of several gateways carries it, and hears of it; empty where there is one.
    gateway: str = ""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the attempt ended.

    Exactly one of three: an answer (``error`` is ``None``, ``cancelled`` false), a cancel, or an
    error. `parts` is everything that was published, whole: the realm completes from it a stream
    whose last chunks have not come through. They are left out where the realm has all of it, in an
    outcome that came by the link (:class:`~mtor_kernel.protocol.ngram.WorkerOutcome`).
    """

    attempt: AttemptRef
    parts: tuple[Part, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    cancelled: bool = False
    error: ErrorInfo | None = None
    #: Whether another worker, or a later try, may do better.
    retryable: bool = False
