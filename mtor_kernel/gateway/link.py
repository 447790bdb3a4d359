"""``link``: the WebSocket of the workers, which dial in and keep it.

Chunks are the bulk of it, so the way of a frame is short and without waiting: decode, hand on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from tornado.websocket import WebSocketClosedError

from mtor_kernel.gateway.upgrade import POLICY, TOO_BIG, Socket
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import BadInput, Denied, RealmError, TooLarge
from mtor_kernel.protocol.identity import SCOPE_LINK, User
from mtor_kernel.protocol.link import LinkNGram, WorkerHello, WorkerNGram

if TYPE_CHECKING:
    from mtor_kernel.realm.workers import Link

log = logging.getLogger(__name__)

#: Frames that could not be read after which a worker is not listened to any more.
MAX_MALFORMED = 5
#: N-grams to a worker that it has not read, after which it is cut off: its leases tell the rest.
MAX_UNREAD = 10_000


class WorkerSocket(Socket):
    """One worker."""

    scope = SCOPE_LINK
    kind = "worker"

    _link: Link | None = None
    _misheard = 0
    _unread = 0

    async def recognise(self) -> User:
        """Return the worker's identity: it is no person, and the realm keeps no account of it."""
        user = await self.gateway.who.identify(self)
        user.require(self.scope)
        return user

    def opened(self) -> None:
        """Wait for its hello, not for ever."""
        self._late = asyncio.get_running_loop().call_later(
            self.gateway.limits.hello_seconds, self.close, POLICY, "no hello in time"
        )

    def on_message(self, message: str | bytes) -> None:
        """Hand on what it says."""
        try:
            said: WorkerNGram = self.heard(message, WorkerNGram)
            if self._link is None:
                self._join(said)
            else:
                self._link.heard(said)
        except RealmError as error:
            self._complain(error)

    def closed(self) -> None:
        """Tell the realm that it is gone."""
        self._late.cancel()
        if self._link is not None:
            self._link.left()

    def _join(self, said: WorkerNGram) -> None:
        if not isinstance(said, WorkerHello):
            raise BadInput("A worker says hello first.")
        self._link = self.gateway.realm.workers.join(said, self._send, self._end)
        self._late.cancel()

    def _end(self) -> None:
        self.close(POLICY, "the sysop has removed this worker")

    def _complain(self, error: RealmError) -> None:
        if isinstance(error, Denied):
            self.turn_away(error)
            return
        self._misheard += 1
        self.gateway.counters.malformed.labels(self.kind).inc()
        log.warning("a worker's frame was refused: %s", error.message)
        if isinstance(error, TooLarge):
            self.turn_away(error, TOO_BIG)
        elif self._link is None or self._misheard >= MAX_MALFORMED:
            self.turn_away(error)

    def _send(self, ngram: LinkNGram) -> None:
        """Say something to the worker, without waiting; of a link that is gone it is lost."""
        if self._unread >= MAX_UNREAD:
            self.close(POLICY, "you do not read what you are sent")
            return
        try:
            written = self.write_message(encode(ngram))
        except WebSocketClosedError:
            return
        self._unread += 1
        written.add_done_callback(self._was_read)

    def _was_read(self, written: asyncio.Future[None]) -> None:
        self._unread -= 1
        # Looked at, so that asyncio does not complain of a link that was lost just then.
        _ = written.cancelled() or written.exception()
