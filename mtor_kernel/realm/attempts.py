"""One try at running a query, from its dispatch to the verdict on it.

Everything that can decide an attempt (its Dask task, its worker's link, its lease, a cancel, its
time) calls :meth:`Attempt.decide`. The first verdict stands. What follows from it is done for all
that are decided at the same time together.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.task import Outcome

if TYPE_CHECKING:
    from mtor_kernel.protocol.backend import ModelSpec
    from mtor_kernel.realm.lanes import Lane, Place
    from mtor_kernel.realm.slices import Slice
    from mtor_kernel.realm.streams import Stream
    from mtor_kernel.realm.worker import Worker


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
    """A running try. It holds one slot of its lane, or a share of one, until its worker is done."""

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
    #: The slot, and who else is in it.
    slice: Slice
    #: Called once, when there is a verdict.
    decided: Callable[[Attempt], None]
    #: How it ended; ``None`` while it runs.
    verdict: Verdict | None = None
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
        if self.verdict is None:
            self.verdict = verdict
            self.slice.has_verdict()
            self.decided(self)

    def is_of(self, query: str, attempt: int, epoch: int) -> bool:
        """Tell whether a worker that names these three speaks of this attempt."""
        return self.ref == AttemptRef(query, attempt, epoch)
