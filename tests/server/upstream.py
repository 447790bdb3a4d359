"""What stands behind the relay in its tests: remembers what it was sent, answers on command."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import ErrorInfo
from tests.ports import free_port

#: A flood is 128 MiB.
PIECE_BYTES = 1024 * 1024
FLOOD_PIECES = 128


class Upstream:
    """A server with one token. The prefix shows that a realm need not live at the root."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self.requests: list[HTTPServerRequest] = []
        self.bodies: list[bytes] = []
        #: The events of `events` that are told; ``None`` ends them.
        self.events: asyncio.Queue[str | None] = asyncio.Queue()
        #: Set when a listener has left.
        self.left = asyncio.Event()
        #: Set when the first piece of a body has come.
        self.receiving = asyncio.Event()
        #: Pieces of a flood that were taken.
        self.flooded = 0
        self.frames: list[str | bytes] = []
        self.socket: Socket | None = None
        self.socket_closed: asyncio.Future[tuple[int | None, str | None]]
        #: What everybody is refused with.
        self.refusal: ErrorInfo | None = None
        #: The same after a stop.
        self.port = free_port()
        self._server: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realm/"

    async def start(self) -> Upstream:
        self.socket_closed = asyncio.get_running_loop().create_future()
        shared: dict[str, Any] = {"upstream": self}
        routes = [
            (r"/realm/ngram", Socket),
            (r"/realm/api/events", Events),
            (r"/realm/api/broken", Broken),
            (r"/realm/api/flood", Flood),
            (r"/realm/api/blobs", Blobs),
            (r"/realm/api/elsewhere", Elsewhere),
            (r"/.*", Echo),
        ]
        self._server = HTTPServer(Application([(path, kind, shared) for path, kind in routes]))
        self._server.add_sockets(bind_sockets(self.port, "127.0.0.1"))
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.stop()
        if self.socket is not None and self.socket.ws_connection is not None:
            self.socket.ws_connection.stream.close()
        await self._server.close_all_connections()


class Gate(RequestHandler):
    def initialize(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def prepare(self) -> None:
        self.upstream.requests.append(self.request)
        self.set_header("Set-Cookie", "upstream=1")
        self.set_header("Content-Security-Policy", "default-src *")
        if self.request.headers.get("Authorization") != f"Bearer {self.upstream.token}":
            self.set_header("WWW-Authenticate", "Bearer")
            self.set_status(401)
            self.finish({"error": {"code": "unauthenticated", "message": "Who?"}})
        elif self.upstream.refusal is not None:
            self.set_status(403)
            self.finish(encode({"error": self.upstream.refusal}))


class Echo(Gate):
    """Says what it was sent."""

    def answer(self) -> None:
        self.upstream.bodies.append(self.request.body)
        self.set_status(202)
        self.set_header("X-Realm", "yes")
        self.set_header("Location", "/realm/api/queries/1")
        self.write(self.request.body or b"nothing")

    get = head = post = put = patch = delete = answer


class Events(Gate):
    """Server-sent events, one at a time."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        while (event := await self.upstream.events.get()) is not None:
            self.write(f"data: {event}\n\n")
            await self.flush()

    def on_connection_close(self) -> None:
        self.upstream.left.set()


class Broken(Gate):
    """Dies in mid-answer."""

    async def get(self) -> None:
        self.set_header("Content-Length", "1000")
        self.write(b"the beginning")
        await self.flush()
        self.detach().close()


class Flood(Gate):
    """Sends more than any buffer on the way holds, as fast as it is taken."""

    async def get(self) -> None:
        for _ in range(FLOOD_PIECES):
            self.write(bytes(PIECE_BYTES))
            await self.flush()
            self.upstream.flooded += 1


@stream_request_body
class Blobs(Gate):
    """Counts what comes, as it comes."""

    def prepare(self) -> None:
        self.size = 0
        super().prepare()

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.upstream.receiving.set()

    def post(self) -> None:
        self.finish({"size": self.size})


class Elsewhere(Gate):
    def get(self) -> None:
        self.redirect("http://169.254.169.254/")


class Socket(Gate, WebSocketHandler):
    """Says back what it hears, and closes when told."""

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        return subprotocols[0]

    def open(self, *args: str) -> None:
        self.upstream.socket = self

    async def on_message(self, message: str | bytes) -> None:
        self.upstream.frames.append(message)
        if message == "close":
            self.close(4321, "as told")
        else:
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        if not self.upstream.socket_closed.done():
            self.upstream.socket_closed.set_result((self.close_code, self.close_reason))
