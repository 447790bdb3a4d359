"""The flag by which a query is stopped, and what is called when it is raised."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class CancelFlag:
    """Raised once, from any thread. The cancel half of what a backend sees as its context."""

    def __init__(self) -> None:
        #: Why nobody waits for the answer here any more; empty when its owner cancelled it.
        self.lost = ""
        self._raised = False
        self._guard = threading.Lock()
        self._stops: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._raised

    def cancel(self, lost: str = "") -> None:
        """Raise the flag, once; never waits. `lost` says why it is not its owner's wish.

        Where no thread can be started, what was to be called is at the next cancel.
        """
        with self._guard:
            if not self._raised:
                self.lost, self._raised = lost, True
            stops, self._stops = self._stops, []
        try:
            while stops:
                # Who cancels may be an event loop or a reader: neither may wait for a backend.
                threading.Thread(
                    target=_call, args=(stops[0],), name="mtor-stop", daemon=True
                ).start()
                del stops[0]
        except RuntimeError:
            with self._guard:
                self._stops = stops
            raise

    def on_cancel(self, stop: Callable[[], None]) -> None:
        with self._guard:
            if not self._raised:
                self._stops.append(stop)
                return
        _call(stop)

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Forget at the end what was to be called on a cancel in between: it is over."""
        with self._guard:
            before = list(self._stops)
        try:
            yield
        finally:
            with self._guard:
                self._stops = [] if self._raised else before


def _call(stop: Callable[[], None]) -> None:
    try:
        stop()
    except Exception:
        log.exception("a backend's on_cancel failed")
