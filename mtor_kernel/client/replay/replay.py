"""Which answers are played, and which are asked for and recorded."""

from __future__ import annotations

import enum
import threading
import time
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from mtor_kernel.client.media import Media
from mtor_kernel.client.replay.book import Book
from mtor_kernel.client.replay.place import UNKNOWN
from mtor_kernel.client.replay.record import Cell, Models, Record, Took, question_of
from mtor_kernel.client.replay.staleness import not_recorded, nothing_taken
from mtor_kernel.client.replay.turn import DeviceTurn, Turn
from mtor_kernel.client.replay.turns import Turns
from mtor_kernel.client.replay.weights import Weights
from mtor_kernel.protocol.errors import BadInput, NotRecorded, RealmError, ReplayDamaged
from mtor_kernel.protocol.ngram import Failed, Settled
from mtor_kernel.protocol.query import Part, Query
from mtor_kernel.protocol.views import ModelInfo


class Mode(enum.StrEnum):
    """What becomes of a question."""

    #: The realm is asked, and nothing is recorded.
    OFF = "off"
    #: What is recorded is played; the rest is asked, and recorded.
    ON = "on"
    #: What is recorded is played, and nothing is asked: no realm, no cost.
    ONLY = "only"
    #: All is asked, and recorded in place of what was.
    ANEW = "anew"


