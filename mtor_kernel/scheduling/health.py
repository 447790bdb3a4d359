"""Whether a lane may be used: a circuit breaker, and a score of its late outcomes.

Both live on what really happened to queries. The times passed in are monotonic seconds.
"""

from __future__ import annotations

import enum
from collections import deque

from mtor_kernel.protocol.errors import ErrorInfo, Expired, QueryCancelled, QueryFailed, from_info

#: Failures in a row that open a breaker.
FAILURES_IN_A_ROW = 5
#: Or this share of failures among the last outcomes.
FAILURE_SHARE = 0.5
OUTCOMES_LOOKED_AT = 20
#: How long an open breaker rests before it lets a probe through; doubled after each failed probe.
COOL_DOWN_SECONDS = 10.0
MAX_COOL_DOWN_SECONDS = 300.0
#: After this time an outcome counts for half.
HALF_LIFE_SECONDS = 120.0


class BreakerState(enum.StrEnum):
    """Whether queries pass: all of them, none, or one to try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def outcome(error: ErrorInfo | None) -> bool | None:
    """Return what the end of an attempt says of its lane: well, not well, or (``None``) nothing.

    A user's mistake, a cancel and a deadline that passed say nothing; nor does a lack of models.
    """
    if error is None:
        return True
    raised = from_info(error)
    at_fault = isinstance(raised, QueryFailed) and not isinstance(raised, Expired | QueryCancelled)
    return False if at_fault else None


class Breaker:
    """Closed → open after failures → half open after a rest, for one probe → closed, or open again.

    :meth:`allows` asks, :meth:`started` tells that a query was sent, :meth:`record` how it ended. A
    probe of which nothing is heard for a whole rest no longer keeps the next one back.
    """

    def __init__(
        self,
        *,
        failures_in_a_row: int = FAILURES_IN_A_ROW,
        cool_down_seconds: float = COOL_DOWN_SECONDS,
        max_cool_down_seconds: float = MAX_COOL_DOWN_SECONDS,
    ) -> None:
        self._failures_in_a_row = failures_in_a_row
        self._first_rest = cool_down_seconds
        self._longest_rest = max_cool_down_seconds
        self._rest = cool_down_seconds
        self._row = 0
        self._recent: deque[bool] = deque(maxlen=OUTCOMES_LOOKED_AT)
        #: When it opened; ``None`` while it is closed.
        self._opened_at: float | None = None
        #: When the probe was sent; ``None`` while none is under way.
        self._probed_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """Return the state at `now`."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        rested = now - self._opened_at >= self._rest
        return BreakerState.HALF_OPEN if rested else BreakerState.OPEN

    def allows(self, now: float) -> bool:
        """Tell whether a query may be sent now. Asking changes nothing."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            return self._probed_at is None or now - self._probed_at >= self._rest
        return state is BreakerState.CLOSED

    def retry_after(self, now: float) -> float:
        """Return the seconds until it may let one through; 0 where it may now."""
        if self._opened_at is None:
            return 0.0
        since = self._opened_at if self._probed_at is None else self._probed_at
        return max(0.0, since + self._rest - now)

    def started(self, now: float) -> None:
        """Tell that a query was sent: in the half-open state it is the probe."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._probed_at = now

    def rest(self, seconds: float, now: float) -> None:
        """Let nothing through for a while: what makes the model answer has asked for that.

        At most the longest rest; a rest that is longer already stays.
        """
        seconds = min(seconds, self._longest_rest)
        if seconds > self.retry_after(now):
            self._open(now, seconds)
            self._probed_at = None

    def record(self, ok: bool | None, now: float) -> None:
        """Take in how a query ended (see :func:`outcome`); ``None`` only frees the probe's place.

        What was sent before the breaker opened and ends while it rests changes nothing.
        """
        state = self.state(now)
        if state is BreakerState.OPEN:
            return
        self._probed_at = None
        if ok is None:
            return
        if state is BreakerState.HALF_OPEN:
            self._close() if ok else self._open(now, min(self._rest * 2, self._longest_rest))
            return
        self._recent.append(ok)
        self._row = 0 if ok else self._row + 1
        if self._row >= self._failures_in_a_row or self._fails_often():
            self._open(now, self._first_rest)

    def _fails_often(self) -> bool:
        full = len(self._recent) == OUTCOMES_LOOKED_AT
        return full and self._recent.count(False) >= FAILURE_SHARE * OUTCOMES_LOOKED_AT

    def _open(self, now: float, rest: float) -> None:
        self._opened_at, self._rest = now, rest

    def _close(self) -> None:
        self._opened_at, self._rest, self._row = None, self._first_rest, 0
        self._recent.clear()


class Score:
    """How well it went of late, 0 to 1.

    Outcomes count for less as they age, and one good outcome is always assumed: without news the
    score goes back to 1.
    """

    def __init__(self, half_life_seconds: float = HALF_LIFE_SECONDS) -> None:
        self._half_life = half_life_seconds
        self._good = self._all = 0.0
        self._at: float | None = None

    def record(self, ok: bool | None, now: float) -> None:
        """Take in an outcome; ``None`` says nothing."""
        if ok is None:
            return
        faded = self._faded(now)
        self._good = self._good * faded + ok
        self._all = self._all * faded + 1
        self._at = now if self._at is None else max(self._at, now)

    def value(self, now: float) -> float:
        """Return the score at `now`."""
        faded = self._faded(now)
        return (self._good * faded + 1) / (self._all * faded + 1)

    def _faded(self, now: float) -> float:
        past = 0.0 if self._at is None else max(0.0, now - self._at)
        return float(0.5 ** (past / self._half_life))
