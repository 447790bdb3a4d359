"""The attempts that run in one worker, and the flag that stops each of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from dask_workers.blobs import Blobs
from dask_workers.flag import CancelFlag
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.link import AttemptRef

#: Cancels remembered for attempts that have not started here; the oldest is forgotten.
REMEMBERED = 4096


class Attempt(CancelFlag):
    """One attempt under way: its cancel flag, and what its backend may ask of the worker.

    This is the :class:`~mtor_kernel.protocol.backend.Context` that a backend sees.
    """

    def __init__(self, ref: AttemptRef, blobs: Callable[[], Blobs | None] = lambda: None) -> None:
        super().__init__()
        self.ref = ref
        self._blobs = blobs
        #: On the monotonic clock.
        self.started_at = time.monotonic()
        #: Sends its answer so far by the link, again where a connection has been lost.
        self.resend: Callable[[], None] = _nothing

    def read_blob(self, blob: str) -> bytes:
        return self._linked().read(self, blob)

    def write_blob(self, content: bytes, mime: str) -> str:
        return self._linked().write(self, content, mime)

    def _linked(self) -> Blobs:
        blobs = self._blobs()
        if blobs is None:
            raise Unavailable("The worker has no link to a gateway, and no blobs: ask again.")
        return blobs


def _nothing() -> None:
    """Nothing was said yet."""


class Attempts:
    """All attempts of one worker. Safe to use from any thread.

    Of one query at most one attempt goes on: a newer one stops an older one, whichever comes first.
    A cancel that comes before its attempt is kept for it.

    Parameters
    ----------
    blobs
        Returns the blobs of the gateway that the worker is linked to, if it is.
    """

    def __init__(self, blobs: Callable[[], Blobs | None] = lambda: None) -> None:
        self._blobs = blobs
        self._guard = threading.Lock()
        self._running: dict[str, list[Attempt]] = {}
        self._early: OrderedDict[tuple[str, int], str] = OrderedDict()

    def start(self, ref: AttemptRef) -> Attempt:
        """Return the attempt, its flag raised already if it was cancelled or is out of date."""
        attempt = Attempt(ref, self._blobs)
        with self._guard:
            others = self._running.setdefault(ref.query, [])
            others.append(attempt)
            rivals = list(others)
            early = self._early.pop((ref.query, ref.attempt), None)
        if early is not None:
            attempt.cancel(early)
        if len(rivals) > 1:
            _let_only_the_newest_go_on(rivals)
        return attempt

    def end(self, attempt: Attempt) -> None:
        """Forget the attempt."""
        with self._guard:
            others = self._running[attempt.ref.query]
            others.remove(attempt)
            if not others:
                del self._running[attempt.ref.query]

    def cancel(self, query: str, number: int, lost: str = "") -> None:
        """Raise the flag of one attempt, now or when it starts."""
        with self._guard:
            found = [a for a in self._running.get(query, ()) if a.ref.attempt == number]
            if not found:
                self._early[query, number] = lost
                while len(self._early) > REMEMBERED:
                    self._early.popitem(last=False)
        for attempt in found:
            attempt.cancel(lost)

    def cancel_all(self, lost: str, *, started_before: float = float("inf")) -> None:
        """Raise the flag of every attempt that started before a time."""
        for attempt in self.all():
            if attempt.started_at < started_before:
                attempt.cancel(lost)

    def all(self) -> list[Attempt]:
        """Return the attempts under way."""
        with self._guard:
            return [attempt for others in self._running.values() for attempt in others]

    def refs(self) -> tuple[AttemptRef, ...]:
        """Return the attempts that hold a thread, stopped or not, as heartbeats name them."""
        return tuple(attempt.ref for attempt in self.all())


def _let_only_the_newest_go_on(rivals: list[Attempt]) -> None:
    newest = max(_age(rival) for rival in rivals)
    for rival in rivals:
        if _age(rival) < newest:
            rival.cancel("a newer attempt has taken its place")


def _age(attempt: Attempt) -> tuple[int, int]:
    return attempt.ref.epoch, attempt.ref.attempt