class Replay:
    """The recorded answers of one kernel's notebook, and what is done with them.

    Safe in any thread. A failure to write is a warning: an answer that was paid for is given out.

    Parameters
    ----------
    mode
        See :class:`Mode`.
    find
        Returns the replay file of the notebook, or ``None`` where its name is not known.
    """

    def __init__(
        self, mode: Mode = Mode.OFF, find: Callable[[], Path | None] = lambda: None
    ) -> None:
        self.mode = mode
        #: The cell that runs, and the number of its run.
        self.cell, self.run = Cell(), 0
        #: How many answers were played, and how many recorded, by this kernel.
        self.played = self.recorded = 0
        #: What the models have now, as far as it is known.
        self.weights = Weights()
        self._find = find
        self._book: Book | None = None
        self._turns = Turns()
        self._lock = threading.RLock()
        #: What was asked so far, by question and number, and by question and key.
        self._asked: set[tuple[str, int]] = set()
        self._keys: set[tuple[str, str]] = set()

    @property
    def on(self) -> bool:
        """Whether answers are played or recorded at all."""
        return self.mode is not Mode.OFF

    @property
    def only(self) -> bool:
        """Whether no realm may be asked."""
        return self.mode is Mode.ONLY

    @property
    def book(self) -> Book:
        """The file; raises :class:`BadInput` where nobody knows the notebook's name."""
        if self._book is None:
            found = self._find()
            if found is None:
                raise BadInput(UNKNOWN)
            self._book = Book(found)
        return self._book

    def keep_in(self, path: Path) -> None:
        """Record in this file, and begin to count questions afresh."""
        with self._lock:
            if self._book is None or self._book.path != path:
                self._book = Book(path)
            self._turns = Turns()
            self._asked.clear()
            self._keys.clear()

    def check_may_ask(self) -> None:
        """Raise :class:`NotRecorded` where no realm may be asked for anything."""
        if self.only:
            raise NotRecorded(
                "Recorded answers are replayed here and no realm is asked, and this is not a "
                "question that could be recorded. Write %mtor replay on, or leave MTOR_REPLAY=only "
                "out of the environment."
            )

    def plays(self, query: Query) -> bool:
        """Tell whether the next such question will be played."""
        if not self.on or self.mode is Mode.ANEW:
            return False
        with self._lock:
            question = question_of(query)
            number = self._turns.peek(question, self.cell.id, self.run)
            self._refresh()
            return self._worth_playing(self.book.find(question, number)) is not None

    def turn(self, query: Query, key: str | None) -> Turn:
        """Take a question that is asked now: it is to be played, or else to be recorded.

        Raises
        ------
        NotRecorded
            It is neither; says which cell is stale.
        ReplayDamaged
            The recorded answers cannot be read.
        """
        question, key = question_of(query), key or ""
        with self._lock:
            self._refresh()
            book, cell = self.book, self.cell
            number = self._turns.next(question, cell.id, self.run)
            found = None
            if self.mode is not Mode.ANEW:
                found = self._worth_playing(book.find(question, number, key))
            if found is None and self.only:
                self._turns.give_back(question, number)
                raise not_recorded(book, query, cell, self._asked)
            if found is not None and isinstance(found.end, Failed):
                self._turns.give_back(question, number)  # as when it was asked
            repeated = bool(key) and (question, key) in self._keys
            self._asked.add((question, number))
            self._keys.add((question, key))
            self.played += found is not None
            if found is not None and (warning := self.weights.warning(found)):
                warnings.warn(warning, stacklevel=2)
            return Turn(self, query, question, number, key, cell, found, repeated)

    def give_back(self, turn: Turn) -> None:
        """Have a question that was not answered count as not asked."""
        with self._lock:
            self._turns.give_back(turn.question, turn.number)
            self._keys.discard((turn.question, turn.key))

    def write(
        self,
        turn: Turn,
        end: Settled | Failed,
        parts: tuple[Part, ...],
        media: list[tuple[bytes, str]],
        repeated: bool,
    ) -> None:
        """Record how a question ended, with the media of its answer."""
        with self._lock:
            book = self.book
            if repeated and book.find(turn.question, turn.number, turn.key) is not None:
                return  # one submission, asked for twice: it has its record
            record = Record(
                turn.question, turn.number, turn.query, end, parts, turn.key, repeated, turn.cell,
                time.time(),
            )  # fmt: skip
            try:
                for content, mime in media:
                    book.shelf.keep(content, mime)
                book.add(record)
                self.recorded += 1
                if warning := self.weights.mixture(record, book.records):
                    warnings.warn(warning, stacklevel=2)
            except (OSError, RealmError) as error:
                self.warn(error)

    def warn(self, error: Exception) -> None:
        """Say that an answer could not be recorded."""
        why = error.message if isinstance(error, RealmError) else str(error)
        warnings.warn(f"This answer was not recorded for replay: {why}", stacklevel=2)

    def device_turn(self, device: str) -> DeviceTurn:
        """Take a use of a camera or a microphone: it is played, or else to be recorded.

        Raises
        ------
        NotRecorded
            It is neither.
        ReplayDamaged
            What is recorded cannot be read.
        """
        with self._lock:
            self._refresh()
            number = self._turns.next(device, self.cell.id, self.run)
            turn = DeviceTurn(device, number, self.cell)
            took = None if self.mode is Mode.ANEW else self.book.took(device, number)
            content = self.book.shelf.fetch(took.blob) if took is not None else None
            if took is not None and content is not None:
                turn.found = Media(content, took.mime)
            elif self.only:
                self.not_taken(turn)
                raise nothing_taken(self.book, device, self.cell)
            return turn

    def not_taken(self, turn: DeviceTurn) -> None:
        """Have a use of a device that brought nothing count as none."""
        with self._lock:
            self._turns.give_back(turn.device, turn.number)

    def keep_taken(self, turn: DeviceTurn, media: Media) -> bool:
        """Record what a device has taken; tell whether that could be."""
        blob = sha256(media.content).hexdigest()
        took = Took(turn.device, turn.number, blob, media.mime, turn.cell, time.time())
        with self._lock:
            try:
                self.book.shelf.keep(media.content, media.mime)
                self.book.add(took)
            except (OSError, RealmError) as error:
                self.warn(error)
                return False
        return True

    def keep_models(self, models: list[ModelInfo]) -> None:
        """Record which models there are, if that has changed."""
        self.weights.served(models)
        lasting = tuple(
            ModelInfo(
                model.name,
                model.modality,
                context_tokens=model.context_tokens,
                stands_for=model.stands_for,
            )
            for model in models
        )
        with self._lock:
            self._refresh()
            if self.book.models is None or self.book.models.models != lasting:
                try:
                    self.book.add(Models(lasting))
                except (OSError, RealmError) as error:
                    self.warn(error)

    def models(self) -> list[ModelInfo]:
        """Return the models that there were when it was recorded."""
        with self._lock:
            self._refresh()
            return list(self.book.models.models) if self.book.models else []

    def fetch(self, blob: str) -> bytes | None:
        """Return a recorded picture or sound, if it is here.

        Raises
        ------
        ReplayDamaged
            It is not what it was; or it is gone, and no realm may be asked for it.
        """
        shelf = self.book.shelf
        found = shelf.fetch(blob)
        if found is None and self.only:
            raise ReplayDamaged(
                f"A picture or a sound of an answer is not in {shelf.folder.name} ({blob[:12]}…). "
                "Bring the folder back beside the notebook, or record anew: %mtor replay anew."
            )
        return found

    def unasked(self) -> list[Record]:
        """Return the recorded answers that this kernel has not asked for, in their order."""
        with self._lock:
            self._refresh()
            return [
                record
                for record in self.book.records
                if (record.question, record.number) not in self._asked
            ]

    def _refresh(self) -> None:
        self.book.refresh(shared=not self.only)

    def _worth_playing(self, found: Record | None) -> Record | None:
        """A failure is played only where nobody can be asked again."""
        failed = found is not None and isinstance(found.end, Failed)
        return None if failed and not self.only else found
