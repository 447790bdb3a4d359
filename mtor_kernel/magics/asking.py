"""Ask a question and show its answer as it comes; an interrupt takes it back.

All of this waits in the cell's own thread: what IPython shows belongs to the cell that asked.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from mtor_kernel.client import Realm, Reply, RunningQuery
from mtor_kernel.magics.bundle import bundle, reply_bundle
from mtor_kernel.magics.display import Display
from mtor_kernel.magics.failure import explained
from mtor_kernel.magics.story import WAITING, Story
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.ngram import QueryEvent
from mtor_kernel.protocol.query import Query

#: The longest wait in one piece, in seconds: an interrupt is looked for in between.
SLICE_SECONDS = 0.2
#: How long an interrupted question waits to hear what it cost, in seconds.
CONFIRM_SECONDS = 1.0


def ask(realm: Realm, query: Query, display: Display) -> Reply:
    """Have `query` answered on `display` and return the answer.

    Raises
    ------
    RealmError
        There is none; says why and what to do. What had come stays on the display.
    KeyboardInterrupt
        The query was cancelled because the cell was interrupted.
    """
    story = Story()
    display.show(story)
    try:
        with interruptible():
            reply = _answer(realm, query, story, display)
    except (RealmError, KeyboardInterrupt) as error:
        display.finish(bundle(story.text, story.note))
        raise explained(error, story.note) from None
    display.finish(reply_bundle(reply))
    return reply


def _answer(realm: Realm, query: Query, story: Story, display: Display) -> Reply:
    story.note = "not asked · nothing charged"
    running = realm.submit(query)
    story.note = WAITING
    events = Events(running)
    try:
        while story.end is None:
            if (event := events.next(display.due_seconds())) is not None:
                story.hear(event)
            display.show(story)
        return running.answer()
    except KeyboardInterrupt:
        _take_back(running, events, story)
        raise
    except RealmError:
        if story.end is None:
            story.note = "broken off · %mtor history tells what came of it"
        raise


def _take_back(running: RunningQuery, events: Events, story: Story) -> None:
    """Cancel a query, and tell in `story` what came of it."""
    story.note = "cancelling · %mtor history will tell what it cost"
    if running.cancel(confirm_seconds=CONFIRM_SECONDS):
        while story.end is None and (event := events.next(SLICE_SECONDS)) is not None:
            story.hear(event)


class Events:
    """The events of a query, each waited for as long as one likes. Read by a thread of its own."""

    def __init__(self, running: RunningQuery) -> None:
        self._heard: SimpleQueue[QueryEvent | BaseException] = SimpleQueue()
        threading.Thread(target=self._read, args=[running], name="mtor-events", daemon=True).start()

    def next(self, seconds: float | None) -> QueryEvent | None:
        """Return the next event, or ``None`` where none came in time.

        Raises
        ------
        RealmError
            There will be none: the realm was lost.
        """
        try:
            event = self._heard.get(timeout=SLICE_SECONDS if seconds is None else seconds)
        except Empty:
            return None
        if isinstance(event, BaseException):
            raise event
        return event

    def _read(self, running: RunningQuery) -> None:
        try:
            for event in running.events():
                self._heard.put(event)
        except BaseException as error:  # noqa: BLE001 - raised again by `next`, where somebody waits
            self._heard.put(error)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have an interrupt raise :class:`KeyboardInterrupt` here, in a cell that awaits too.

    While a cell awaits, ipykernel turns an interrupt into the cancel of its coroutine, which code
    that does not await never notices. In another thread than the main one this does nothing:
    signals do not arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
