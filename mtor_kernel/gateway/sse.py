"""A response that goes on: server-sent events, for as long as somebody listens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.ngram import RealmNGram

if TYPE_CHECKING:
    from mtor_kernel.realm.followers import Follower


class EventStream(Gate):
    """Follows one query and knows when its client has left."""

    _hearing: asyncio.Task[list[RealmNGram]] | None = None

    def initialize(self) -> None:
        """Nobody has left yet."""
        super().initialize()
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_connection_close(self) -> None:
        """The client has left: whoever waits for news on its behalf is woken."""
        if not self._left.done():
            self._left.set_result(None)
        super().on_connection_close()

    @property
    def left(self) -> bool:
        """Whether the client has left."""
        return self._left.done()

    async def hear(self, follower: Follower, patience: float | None) -> list[RealmNGram]:
        """Return what is new; nothing after `patience` seconds, or when the client leaves.

        ``None`` is patience without end. Look at :attr:`left`.
        """
        if self._hearing is None:
            self._hearing = asyncio.create_task(follower.next())
        either: set[asyncio.Future[Any]] = {self._hearing, self._left}
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self.left or not self._hearing.done():
            return []
        heard, self._hearing = self._hearing, None
        return heard.result()

    def stop_hearing(self, follower: Follower) -> None:
        """Wait for nothing any more."""
        if self._hearing is not None:
            self._hearing.cancel()
        follower.close()

    def begin(self) -> None:
        """Announce an event stream."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        # Proxies like nginx would otherwise hold events back until a buffer is full.
        self.set_header("X-Accel-Buffering", "no")

    async def beat(self) -> None:
        """Send a comment, so that nobody on the way takes silence for an end."""
        await self.push(b": waiting\n\n")


def event(data: bytes, *, name: str = "", id: str = "") -> bytes:
    """Return one event; `data` is JSON on one line."""
    head = (f"id: {id}\n" if id else "") + (f"event: {name}\n" if name else "")
    return b"%bdata: %b\n\n" % (head.encode(), data)
