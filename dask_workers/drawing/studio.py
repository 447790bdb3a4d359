"""One thread that draws, and the queries that wait for it.

Only one drawing runs on a device at a time: two would take turns and need twice the memory. What
comes while it runs is gathered, and what of it has the same manner is drawn together next, oldest
first. Each query keeps its own seed, its own progress and its own cancel: one that leaves is
forgotten at once, and a drawing that nobody waits for is broken off between two steps. Pictures
become files in the threads of those who wait, so that the device does not wait for that.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from PIL import Image as Picture

from dask_workers.drawing.orders import Manner, Order
from dask_workers.drawing.previews import png_of, small_png
from mtor_kernel.protocol.backend import Context, Step
from mtor_kernel.protocol.errors import BackendFailed, RealmError, Unavailable, from_info

log = logging.getLogger(__name__)


class Drawing(NamedTuple):
    """A finished picture, as PNG; empty where the model's own filter hid it."""

    png: bytes


class _Stage(NamedTuple):
    """How far a drawing is."""

    step: int
    steps: int
    preview: Picture.Image | None


class _End(NamedTuple):
    """A drawing's end; ``None`` where the model's own filter hid it."""

    picture: Picture.Image | None


class Abandoned(Exception):
    """Nobody waits for this drawing any more."""


#: Told after each step: the step's number from 1, of how many, and what there is of each order
#: so far, if that is to be shown. Raises :class:`Abandoned`.
Watch = Callable[[int, int, Sequence[Picture.Image]], None]


class Artist(Protocol):
    """What draws orders of one manner together."""

    def draw(self, orders: Sequence[Order], watch: Watch) -> list[Picture.Image | None]:
        """Return a picture for each, ``None`` for one that the model's own filter hides.

        Raises
        ------
        MemoryError
            They do not fit together.
        """

    def rest(self) -> None:
        """Give back what memory is not needed between two drawings."""

    def leave(self) -> None:
        """Give all memory back: nothing is drawn any more."""


class _Visit:
    """One query that waits for its picture."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.gone = False
        #: ``None``: it has left, or the studio has closed.
        self.events: SimpleQueue[_Stage | _End | Exception | None] = SimpleQueue()

    def leave(self) -> None:
        self.gone = True
        self.events.put(None)


class Studio:
    """Draws for many, with one artist."""

    def __init__(
        self,
        artist: Artist,
        *,
        most: int = 1,
        gather_seconds: float = 0.0,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Open it.

        Parameters
        ----------
        most
            Orders that are drawn together at most.
        gather_seconds
            How long an idle artist waits for company of the first order.
        begin
            Called once in the thread that draws.
        """
        self._artist = artist
        self._most = most
        self._gather_seconds = gather_seconds
        self._begin = begin
        #: Of a manner that did not fit: how many are tried together since.
        self._fitting: dict[Manner, int] = {}
        self._changed = threading.Condition()
        self._waiting: list[_Visit] = []
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="mtor-studio", daemon=True)
        self._thread.start()

    def visit(self, order: Order, context: Context) -> Iterator[Step | Drawing]:
        """Yield the order's progress, then its drawing; nothing more once it is cancelled.

        Raises
        ------
        MemoryError
            It does not fit, alone either.
        RealmError
            For a sentence that the user may see.
        """
        visit = _Visit(order)
        with self._changed:
            if self._closed:
                raise Unavailable("The model is leaving memory: ask again.")
            self._waiting.append(visit)
            self._changed.notify_all()
        context.on_cancel(visit.leave)
        try:
            while (event := visit.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, _End):
                    yield Drawing(b"" if event.picture is None else png_of(event.picture))
                    return
                yield _shown(event, order.seed)
        finally:
            visit.leave()
        if not context.cancelled:
            raise Unavailable("The model left memory while it drew: ask again.")

    def close(self) -> None:
        """Send everybody away and wait until the drawing under way has been broken off."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for visit in waiting:
            visit.leave()
        self._thread.join()
        self._artist.leave()

    def _work(self) -> None:
        try:
            if self._begin is not None:
                self._begin()
        except Exception:
            log.exception("the thread that draws could not be prepared")
        while (batch := self._next()) is not None:
            try:
                self._draw(batch)
            except Exception as error:  # giving memory back fails too, once a device has failed
                log.exception("the device could not be tidied up after a drawing")
                for visit in batch:
                    visit.events.put(_of_its_own(error))

    def _next(self) -> list[_Visit] | None:
        """Wait for somebody and return those that are drawn together; ``None`` at the end."""
        with self._changed:
            if not self._company() and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._company())
                self._changed.wait_for(
                    lambda: self._closed or len(self._company()) >= self._most,
                    self._gather_seconds if self._most > 1 else 0,
                )
            if self._closed:
                return None
            company = self._company()
            self._waiting = [visit for visit in self._waiting if visit not in company]
            return company

    def _company(self) -> list[_Visit]:
        here = [visit for visit in self._waiting if not visit.gone]
        if not here:
            return []
        manner = here[0].order.manner
        alike = [visit for visit in here if visit.order.manner == manner]
        return alike[: min(self._most, self._fitting.get(manner, self._most))]

    def _draw(self, batch: list[_Visit]) -> None:
        batch = [visit for visit in batch if not visit.gone]
        if not batch:
            return
        failure: Exception | None = None
        try:
            drawn = self._artist.draw(
                [visit.order for visit in batch], lambda *told: self._tell(batch, *told)
            )
            for visit, picture in zip(batch, drawn, strict=True):
                visit.events.put(_End(picture))
        except Abandoned:
            pass
        except Exception as error:
            if not isinstance(error, MemoryError | RealmError):
                log.exception("a drawing failed")
            # Without its traceback: that holds the arrays that did not fit.
            failure = error.with_traceback(None)
        if isinstance(failure, MemoryError) and len(batch) > 1:
            self._halve(batch)
        elif failure is not None:
            for visit in batch:
                visit.events.put(_of_its_own(failure))
        if failure is not None or not self._waiting:
            gc.collect(0)
            self._artist.rest()

    def _halve(self, batch: list[_Visit]) -> None:
        half = len(batch) // 2
        log.warning("%d drawings did not fit together: trying %d", len(batch), len(batch) - half)
        self._fitting[batch[0].order.manner] = max(1, half)
        gc.collect()
        self._artist.rest()
        for part in (batch[:half], batch[half:]):
            self._draw(part)

    def _tell(
        self, batch: list[_Visit], step: int, steps: int, previews: Sequence[Picture.Image]
    ) -> None:
        if self._closed or all(visit.gone for visit in batch):
            for visit in batch:
                visit.leave()
            raise Abandoned
        for place, visit in enumerate(batch):
            visit.events.put(_Stage(step, steps, previews[place] if previews else None))


def _shown(stage: _Stage, seed: int) -> Step:
    note = f"step {stage.step} of {stage.steps}, seed {seed}"
    preview = b"" if stage.preview is None else small_png(stage.preview)
    return Step(stage.step / (stage.steps + 1), note, preview)


def _of_its_own(error: Exception) -> Exception:
    """Return the error for one of several who are told it, each in a thread of their own."""
    if isinstance(error, RealmError):
        return from_info(error.info())
    if isinstance(error, MemoryError):
        return MemoryError()
    return BackendFailed(
        f"The pipeline failed ({type(error).__name__}): try again, or ask the sysop to look into "
        "the worker's log."
    )
