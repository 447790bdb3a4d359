"""One thread that calls back at a given time: no event loop, however many streams there are."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Alarm:
    """Runs actions at their time, one after the other, in a thread of its own.

    An action that waits makes the others late. The thread lives from the first :meth:`at` to
    :meth:`close`, and never keeps a process alive.
    """

    def __init__(self, name: str = "mtor-alarm") -> None:
        self._name = name
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have `action` called at `when` on the monotonic clock; not at all once closed."""
        with self._changed:
            if self._closed:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # fails where there may be no more: the next one tries again
                self._thread = thread
            first = not self._waiting or when < self._waiting[0][0]
            heapq.heappush(self._waiting, (when, next(self._count), action))
            if first:
                self._changed.notify()

    def close(self) -> None:
        """Forget what is waiting and let the thread end."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:
                log.exception("an action of %s failed", self._name)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if not self._waiting:
                    self._changed.wait()
                elif (left := self._waiting[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._waiting)[2]
        return None
