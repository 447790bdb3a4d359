"""A slice: attempts of small queries that take turns in one Dask task.

Each is what it would be alone: it has its own flag, stream and outcome, is named in heartbeats from
the start, and is told of as soon as it has ended. What is shared is the task, its thread, and the
frames of the link.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from dask_workers.publisher import COALESCE_SECONDS
from dask_workers.tasks import never_begun, see_through, slice_key
from mtor_kernel.protocol.codec import decode
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.task import Outcome, Row, Slice, Task

if TYPE_CHECKING:
    from dask_workers.runtime import Runtime


class Turns:
    """The attempts of one slice, one after the other.

    * When the slice's time is over, what has not begun is handed back at once, also while the one
      whose turn it is goes on: nobody waits for it longer than that. The first begins in any case.
    * What is cancelled before its turn ends at once.
    """

    def __init__(self, told: Slice, runtime: Runtime) -> None:
        self._runtime = runtime
        self._seconds = told.seconds
        self._turns = [_Turn(row, told, runtime) for row in told.rows]
        first = told.rows[0].attempt
        self._key = slice_key(first.query, first.attempt)
        self._current, self._over = self._turns[0], False

    def run(self) -> list[Outcome]:
        """Return how each ended."""
        self._runtime.slices[self._key] = self._stop
        try:
            self._runtime.at(time.monotonic() + self._seconds, self._hand_back)
            self._flush()
            for turn in self._turns:
                self._current = turn
                turn.take()
            return [turn.outcome for turn in self._turns]
        finally:
            self._over = True
            del self._runtime.slices[self._key]

    def _flush(self) -> None:
        """Send what the one whose turn it is has said so far, now and every few milliseconds."""
        if not self._over:
            self._current.flush()
            self._runtime.at(time.monotonic() + COALESCE_SECONDS, self._flush)

    def _hand_back(self) -> None:
        # The first begins in any case, or a starved machine would hand all of them back for ever.
        for turn in self._turns[1:]:
            turn.pass_over()

    def _stop(self) -> None:
        for turn in self._turns:
            turn.attempt.cancel()


class _Turn:
    """One attempt: it waits, and then has its turn or is passed over."""

    def __init__(self, row: Row, told: Slice, runtime: Runtime) -> None:
        #: Set when it has ended.
        self.outcome: Outcome
        self._row, self._told = row, told
        self._runtime = runtime
        self._publisher = runtime.publisher(row.attempt, patient=True)
        self._guard = threading.Lock()
        self._waits = True
        self.attempt = runtime.attempts.start(row.attempt)
        self.attempt.resend = self._publisher.flush
        self.attempt.on_cancel(self.pass_over)

    def take(self) -> None:
        """Have its turn, unless it was passed over; return when it has ended."""
        with self._guard:
            if not self._waits:
                return
            self._waits = False
        self._publisher.begin()
        how = self._runtime, self.attempt, self._publisher
        try:
            query = decode(bytes(self._row.query), Query)
        except RealmError as error:
            self.outcome = never_begun(*how, error)
            return
        task = Task(self._row.attempt, self._told.model, query, self._told.gateway)
        self.outcome = see_through(task, *how)

    def flush(self) -> None:
        """Send what it has said so far."""
        self._publisher.flush()

    def pass_over(self) -> None:
        """End it if it still waits."""
        with self._guard:
            if self._waits:
                self._waits = False
                self.outcome = never_begun(self._runtime, self.attempt, self._publisher)
