"""For about how long one waits, and how much one will probably take: learned as queries end."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mtor_kernel.protocol.backend import ModelSpec

#: How much of the learned figure the newest query is, once there have been enough of them.
LEARNING_RATE = 0.1
#: Of the output tokens that a model gives by default, how many an answer is taken to have at first.
FIRST_GUESS = 0.5
#: The least that an attempt's work is taken for, in seconds: a backend counts whole milliseconds.
LEAST_WORK = 0.0005
#: However long a query has run, it is taken to need at least this much of the usual time yet.
OVERDUE = 0.25


class Estimator:
    """What one lane has learned.

    The first queries weigh equally (a plain mean), later ones by an exponentially weighted mean, so
    that a lane that has become slower is believed after some tens of queries.
    """

    def __init__(self, spec: ModelSpec) -> None:
        #: Output tokens of an answer; before the first one, a guess from the model's entry.
        self.output_tokens = FIRST_GUESS * min(spec.default_max_tokens, spec.max_output_tokens)
        #: Seconds that an attempt runs; ``None`` before the first one.
        self.seconds: float | None = None
        #: Seconds that a backend works for a ticket's unit of cost; ``None`` before the first.
        self._seconds_a_cost: float | None = None
        self._learned = 0

    def learn(self, output_tokens: int, seconds: float) -> None:
        """Take in one settled query: the output tokens of its answer and how long it ran."""
        self._learned += 1
        rate = max(LEARNING_RATE, 1 / self._learned)
        self.output_tokens += rate * (output_tokens - self.output_tokens)
        self.seconds = (self.seconds or 0.0) * (1 - rate) + rate * max(0.0, seconds)

    def learn_work(self, cost: float, seconds: float) -> None:
        """Take in for how long a backend worked on a ticket of that cost."""
        each = max(LEAST_WORK, seconds) / cost
        before = self._seconds_a_cost
        self._seconds_a_cost = each if before is None else before + LEARNING_RATE * (each - before)

    def work(self, cost: float) -> float:
        """Return for how long a backend will probably work on a ticket; infinite: nobody knows."""
        return math.inf if self._seconds_a_cost is None else self._seconds_a_cost * cost

    def eta(self, position: int, running_seconds: Sequence[float], slots: int) -> float | None:
        """Return for about how many seconds the query at `position` will wait until it starts.

        Each query is taken to run as long as is usual: the slots become free one after the other,
        and every so often each of them again.

        Parameters
        ----------
        position
            Queries that start before it.
        running_seconds
            For how long each running query has run, in any order.
        slots
            How many may run at once. Where fewer slots than running queries are left (a worker
            drains), the first of them to end make no room.

        Returns
        -------
        float | None
            ``None`` where it cannot be known: no slots, or nothing learned yet and none of them is
            free.
        """
        if slots < 1:
            return None
        if position < slots - len(running_seconds):
            return 0.0
        usual = self.seconds
        if usual is None:
            return None
        left = sorted(max(usual - ran, OVERDUE * usual) for ran in running_seconds)
        free_in = [0.0] * (slots - len(left)) + left[max(0, len(left) - slots) :]
        return free_in[position % slots] + position // slots * usual
