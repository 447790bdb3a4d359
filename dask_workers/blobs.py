"""How an attempt reads the blobs of its query and keeps what it makes: over HTTP, beside the link.

One connection a blob, in the task's own thread. Nothing is followed elsewhere: the token goes to
the gateway of the link and to nobody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from mtor_kernel.protocol.codec import decode
from mtor_kernel.protocol.errors import (
    BadInput,
    ErrorInfo,
    QueryCancelled,
    TooLarge,
    Unavailable,
    from_info,
)
from mtor_kernel.protocol.link import AttemptRef

#: The largest blob that is read or written: as much as a realm keeps.
MAX_BLOB_BYTES = 64 * 1024 * 1024
#: How long to wait for the connection, and for each further sign of the gateway.
DIAL_SECONDS = 10.0
SILENCE_SECONDS = 30.0
#: The longest answer that is no blob.
MAX_ANSWER_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
#: How a connection fails; the last two where another thread has just given it up.
_LOST = (OSError, http.client.HTTPException, ValueError, AttributeError)


class Cancellable(Protocol):
    """The attempt that reads or writes."""

    ref: AttemptRef

    @property
    def cancelled(self) -> bool: ...

    def on_cancel(self, stop: Callable[[], None]) -> None: ...


class _Refused(msgspec.Struct):
    error: ErrorInfo


class _Kept(msgspec.Struct):
    id: str


class Blobs:
    """The blobs of one gateway.

    Parameters
    ----------
    link_url, token, ca
        As the link has them: the blobs are at ``link/blobs`` of the same gateway.
    """

    def __init__(self, link_url: str, token: str, ca: str | None = None) -> None:
        url = urlsplit(link_url)
        self._host, self.port = url.hostname or "", url.port
        self._path = url.path.rstrip("/") + "/blobs"
        self._token = token
        self._tls = ssl.create_default_context(cadata=ca) if url.scheme == "wss" else None

    def read(self, attempt: Cancellable, blob: str) -> bytes:
        """Return the bytes of a blob that the attempt's query names.

        Raises
        ------
        NotFound
            The query names no such blob, or the attempt is not the one that counts any more.
        TooLarge
            It is larger than a blob may be.
        Unavailable
            The gateway cannot be asked now.
        QueryCancelled
            The attempt was cancelled meanwhile.
        """
        if not re.fullmatch("[0-9a-f]{64}", blob):
            raise BadInput(f"{blob[:64]!r} is no blob: blobs are named by 64 hexadecimal digits.")
        with self._asking(attempt, "GET", f"/{blob}") as answer:
            content = _read(answer, MAX_BLOB_BYTES)
        if hashlib.sha256(content).hexdigest() != blob:
            raise Unavailable(f"The blob {blob[:12]}… came damaged from the gateway: ask again.")
        return content

    def write(self, attempt: Cancellable, content: bytes, mime: str) -> str:
        """Keep `content` for the owner of the attempt's query; return its id.

        Raises
        ------
        QuotaExceeded
            The owner may not keep so much.
        NotFound, TooLarge, Unavailable, QueryCancelled
            As :meth:`read` does.
        """
        if len(content) > MAX_BLOB_BYTES:
            raise TooLarge(
                f"The model has made {len(content):,} bytes of {mime}, and a blob has "
                f"{MAX_BLOB_BYTES:,} at most: ask for less.",
                limit=MAX_BLOB_BYTES,
                used=len(content),
            )
        with self._asking(attempt, "POST", "", content, mime) as answer:
            said = _read(answer, MAX_ANSWER_BYTES)
        try:
            kept = decode(said, _Kept).id
        except BadInput:
            kept = ""
        if kept != hashlib.sha256(content).hexdigest():
            raise Unavailable(f"The gateway kept another {mime} than it was given: ask again.")
        return kept

    @contextlib.contextmanager
    def _asking(
        self, attempt: Cancellable, method: str, path: str, body: bytes = b"", mime: str = ""
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; yield its answer, where that is a good one."""
        connection = self._connection()
        wire = _Wire(connection)
        attempt.on_cancel(wire.cut)
        try:
            wire.open()
            headers = {"Authorization": f"Bearer {self._token}"}
            if mime:
                headers["Content-Type"] = mime
            where = f"{self._path}{path}?{urlencode(msgspec.structs.asdict(attempt.ref))}"
            connection.request(method, where, body if method == "POST" else None, headers)
            answer = connection.getresponse()
            if not 200 <= answer.status < 300:
                _refuse(answer)
            yield answer
        except _LOST as error:
            if attempt.cancelled:
                raise QueryCancelled("It was cancelled.") from None
            raise Unavailable(
                f"The worker cannot reach the gateway's blobs ({type(error).__name__}): ask again."
            ) from error
        finally:
            wire.done()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self.port, timeout=DIAL_SECONDS)
        return http.client.HTTPSConnection(
            self._host, self.port, timeout=DIAL_SECONDS, context=self._tls
        )


class _Wire:
    """A connection that another thread may cut, also before it stands and when it is gone."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection: http.client.HTTPConnection | None = connection
        self._guard = threading.Lock()
        self._is_cut = False

    def open(self) -> None:
        """Connect, unless it is cut already."""
        assert self._connection is not None
        if not self._is_cut:
            self._connection.connect()
        with self._guard:
            if self._is_cut:
                raise ConnectionAbortedError("cut")
            self._connection.sock.settimeout(SILENCE_SECONDS)

    def cut(self) -> None:
        """Wake whoever reads or writes on it."""
        with self._guard:
            self._is_cut = True
            open_socket = self._connection.sock if self._connection is not None else None
            if open_socket is not None:
                with contextlib.suppress(OSError):  # not connected yet, or no longer
                    # The socket's own, beneath TLS: OpenSSL takes one thread at a time.
                    socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    def done(self) -> None:
        """Close it, and let go of it: an attempt may make many."""
        with self._guard:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _read(answer: http.client.HTTPResponse, limit: int) -> bytes:
    """Return the body of an answer; too much of it is not even read."""
    announced = answer.length
    if announced is not None and announced > limit:
        raise _too_large(limit)
    content = bytearray()
    while piece := answer.read(_PIECE_BYTES):
        content += piece
        if len(content) > limit:
            raise _too_large(limit)
    if announced is not None and len(content) < announced:
        raise ConnectionResetError("the answer broke off")
    return bytes(content)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The gateway sends more than {limit:,} bytes, which is no blob.", limit=limit)


def _refuse(answer: http.client.HTTPResponse) -> None:
    """Raise what the gateway says is wrong; where it says nothing of ours, that it is none."""
    said = answer.read(MAX_ANSWER_BYTES)
    try:
        refused = decode(said, _Refused)
    except BadInput:
        raise Unavailable(
            f"Where the gateway's blobs should be something answers {answer.status}: "
            "tell the sysop."
        ) from None
    raise from_info(refused.error)
