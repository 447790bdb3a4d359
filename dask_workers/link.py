"""The link: one N-GRAM WebSocket from a worker to the gateway, on threads of its own.

The worker dials out. A task's own thread writes its chunks on the blocking socket: through the
worker's event loop they would wait for every thread that holds the interpreter, and here a gateway
that is slow slows the producer instead of filling memory.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec
import websocket

from dask_workers.alarm import Alarm
from dask_workers.tls import SharedTls
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.link import (
    SEVERAL,
    Beat,
    Bye,
    LinkNGram,
    WorkerChunk,
    WorkerHello,
    WorkerNGram,
    WorkerOutcome,
    WorkerProgress,
)
from mtor_kernel.protocol.ngram import SUBPROTOCOL

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
#: A write that takes longer than this ends the connection.
SEND_SECONDS = 30.0
DIAL_SECONDS = 10.0
BACKOFF_SECONDS = (0.1, 5.0)
#: Written and not yet taken by the gateway's machine: more would only be late.
SEND_BUFFER_BYTES = 256 * 1024
#: A link is busy while so many n-grams come within so many seconds: 800 a second.
BUSY_COUNT, BUSY_SECONDS = 16, 0.02
#: While it is, what attempts say within this time of a write waits for the next one, which takes
#: all of it in one frame: the gateway's work is by the frame more than by the n-gram.
JOIN_SECONDS = 0.005
#: What waits goes at once when there is this much of it.
JOIN_BYTES = 32 * 1024
#: How long a close waits for its own words to leave.
CLOSE_SECONDS = 0.5

_SWITCHING_PROTOCOLS = 101
#: How a connection fails; the last where another thread has just given it up.
_LOST = (OSError, websocket.WebSocketException, AttributeError)
#: Numbers the connections of all links of this process: no two have the same.
_connections = itertools.count(1)


class Link:
    """Keeps one connection to the gateway open, and dials again when it is lost.

    Parameters
    ----------
    url, token, ca
        Where the gateway's ``link`` is (``ws://`` or ``wss://``), the workers' token, and the
        certificate authority to trust as PEM where it is not one of the machine's.
    hello, beat
        Say what the first n-gram of a connection, and each heartbeat, holds.
    hear
        Called with each n-gram from the realm, in the reader's thread: must not wait.
    opened
        Called in the reader's thread when a connection is open and said hello.
    tick
        Called with each heartbeat, connected or not, with the time on the monotonic clock since
        when the link has been down, or ``None``.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        hello: Callable[[], WorkerHello],
        beat: Callable[[], Beat],
        hear: Callable[[LinkNGram], None],
        opened: Callable[[], None] = lambda: None,
        tick: Callable[[float | None], None] = lambda since: None,
        ca: str | None = None,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._url, self._token, self._ca = url, token, ca
        self._hello, self._beat, self._hear = hello, beat, hear
        self._opened, self._tick = opened, tick
        self._beat_seconds = beat_seconds
        self._socket: websocket.WebSocket | None = None
        self._number = 0
        self._down_since: float | None = time.monotonic()
        self._writing = threading.Lock()
        # What is not written yet, of the connection that is open; `_writing` guards it.
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._written_at = float("-inf")
        self._said_at = deque([float("-inf")] * BUSY_COUNT, BUSY_COUNT)
        self._alarmed = False
        self._alarm = Alarm("mtor-link-alarm")
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="mtor-link", daemon=True),
            threading.Thread(target=self._pulse, name="mtor-heart", daemon=True),
        ]

    @property
    def connection(self) -> int:
        """Number of the connection that is open, unlike any other; 0 while there is none."""
        return self._number if self._socket is not None else 0

    def start(self) -> None:
        """Begin to dial."""
        for thread in self._threads:
            thread.start()

    def send(self, ngram: WorkerNGram, connection: int) -> bool:
        """Write an n-gram to that very connection, and tell whether it was taken for it.

        Right away, or where the link is busy with others within :data:`JOIN_SECONDS`. Waits while
        the gateway is slow; after :data:`SEND_SECONDS` without a byte taken, the connection
        is given up, and what was not written is lost with it. One that is too long for a frame is
        not taken.
        """
        frame = _frame(ngram)
        if frame is None:
            return False
        with self._writing:
            if self._socket is None or connection != self._number:
                return False
            if not _may_wait(ngram):
                return self._write_waiting() and self._write(frame)
            if self._waiting_bytes + len(frame) > JOIN_BYTES and not self._write_waiting():
                return False
            self._waiting.append(frame)
            self._waiting_bytes += len(frame)
            now, due = time.monotonic(), self._written_at + JOIN_SECONDS
            busy = now - self._said_at[0] < BUSY_SECONDS
            self._said_at.append(now)
            if not busy or self._waiting_bytes >= JOIN_BYTES or now >= due:
                return self._write_waiting()
            if not self._alarmed:
                self._alarmed = True
                self._alarm.at(due, self._write_late)
        return True

    def tell(self, state: Callable[[], WorkerNGram]) -> bool:
        """Write how things are to whichever connection is open, and tell whether it was written.

        `state` is called when nobody else writes, and must not wait: what one thread has seen is
        never written after what another saw later.
        """
        with self._writing:
            if self._socket is None:
                return False
            frame = _frame(state())
            return frame is not None and self._write_waiting() and self._write(frame)

    def close(self, reason: str | None = "") -> None:
        """Say goodbye, end the connection and the threads; waits a second or two at most.

        With ``None`` no goodbye is said: the next link takes over what goes on.
        """
        self._closing.set()
        self._alarm.close()
        open_socket = self._socket
        if self._writing.acquire(timeout=CLOSE_SECONDS):
            try:
                self._write_waiting()
                open_socket, self._socket = self._socket, None
                if open_socket is not None and reason is not None:
                    _say_goodbye(open_socket, reason)
            finally:
                self._writing.release()
        if open_socket is not None:
            self._threads[0].join(CLOSE_SECONDS)
            self._lose(open_socket)

    def _write_late(self) -> None:
        with self._writing:
            self._alarmed = False
            self._write_waiting()

    def _write_waiting(self) -> bool:
        """Write what waits for others, as one frame; tell whether the connection stands."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if len(waiting) > 1:
            several = {"op": SEVERAL, "said": [msgspec.Raw(frame) for frame in waiting]}
            return self._write(encode(several))
        return not waiting or self._write(waiting[0])

    def _write(self, frame: bytes) -> bool:
        open_socket = self._socket
        if open_socket is None:
            return False
        try:
            open_socket.send(frame)
        except _LOST as error:
            log.warning("the link was lost while writing: %r", error)
            self._lose(open_socket)
            return False
        self._written_at = time.monotonic()
        return True

    def _run(self) -> None:
        low, high = BACKOFF_SECONDS
        wait = low
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                self._hold()
            except Exception:
                log.exception("the link broke; dialling again")
            if time.monotonic() - begun > high:
                wait = low  # it stood for a while: the gateway may be back at once
            self._closing.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(high, wait * 2)

    def _hold(self) -> None:
        """Dial, and read for as long as the connection stands."""
        try:
            opened = self._dial()
        except (*_LOST, ValueError) as error:
            log.warning("no link to %s: %s", self._url, error)
            return
        try:
            self._open(opened)
            self._read(opened)
        except _LOST as error:
            if not self._closing.is_set():
                log.warning("the link was lost: %s", error)
        finally:
            self._lose(opened)
            opened.shutdown()

    def _dial(self) -> websocket.WebSocket:
        dialled = websocket.create_connection(
            self._url,
            timeout=DIAL_SECONDS,
            header=[f"Authorization: Bearer {self._token}"],
            subprotocols=[SUBPROTOCOL],
            suppress_origin=True,
            redirect_limit=0,  # the token goes nowhere else
            enable_multithread=True,
            sockopt=_socket_options(),
            sslopt=_tls_options(self._url, self._ca),
        )
        if dialled.getstatus() != _SWITCHING_PROTOCOLS:
            dialled.shutdown()
            raise ConnectionError(f"{self._url} answers {dialled.getstatus()}, no WebSocket")
        dialled.settimeout(SEND_SECONDS)
        if isinstance(dialled.sock, ssl.SSLSocket):
            dialled.sock = SharedTls(dialled.sock)  # type: ignore[assignment]  # all it needs of one
        return dialled

    def _open(self, dialled: websocket.WebSocket) -> None:
        with self._writing:
            if self._closing.is_set():
                raise ConnectionAbortedError("closed while it was dialled")
            self._number = next(_connections)
            self._socket = dialled
            self._waiting, self._waiting_bytes = [], 0
            # Whatever changes from here on is said after the hello.
            dialled.send(encode(self._hello()))
            self._down_since = None
        self._opened()

    def _read(self, opened: websocket.WebSocket) -> None:
        while True:
            try:
                opcode, frame = opened.recv_data()
            except websocket.WebSocketTimeoutException:
                continue  # nothing was said; what has come of a frame is kept
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        try:
            ngram: LinkNGram = decode(frame, LinkNGram)  # type: ignore[arg-type]  # a union
        except RealmError as error:
            log.warning("the gateway said what is no n-gram: %s", error)
            return
        try:
            self._hear(ngram)
        except RealmError as error:
            log.warning("the realm asked for %r: %s", ngram, error)
        except Exception:
            log.exception("could not follow %r", ngram)

    def _pulse(self) -> None:
        while not self._closing.wait(self._beat_seconds):
            try:
                self._tick(self._down_since)
                self.tell(self._beat)
            except Exception:
                log.exception("a heartbeat failed")

    def _lose(self, lost: websocket.WebSocket) -> None:
        """Give a connection up, and wake who reads it; harmless for one given up already."""
        if self._socket is lost:
            self._socket = None
            if self._down_since is None:
                self._down_since = time.monotonic()
        open_socket = lost.sock
        if open_socket is not None:
            with contextlib.suppress(OSError):  # closed already
                open_socket.shutdown(socket.SHUT_RDWR)


def _frame(ngram: WorkerNGram) -> bytes | None:
    """Return what is written of an n-gram; nothing of one that is too long."""
    frame = encode(ngram)
    if len(frame) <= MAX_FRAME_BYTES:
        return frame
    log.warning("an n-gram of %d bytes does not fit a frame", len(frame))
    return None


def _may_wait(ngram: WorkerNGram) -> bool:
    """Tell whether an n-gram may go with others; a part may nest as deep as a frame may itself."""
    if isinstance(ngram, WorkerChunk):
        return ngram.part is None
    return isinstance(ngram, WorkerProgress | WorkerOutcome)


def _say_goodbye(open_socket: websocket.WebSocket, reason: str) -> None:
    try:
        open_socket.settimeout(CLOSE_SECONDS)
        open_socket.send(encode(Bye(reason[:500])))
        open_socket.send_close()
    except _LOST as error:
        log.debug("no goodbye: %r", error)


def _socket_options() -> list[tuple[int, int, int]]:
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES),
    ]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A gateway whose machine is gone says nothing: without this the kernel tries for 15 min.
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_SECONDS * 1000)))
    return options


def _tls_options(url: str, ca: str | None) -> dict[str, ssl.SSLContext]:
    if not url.startswith("wss:"):
        return {}
    return {"context": ssl.create_default_context(cadata=ca)}
