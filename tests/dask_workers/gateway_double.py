"""A gateway that workers can link to: speaks the real protocol, and does nothing but remember."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from tornado import httpserver, netutil, web, websocket

from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.link import (
    LinkNGram,
    WorkerChunk,
    WorkerNGram,
    WorkerOutcome,
    WorkerSeveral,
)
from mtor_kernel.protocol.ngram import SUBPROTOCOL

TOKEN = "the-workers-token"


class Heard(NamedTuple):
    """One n-gram, on which connection it came, and when."""

    connection: int
    ngram: WorkerNGram
    at: float


class GatewayDouble:
    """Listens on a loopback port of its own, in a thread of its own; `with` ends it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.heard: list[Heard] = []
        self._frames: list[WorkerNGram] = []
        self.connections = 0
        self.refused = 0
        self._news = threading.Condition()
        self._sockets: list[_LinkHandler] = []
        self._loop = asyncio.new_event_loop()
        self._listening = netutil.bind_sockets(0, "127.0.0.1")
        self.port = self._listening[0].getsockname()[1]
        self._server: httpserver.HTTPServer | None = None
        self._reading = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._listen)
        self.read(True)

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/link"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def say(self, ngram: LinkNGram) -> None:
        """Tell every linked worker."""
        self.say_raw(encode(ngram).decode())

    def say_raw(self, frame: str) -> None:
        self._call(lambda: [link.write_message(frame) for link in self._sockets])

    def go_away(self) -> None:
        """Die as a killed gateway does: no goodbye, and nobody listens any more."""
        self._call(self._die)

    def come_back(self) -> None:
        """Listen again on the same port."""
        self._listening = netutil.bind_sockets(self.port, "127.0.0.1")
        self._call(self._listen)

    def read(self, on: bool) -> None:
        """Read what comes, or leave it in the sockets."""
        self._call(self._reading.set if on else self._reading.clear)

    def wait(self, wanted: Callable[[list[Heard]], Any], timeout: float = 60) -> Any:
        """Return what `wanted` makes of all that was heard, as soon as that is true."""
        end = time.monotonic() + timeout
        with self._news:
            while not (found := wanted(self.heard)):
                if not self._news.wait(end - time.monotonic()):
                    raise AssertionError(f"not heard in {timeout} s: {self.heard[-5:]}")
            return found

    def wait_for(self, kind: type[WorkerNGram], count: int = 1, timeout: float = 60) -> list[Any]:
        """Return the n-grams of one kind, as soon as there are `count` of them."""

        def enough(heard: list[Heard]) -> list[Any] | None:
            found = [one.ngram for one in heard if isinstance(one.ngram, kind)]
            return found if len(found) >= count else None

        return self.wait(enough, timeout)

    def text_of(self, query: str) -> str:
        """Return a query's text as the realm would join it; a gap is an error."""
        text = ""
        with self._news:
            heard = [heard.ngram for heard in self.heard]
        for said in heard:
            if isinstance(said, WorkerChunk | WorkerOutcome) and said.query == query:
                seq = said.seq if isinstance(said, WorkerChunk) else said.next - len(said.text)
                assert seq <= len(text), f"gap at {len(text)}: {said}"
                text += said.text[len(text) - seq :]
        return text

    def _call(self, action: Callable[[], Any]) -> None:
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(60)

    def _listen(self) -> None:
        application = web.Application([("/link", _LinkHandler, {"gateway": self})])
        self._server = httpserver.HTTPServer(application, ssl_options=self._tls)
        self._server.add_sockets(self._listening)

    def _die(self) -> None:
        if self._server:
            self._server.stop()
        for link in list(self._sockets):
            link.ws_connection.stream.close()

    def frames(self, kind: type[WorkerNGram]) -> list[Any]:
        """Return what has come as such a frame so far; several in one count as that."""
        with self._news:
            return [one for one in self._frames if isinstance(one, kind)]

    def _hear(self, connection: int, frame: str) -> None:
        ngram = decode(frame, WorkerNGram)
        said = ngram.said if isinstance(ngram, WorkerSeveral) else (ngram,)
        with self._news:
            self._frames.append(ngram)
            self.heard += [Heard(connection, one, time.monotonic()) for one in said]
            self._news.notify_all()

    def refuse(self) -> None:
        with self._news:
            self.refused += 1
            self._news.notify_all()


class _LinkHandler(websocket.WebSocketHandler):
    def initialize(self, gateway: GatewayDouble) -> None:
        self.gateway = gateway
        self.number = 0

    def prepare(self) -> None:
        if self.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.gateway.refuse()
            raise web.HTTPError(401)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    def open(self) -> None:
        self.gateway.connections += 1
        self.number = self.gateway.connections
        self.gateway._sockets.append(self)

    async def on_message(self, message: str | bytes) -> None:
        # tornado reads no further frame before this is done: the socket fills up.
        await self.gateway._reading.wait()
        self.gateway._hear(self.number, message)

    def on_close(self) -> None:
        self.gateway._sockets.remove(self)
