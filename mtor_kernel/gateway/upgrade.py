"""What both WebSockets, the clients' and the workers', have in common."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.origin import check_origin
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import BadInput, Malformed, RealmError
from mtor_kernel.protocol.ngram import SUBPROTOCOL

log = logging.getLogger(__name__)

#: Frames up to this size are read, so that who sends one over ``MAX_FRAME_BYTES`` is told why it is
#: refused; at a still larger one the connection is cut.
MAX_READ_BYTES = 4 * MAX_FRAME_BYTES

#: Close codes (RFC 6455, section 7.4).
POLICY, TOO_BIG, FAULT, RESTART = 1008, 1009, 1011, 1012
#: First byte of a text frame that is the last of its message (the same, section 5.2).
_TEXT = 0x81


class Socket(Gate, WebSocketHandler):
    """A WebSocket that speaks n-grams, for whoever may and from where it may."""

    #: Who is at the other end, for the counters.
    kind: ClassVar[str]
    _is_open = False

    async def admit(self) -> None:
        """Let in only what is a WebSocket of ours, from the realm's own pages or from no page."""
        await super().admit()
        if self.request.method != "GET":
            raise HTTPError(405)
        headers = self.request.headers
        check_origin(headers.get("Origin"), self.request.host, self.gateway.allowed_origins)
        if headers.get("Upgrade", "").lower() != "websocket":
            raise BadInput("This address is a WebSocket: open it as one.")
        offered = headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in [name.strip() for name in offered.split(",")]:
            raise BadInput(f"Open this WebSocket with the subprotocol {SUBPROTOCOL}.")

    def select_subprotocol(self, subprotocols: list[str]) -> str:
        """Choose the only one that there is."""
        return SUBPROTOCOL

    def check_origin(self, origin: str) -> bool:
        """Agree: :meth:`admit` has looked already, at the parsed parts."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        """Count it, and begin."""
        self.set_nodelay(True)
        try:
            self.opened()
        except RealmError as error:  # of many that were let in at the same time
            self.turn_away(error)
            return
        self._is_open = True
        self.gateway.counters.sockets.labels(self.kind).inc()

    def opened(self) -> None:
        """Begin: the other end may speak now. What this raises turns it away."""
        raise NotImplementedError

    def on_close(self) -> None:
        """Count it no longer, and end. Tornado also calls this for what was never opened."""
        if self._is_open:
            self._is_open = False
            self.gateway.counters.sockets.labels(self.kind).dec()
            self.closed()

    def closed(self) -> None:
        """End: the other end is gone."""
        raise NotImplementedError

    def on_connection_close(self) -> None:
        """Also wake whoever waits for the body of a request that is no WebSocket's."""
        RequestHandler.on_connection_close(self)
        super().on_connection_close()

    def heard(self, frame: str | bytes, union: Any) -> Any:
        """Return the n-gram of `union` in a frame, or raise what is wrong with it."""
        if isinstance(frame, bytes):
            raise Malformed("N-grams travel in text frames; this one was binary.")
        return decode(frame, cast("type[msgspec.Struct]", union))

    async def send(self, ngrams: Iterable[msgspec.Struct]) -> None:
        """Send n-grams; return when the connection has taken them.

        Raises
        ------
        TimeoutError
            It has not, for as long as a client may take. The socket is closing.
        WebSocketClosedError
            It is closed.
        """
        connection = self.ws_connection
        stream = connection.stream if connection is not None else None
        if connection is None or stream is None or connection.is_closing():
            raise WebSocketClosedError
        # Not by `write_message`, which makes a task and a system call of each n-gram.
        frames = b"".join([_frame(encode(ngram)) for ngram in ngrams])
        try:
            written = stream.write(frames)
            if written.done():
                # The system has it: there is nothing to wait for, but others have their turn.
                await asyncio.sleep(0)
                return
            async with asyncio.timeout(self.gateway.limits.slow_seconds):
                await written
        except StreamClosedError:
            raise WebSocketClosedError from None
        except TimeoutError:
            self.gateway.counters.cut_off.inc()
            self.close(POLICY, "you do not read what you are sent")
            raise

    def turn_away(self, error: RealmError, code: int = POLICY) -> None:
        """Close the socket, saying why as far as a close frame has room."""
        self.close(code, error.message.encode()[:120].decode(errors="ignore"))


def _frame(message: bytes) -> bytes:
    """Return a text frame that is a message of its own (RFC 6455, section 5.2)."""
    length = len(message)
    if length < 126:
        return struct.pack("!BB", _TEXT, length) + message
    if length < 1 << 16:
        return struct.pack("!BBH", _TEXT, 126, length) + message
    return struct.pack("!BBQ", _TEXT, 127, length) + message
