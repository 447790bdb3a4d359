"""A question on its way, carried by a thread of its own."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from mtor_kernel.client import Realm, Reply, RunningQuery
from mtor_kernel.protocol.ngram import QueryEvent
from mtor_kernel.protocol.query import Query

#: The longest wait in one piece, in seconds: an interrupt is looked for in between.
SLICE_SECONDS = 0.2


class Asked:
    """A question on its way, carried by a thread of its own.

    An interrupt may strike the cell's thread between any two steps. Here it finds nothing half
    done: once :meth:`cancel` was called the query ends, also if it is admitted only later.
    """

    def __init__(self, realm: Realm, query: Query) -> None:
        self._realm = realm
        self._query = query
        self._running: RunningQuery | None = None
        self._unwanted = False
        self._news: SimpleQueue[QueryEvent | Reply | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._carry, name="mtor-query", daemon=True)

    @property
    def replayed(self) -> bool:
        """Whether its answer is recorded, so that the realm is not asked."""
        replay = self._realm.replay
        return replay is not None and (replay.only or replay.plays(self._query))

    @property
    def admitted(self) -> bool:
        """Whether the realm has said that it will be answered."""
        return self._running is not None

    def start(self) -> None:
        """Send it off."""
        self._thread.start()

    def next(self, seconds: float | None) -> QueryEvent | Reply | None:
        """Return what happens next, and last of all the answer; ``None``: nothing did in time.

        Raises
        ------
        RealmError
            It was refused, or ended without an answer, or the realm is lost.
        """
        wait = SLICE_SECONDS if seconds is None else min(seconds, SLICE_SECONDS)
        try:
            news = self._news.get(timeout=wait)
        except Empty:
            return None
        if isinstance(news, BaseException):
            raise news
        return news

    def cancel(self) -> None:
        """Have it end without an answer. Its end is told by :meth:`next`."""
        self._unwanted = True
        if self._running is not None:
            self._running.cancel(confirm_seconds=0)

    def _carry(self) -> None:
        try:
            self._running = running = self._realm.submit(self._query)
            if self._unwanted:
                running.cancel(confirm_seconds=0)
            for event in running.events():
                self._news.put(event)
            self._news.put(running.answer())
        except BaseException as error:  # noqa: BLE001 - raised again by `next`, in the cell's thread
            self._news.put(error)
