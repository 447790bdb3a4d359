"""A cable between a client and a realm, which can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Cable:
    """Passes bytes both ways between any number of connections and one port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.url = ""
        #: Connections so far.
        self.connections = 0

    async def lay(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def cut(self) -> None:
        """Break all connections, with whatever is on its way in them."""
        for end in list(self._ends):
            end.transport.abort()

    async def take_away(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._ends |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._ends.discard(sink)


@contextlib.asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[Cable]:
    """A cable to the port of `url`."""
    port = urlsplit(url).port
    assert port is not None
    cable = Cable(port)
    await cable.lay()
    try:
        yield cable
    finally:
        await cable.take_away()
