"""Rows of a table: small questions of one query that take turns in its attempt.

An answer goes out with those that came shortly before it. A row that is itself at fault has its
error in the place of its answer. When the time is over, or the model fails, what has not been
answered is left out: it is the client's to ask again, and the first of it is whole then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from dask_workers.publisher import size_of
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Delta, Done, Step
from mtor_kernel.protocol.errors import BadInput, Denied, NotFound, Refused
from mtor_kernel.protocol.query import Data, Query, RowAnswer, Rows, Text
from mtor_kernel.protocol.task import OUT_OF_TIME
from mtor_kernel.protocol.units import parts_of

log = logging.getLogger(__name__)

#: Errors that the same query would meet anywhere, at any time.
LASTING = (BadInput, Denied, Refused, NotFound)
#: Answers wait so long, in seconds, and for so many bytes, to go together.
GATHER_SECONDS = 0.1
GATHER_BYTES = 64 * 1024
#: Between two signs of life, in seconds, of a row that takes its time.
SIGN_SECONDS = 1.0


class Sink(Protocol):
    """Takes what a backend says before its end."""

    def publish(self, delta: Delta) -> None:
        """Take the next piece of an answer."""

    def progress(self, step: Step) -> None:
        """Take how far it is."""


#: Has a row's query answered; returns what the backend said last, or ``None`` if cancelled.
Ask = Callable[[Query, Sink], Done | None]


class _Answer:
    """What a model has said to one row.

    Parameters
    ----------
    alive
        Called with whatever it says: nobody hears it before it is whole.
    """

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self._pieces: list[Text | Data] = []
        self.tokens = 0

    def publish(self, delta: Delta) -> None:
        self._alive()
        if delta.text:
            self._pieces.append(Text(delta.text))
        if isinstance(delta.part, Text | Data):
            self._pieces.append(delta.part)
        self.tokens += delta.tokens

    def progress(self, step: Step) -> None:
        self._alive()

    @property
    def parts(self) -> tuple[Text | Data, ...]:
        return cast("tuple[Text | Data, ...]", parts_of(self._pieces))


class _Gathered:
    """Answers on their way out, and signs of life while there are none."""

    def __init__(self, sink: Sink, rows: int) -> None:
        self._sink = sink
        self._rows, self._ended = rows, 0
        self._ready: list[RowAnswer] = []
        self._tokens = self._bytes = 0
        self._since = self._told_at = time.monotonic()

    def add(self, answer: RowAnswer, tokens: int = 0) -> None:
        """Take the next one; raise where nobody could read it, and take nothing."""
        size = size_of(Delta(part=Rows((answer,))))
        if self._bytes + size > GATHER_BYTES:
            self.publish()
        self._ready.append(answer)
        self._ended += 1
        self._tokens += tokens
        self._bytes += size
        if time.monotonic() - self._since >= GATHER_SECONDS:
            self.publish()

    def alive(self) -> None:
        """Send what has waited long enough, and tell now and then that the model is at work."""
        now = time.monotonic()
        if now - self._since >= GATHER_SECONDS:
            self.publish()
        if now - self._told_at >= SIGN_SECONDS:
            self._told_at = now
            self._sink.progress(Step(self._ended / self._rows))

    def publish(self) -> None:
        """Send what there is."""
        self._since = time.monotonic()
        if self._ready:
            self._sink.publish(Delta(part=Rows(tuple(self._ready)), tokens=self._tokens))
            self._ready, self._tokens, self._bytes = [], 0, 0
            self._told_at = self._since


def take_turns(query: Query, ask: Ask, sink: Sink, seconds: float) -> Done | None:
    """Have each row of a query answered in turn; return what they took, or ``None`` if cancelled.

    None but the first begins when `seconds` are over.

    Raises
    ------
    Exception
        The first row raised it, and another attempt may do better.
    """
    begun, gathered, dones = time.monotonic(), _Gathered(sink, len(query.rows)), []
    reason = "stop"
    for at, row in enumerate(query.rows):
        if at and time.monotonic() - begun > seconds:
            reason = OUT_OF_TIME
            break
        said = _Answer(gathered.alive)
        try:
            done = ask(query.of_row(row.text), said)
            if done is None:
                gathered.publish()
                return None
            gathered.add(RowAnswer(at, said.parts, done.finish_reason), said.tokens)
            dones.append(done)
        except LASTING as error:
            gathered.add(RowAnswer(at, error=error.info()))
        except Exception:
            if not at:
                raise
            log.warning("row %d failed: the rest is left to another attempt", at, exc_info=True)
            reason = OUT_OF_TIME
            break
    gathered.publish()
    return Done(_sum(dones), reason, dones[0].weights if dones else "")


def _sum(dones: Sequence[Done]) -> Usage:
    names = [name for name in Usage.__struct_fields__ if name not in ("rows", "estimated")]
    figures = {name: sum(getattr(done.usage, name) for done in dones) for name in names}
    estimated = any(done.usage.estimated for done in dones)
    return Usage(**figures, rows=len(dones), estimated=estimated)
