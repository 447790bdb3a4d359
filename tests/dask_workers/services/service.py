"""A remote service's double: real HTTP on loopback, in the service's own wire format."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

#: The longest that a test waits for something that must happen.
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back: more than one piece is streamed."""

    pieces: Iterable[bytes]
    mime: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """How it goes wrong. The default is not at all."""

    #: Answer with this status, and these headers.
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    #: After so many pieces: say nothing more until the other side hangs up, or break off.
    silent_after: int | None = None
    broken_after: int | None = None
    #: Answer 200, and then what is no JSON.
    malformed: bool = False


class Service:
    """Answers by :meth:`reply`, or goes wrong by its `fault`."""

    #: What follows the server's address in the URL that clients are given.
    root = ""

    def __init__(self) -> None:
        self.fault = Fault()
        #: Every request, in the order in which they came.
        self.asked: queue.Queue[Asked] = queue.Queue()
        #: One entry for each time that the other side hung up on a silence.
        self.hung_up: queue.Queue[Asked] = queue.Queue()
        self._open: set[socket.socket] = set()
        self._server = _Server(self)
        self._scheme = "http"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}{self.root}"

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"

    def reply(self, asked: Asked) -> Reply:
        """Answer a request as the service does."""
        raise NotImplementedError

    def error(self, status: int, message: str) -> Any:
        """Return the body by which the service tells an error."""
        return {"error": {"message": message, "type": "error", "code": status}}

    def next_asked(self) -> Asked:
        return self.asked.get(timeout=WAIT_SECONDS)

    def forget(self) -> None:
        """Be well again, and forget what was asked."""
        self.fault = Fault()
        for one in (self.asked, self.hung_up):
            with contextlib.suppress(queue.Empty):
                while True:
                    one.get_nowait()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, service: Service) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients of these tests hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.service._open.add(self.connection)

    def finish(self) -> None:
        self.server.service._open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""

    def handle_any(self) -> None:
        service, fault = self.server.service, self.server.service.fault
        body = self._body()
        asked = Asked(self.command, self.path, self.headers, body)
        service.asked.put(asked)
        if fault.status:
            # A careless service: it tells the credential that it was given.
            credential = self.headers.get("Authorization") or self.headers.get("x-api-key") or ""
            told = service.error(fault.status, f"it is not well ({credential} from {self.path})")
            self._send(Reply([json.dumps(told).encode()], status=fault.status), fault.headers)
        elif fault.malformed:
            self._send(service.reply(asked), {}, _malform)
        elif fault.silent_after is not None or fault.broken_after is not None:
            self._go_wrong(service, asked, fault)
        else:
            self._send(service.reply(asked), {})

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = handle_any  # noqa: N815 - the library's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _send(
        self,
        reply: Reply,
        headers: dict[str, str],
        change: Any = lambda piece: piece,
    ) -> None:
        self._begin(reply, headers)
        for piece in reply.pieces:
            self._piece(change(piece))
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, reply: Reply, headers: dict[str, str]) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.mime)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in {**reply.headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _piece(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _go_wrong(self, service: Service, asked: Asked, fault: Fault) -> None:
        self.close_connection = True
        try:
            after = fault.broken_after if fault.silent_after is None else fault.silent_after
            self._say_some(service, asked, after or 0)
            if fault.broken_after is not None:
                reset = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                self.connection.close()
                return
            while self.connection.recv(1024):
                pass
        except OSError:
            pass  # the other side did not even listen so far
        service.hung_up.put(asked)

    def _say_some(self, service: Service, asked: Asked, count: int) -> None:
        """Say `count` pieces of the answer; of one that is of one piece, half of it."""
        if not count:
            return
        reply = service.reply(asked)
        self._begin(reply, {})
        whole = list(reply.pieces)
        half = whole[0][: len(whole[0]) // 2]
        for piece in whole[:count] if len(whole) > 1 else [half]:
            self._piece(piece)


def _malform(piece: bytes) -> bytes:
    """Take the sense out of JSON, and out of anything else."""
    return piece.replace(b"{", b"<", 1) if b"{" in piece else b"<html>It works!</html>"
