"""One try at running a query, from its dispatch to the verdict on it.

Everything that can decide an attempt (its Dask task, its worker's link, its lease, a cancel, its
time) calls :meth:`Attempt.decide`. The first verdict stands.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.protocol.task import Outcome

if TYPE_CHECKING:
    from mtor_kernel.protocol.backend import ModelSpec
    from mtor_kernel.realm.lanes import Lane, Place
    from mtor_kernel.realm.streams import Stream
    from mtor_kernel.realm.workers import Worker


class Stop(enum.Enum):
    """Why an attempt is told to stop."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt will bring nothing: its worker died, froze, or left."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unheeded:
    """It was told to stop, and its worker has not answered in time."""


Verdict = Outcome | Lost | Unheeded


@dataclass(slots=True, eq=False)
class Attempt:
    """A running try. It holds one slot of its lane until the worker is done with it."""

    ref: AttemptRef
    lane: Lane
    place: Place
    spec: ModelSpec
    #: The encoded query, as it was stored.
    body: bytes
    stream: Stream
    #: Monotonic seconds: when it was dispatched, until when its lease holds, and when it last made
    #: something.
    started: float
    lease_until: float
    heard_at: float
    verdict: asyncio.Future[Verdict]
    #: Who runs it; known from its first sign on.
    worker: Worker | None = None
    #: Why it was told to stop, by the end that its query will have; ``None`` while it goes on.
    stopping: Stop | None = None

    @property
    def query(self) -> str:
        """The query it tries."""
        return self.ref.query

    def decide(self, verdict: Verdict) -> None:
        """Say how it ended; the first to say so is right."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def is_of(self, query: str, attempt: int, epoch: int) -> bool:
        """Tell whether a worker that names these three speaks of this attempt."""
        return self.ref == AttemptRef(query, attempt, epoch)
