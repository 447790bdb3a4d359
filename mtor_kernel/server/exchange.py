"""One HTTP request to the realm and its answer, both passed on piece by piece.

Tornado's HTTP client can't be used: it hands the pieces of an answer to a callback that it doesn't
wait for, so for a browser that reads slowly the whole answer would be kept in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient

from mtor_kernel.client.http import ssl_context
from mtor_kernel.locate import Address

#: How long the realm may take to accept a connection, in seconds.
CONNECT_SECONDS = 5.0
#: The most of an answer that passes through; none of it is kept.
MAX_ANSWER_BYTES = 2**40


class Listener(Protocol):
    """Who the answer is for. What these return is awaited before more is read."""

    def begin(self, status: int, reason: str, headers: HTTPHeaders) -> Awaitable[None]:
        """The answer begins."""

    def piece(self, data: bytes) -> Awaitable[None]:
        """It goes on."""


class Exchange(HTTPMessageDelegate):
    """One request under way. Open it, send the body, then wait for :meth:`answer`."""

    def __init__(self, connection: HTTP1Connection, listener: Listener) -> None:
        self._connection = connection
        self._listener = listener
        self._whole = False

    @classmethod
    async def open(
        cls, address: Address, method: str, target: str, headers: HTTPHeaders, listener: Listener
    ) -> Exchange:
        """Connect to the realm and send the head of a request; `target` is relative to its root.

        Raises
        ------
        OSError
            It can't be reached.
        """
        place = urlsplit(address.url)
        tls = ssl_context(address.url, None)
        stream = await TCPClient().connect(
            place.hostname or "",
            place.port or (443 if tls else 80),
            ssl_options=tls,
            timeout=CONNECT_SECONDS,
        )
        stream.set_nodelay(True)
        parameters = HTTP1ConnectionParameters(
            no_keep_alive=True, max_body_size=MAX_ANSWER_BYTES, decompress=False
        )
        connection = HTTP1Connection(stream, is_client=True, params=parameters)
        headers["Host"] = place.netloc
        headers["Connection"] = "close"
        headers["Authorization"] = f"Bearer {address.token}"
        start = RequestStartLine(method, place.path + target, "HTTP/1.1")
        await connection.write_headers(start, headers)
        return cls(connection, listener)

    async def send(self, data: bytes) -> None:
        """Send a piece of the body. Once the realm takes no more, drop it: `answer` will tell."""
        with suppress(StreamClosedError):
            await self._connection.write(data)

    async def answer(self) -> bool:
        """End the body and pass the answer on; tell whether all of it came."""
        try:
            with suppress(StreamClosedError):
                self._connection.finish()
                await self._connection.read_response(self)
        finally:
            self.close()
        return self._whole

    def close(self) -> None:
        """Let go of it, wherever it stands."""
        self._connection.close()

    # What the connection calls.

    async def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code >= 200:
            await self._pass(self._listener.begin(start_line.code, start_line.reason, headers))

    async def data_received(self, chunk: bytes) -> None:
        await self._pass(self._listener.piece(chunk))

    def finish(self) -> None:
        self._whole = True

    def on_connection_close(self) -> None:
        """The realm hung up in mid-answer: :meth:`answer` tells."""

    async def _pass(self, taken: Awaitable[None]) -> None:
        try:
            await taken
        except StreamClosedError:
            self.close()  # who asked has left
