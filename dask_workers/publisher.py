"""What one attempt has said so far, and how far the link has taken it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from dask_workers.alarm import Alarm
from mtor_kernel.protocol.backend import Delta, Step
from mtor_kernel.protocol.codec import MAX_DEPTH, MAX_FRAME_BYTES, encode, nests_deeper
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.link import (
    AttemptRef,
    WorkerChunk,
    WorkerNGram,
    WorkerOutcome,
    WorkerProgress,
)
from mtor_kernel.protocol.ngram import MAX_PREVIEW_BYTES
from mtor_kernel.protocol.query import Data, Part, Rows, Text
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.protocol.units import parts_of

#: The first chunk goes at once, and so does any that comes this long after the one before it.
COALESCE_SECONDS = 0.015
#: Characters that go at once, however short the wait was.
COALESCE_CHARACTERS = 1024
#: Between two tellings of how far it is: a backend may say so at every step, with pictures.
PROGRESS_SECONDS = 0.05
#: The longest text of one chunk: six bytes a character in the worst case stay within a frame.
CHUNK_CHARACTERS = 8192
#: The most of an answer that goes along with its outcome, in characters.
LAST_CHARACTERS = 1024
#: More than what a chunk has around its part.
_ENVELOPE_BYTES = 512
#: The levels of an answer's data: the rest is for what every n-gram has around them.
_DATA_DEPTH = MAX_DEPTH - 8


class Wire(Protocol):
    """What a publisher needs of the link."""

    @property
    def connection(self) -> int:
        """Number of the connection that is open, unlike any other; 0 while there is none."""

    def send(self, ngram: WorkerNGram, connection: int) -> bool:
        """Write to that very connection, however long it takes; tell whether it was written."""


class Publisher:
    """The answer of one attempt on its way out.

    Keeps the whole answer, for the outcome, and a cursor to what was not sent yet. While the link
    is down nothing is sent and nobody waits. On a new connection the answer is sent again from its
    beginning: whatever was lost in the old one, the realm misses nothing, and trims repeats by
    their ``seq``. The producer waits for a slow gateway in :meth:`publish`.

    Parameters
    ----------
    alarm
        Sends what waits for more, at its time; ``None``: whoever made it calls :meth:`flush`, and
        the first words wait as well.
    """

    def __init__(self, ref: AttemptRef, wire: Wire, alarm: Alarm | None) -> None:
        #: Output tokens published so far.
        self.tokens = 0
        self._ref = ref
        self._wire = wire
        self._alarm = alarm
        self._lock = threading.Lock()
        # Position of each piece's first unit, and the piece.
        self._pieces: list[tuple[int, str | Part]] = []
        self._position = 0
        self._sent = 0  # pieces that are sent
        self._waiting = 0  # units that are not
        # Whether a part came that no frame can hold: the outcome alone carries it and the rest.
        self._withheld = False
        self._connection = 0
        self._sent_at = float("-inf")
        self._alarmed = False
        # How far it is, where that is not told yet.
        self._step: WorkerProgress | None = None
        self._told_at = float("-inf")
        self._step_alarmed = False

    def begin(self) -> None:
        """Wait from now on for more to send, where nobody is in a hurry for the first words."""
        if self._alarm is None:
            self._sent_at = time.monotonic()

    def publish(self, delta: Delta) -> None:
        """Take the next piece of the answer; send now, or within a few milliseconds."""
        size = size_of(delta)
        with self._lock:
            self._append_text(delta.text)
            if isinstance(delta.part, Text):
                self._append_text(delta.part.text)
            elif delta.part is not None:
                self._withheld |= size > MAX_FRAME_BYTES - _ENVELOPE_BYTES
                self._append(delta.part, 1)
            self.tokens += delta.tokens
            due = self._sent_at + COALESCE_SECONDS
            at_once = delta.part is not None or self._waiting >= COALESCE_CHARACTERS
            if at_once or time.monotonic() >= due:
                self._send()
            elif not self._alarmed and self._alarm is not None:
                self._alarmed = True
                self._alarm.at(due, self.flush)

    def progress(self, step: Step) -> None:
        """Tell how far the attempt is, now or in a moment; of several only the latest is told.

        A preview that is too large stays behind.
        """
        fraction = min(1.0, max(0.0, step.fraction))
        preview = step.preview if len(step.preview) <= MAX_PREVIEW_BYTES else b""
        ref, note = self._ref, step.note[:500]
        with self._lock:
            if not preview and self._step is not None:
                preview = self._step.preview  # not shown yet, and still the latest
            self._step = WorkerProgress(ref.query, ref.attempt, ref.epoch, fraction, note, preview)
            due = self._told_at + PROGRESS_SECONDS
            if time.monotonic() >= due:
                self._tell()
            elif not self._step_alarmed and self._alarm is not None:
                self._step_alarmed = True
                self._alarm.at(due, self._tell_late)

    def flush(self) -> None:
        """Send what is not sent yet."""
        with self._lock:
            self._alarmed = False
            self._tell()
            self._send()

    def _tell_late(self) -> None:
        with self._lock:
            self._step_alarmed = False
            self._tell()

    def _tell(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._told_at = time.monotonic()
            self._wire.send(step, self._wire.connection)

    def finish(self, outcome: Outcome) -> None:
        """Tell how the attempt ended, right after the last of its answer.

        Where the link has not taken all of the answer nothing is told: Dask brings the outcome.
        """
        with self._lock:
            self._tell()
            words = self._last_words()
            if words is None:
                words = ""
                self._send()
            if self._connection and not self._withheld and self._sent == len(self._pieces):
                told = _told(self._ref, self._position, words, outcome)
                self._wire.send(told, self._connection)

    def _last_words(self) -> str | None:
        """Take what is not sent yet, if it is a few words that can go along with the outcome."""
        rest = self._pieces[self._sent :]
        connection = self._wire.connection
        sendable = connection == self._connection or not self._sent
        if not rest or not sendable or not connection or self._withheld:
            return None
        words = [piece for _, piece in rest if isinstance(piece, str)]
        if len(words) < len(rest) or sum(map(len, words)) > LAST_CHARACTERS:
            return None
        self._connection, self._sent = connection, len(self._pieces)
        return "".join(words)

    def parts(self) -> tuple[Part, ...]:
        """Return the whole answer, neighbouring texts joined."""
        with self._lock:
            pieces = [piece for _, piece in self._pieces]
        return parts_of(Text(piece) if isinstance(piece, str) else piece for piece in pieces)

    def _append_text(self, text: str) -> None:
        for start in range(0, len(text), CHUNK_CHARACTERS):
            piece = text[start : start + CHUNK_CHARACTERS]
            self._append(piece, len(piece))

    def _append(self, piece: str | Part, size: int) -> None:
        self._pieces.append((self._position, piece))
        self._position += size
        self._waiting += size

    def _send(self) -> None:
        connection = self._wire.connection
        if connection != self._connection:
            self._connection, self._sent = connection, 0
        if not connection or self._withheld:
            return
        while self._sent < len(self._pieces):
            following, chunk = self._next_chunk()
            if not self._wire.send(chunk, connection):
                return
            self._sent = following
        self._waiting = 0
        self._sent_at = time.monotonic()

    def _next_chunk(self) -> tuple[int, WorkerChunk]:
        """Return the next chunk, and the index of the piece after those it joins."""
        ref, index = self._ref, self._sent
        seq, piece = self._pieces[index]
        if not isinstance(piece, str):
            return index + 1, WorkerChunk(ref.query, ref.attempt, ref.epoch, seq, part=piece)
        words, size = [], 0
        while index < len(self._pieces):
            _, piece = self._pieces[index]
            if not isinstance(piece, str) or size + len(piece) > CHUNK_CHARACTERS:
                break
            words.append(piece)
            size += len(piece)
            index += 1
        return index, WorkerChunk(ref.query, ref.attempt, ref.epoch, seq, "".join(words))


def size_of(delta: Delta) -> int:
    """Return how many bytes a piece of an answer takes; raise where nobody could read it."""
    # What could not travel, such as half a surrogate pair, fails here and not in the link.
    written = encode((delta.text, delta.part))
    if isinstance(delta.part, Data | Rows) and nests_deeper(written, _DATA_DEPTH):
        raise BackendFailed(
            f"The answer nests deeper than {_DATA_DEPTH} levels, and nobody would read it: ask "
            "for another, or tell the sysop."
        )
    return len(written)


def _told(ref: AttemptRef, position: int, words: str, outcome: Outcome) -> WorkerOutcome:
    return WorkerOutcome(
        ref.query,
        ref.attempt,
        ref.epoch,
        position,
        outcome.usage,
        outcome.finish_reason,
        outcome.cancelled,
        outcome.error,
        outcome.retryable,
        outcome.begun,
        outcome.weights,
        words,
    )
