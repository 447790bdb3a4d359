"""The one WebSocket of a client: opened on first need, and again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mtor_kernel._version import __version__
from mtor_kernel.client.conversation import Conversation
from mtor_kernel.client.http import realm_error, ssl_context
from mtor_kernel.client.whereabouts import Whereabouts
from mtor_kernel.locate import Address
from mtor_kernel.protocol.codec import MAX_DEPTH, MAX_FRAME_BYTES, decode, encode, nests_deeper
from mtor_kernel.protocol.errors import (
    Denied,
    Malformed,
    QuotaExceeded,
    RealmError,
    RealmUnreachable,
    Unauthenticated,
)
from mtor_kernel.protocol.ngram import (
    MAX_SUBMITS,
    SUBPROTOCOL,
    ClientNGram,
    Error,
    Hello,
    RealmNGram,
    Submit,
    SubmitAll,
    Welcome,
)

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

_log = logging.getLogger(__name__)

#: How long the realm may take to accept the socket, and to say welcome, in seconds.
OPEN_SECONDS = 10.0
#: Between pings, and until one must be answered, in seconds.
PING_SECONDS = 20.0
#: The first and the longest pause between two attempts to connect, in seconds.
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 3.0
#: A connection that lived so long was a good one: the next loss is a new one, in seconds.
SETTLED_SECONDS = 5.0
#: The longest frame that is read, in bytes. The realm's picture of itself may be long.
MAX_READ_BYTES = 4 * 1024 * 1024
#: How long a close waits for what was said last to be on its way, in seconds.
FLUSH_SECONDS = 1.0

#: More than what a frame of several submissions has around them.
_ENVELOPE_BYTES = 64
#: The levels of nesting that it adds.
_ENVELOPE_DEPTH = 2

#: mypy takes no union where a type is asked for.
_REALM_NGRAM: Any = RealmNGram


class Connection:
    """Carries a conversation over as many sockets as it takes.

    Promises: while the conversation needs it, it is connected or tries to be, with growing pauses;
    after `give_up_seconds` without a realm everybody who waits is told so.
    """

    def __init__(self, whereabouts: Whereabouts, ca: str | None, give_up_seconds: float) -> None:
        self.conversation = Conversation(self.say)
        self._whereabouts = whereabouts
        self._ca = ca
        self._give_up_seconds = give_up_seconds
        self._keeper: asyncio.Task[None] | None = None
        self._outbox: asyncio.Queue[ClientNGram] | None = None
        self._last_well = 0.0
        self._closed = False
        self._pause = FIRST_PAUSE_SECONDS

    def wake(self) -> None:
        """There is, or will at once be, something to carry."""
        if self._closed:
            raise _closed()
        if self._keeper is None or self._keeper.done():
            self._well()
            self._keeper = asyncio.create_task(self._keep())

    def say(self, ngram: ClientNGram) -> bool:
        """Have `ngram` sent if a socket is open; tell whether it is on its way."""
        if self._outbox is None:
            return False
        self._outbox.put_nowait(ngram)
        return True

    async def close(self) -> None:
        """Send what was said and hang up. Who still waits gets :class:`RealmUnreachable`."""
        self._closed = True
        if self._outbox is not None:
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._outbox.join()
            except TimeoutError:
                pass
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self.conversation.give_up(_closed())

    async def _keep(self) -> None:
        """Be connected while there is need."""
        while self.conversation.needed:
            try:
                await self._carry()
            except (Denied, QuotaExceeded, RealmUnreachable) as error:
                self.conversation.give_up(error)
            except (OSError, RealmError) as error:
                _log.debug("the realm cannot be reached: %r", error)
            except Exception as error:  # noqa: BLE001 - nobody may wait for a dead keeper
                _log.exception("the connection to the realm broke")
                self.conversation.give_up(RealmUnreachable(f"The client has a fault: {error!r}."))
            if time.monotonic() - self._last_well > self._give_up_seconds:
                self.conversation.give_up(_unreachable(self._give_up_seconds))
            if self.conversation.needed:
                # Jitter, so that many clients of a restarted realm don't come at once.
                await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    async def _carry(self) -> None:
        """Open a socket and carry until it is lost."""
        address = await self._whereabouts.address()
        try:
            socket = await open_socket(address, self._ca)
        except Unauthenticated:
            # Another realm may have taken the place of the one whose token this is.
            if not self._whereabouts.forget(address):
                raise
            if await self._whereabouts.address() == address:
                raise
            return
        except OSError:
            self._whereabouts.forget(address)
            raise
        opened = time.monotonic()
        try:
            await self._speak(socket)
        except asyncio.CancelledError:
            await _part(socket)
            raise
        finally:
            socket.close()
            if time.monotonic() - opened > SETTLED_SECONDS:
                self._well()

    async def _speak(self, socket: WebSocketClientConnection) -> None:
        if not await _send(socket, Hello(client=f"mtor_kernel/{__version__}")):
            return
        async with asyncio.timeout(OPEN_SECONDS):
            frame = await socket.read_message()
        if frame is None:
            return
        welcome: RealmNGram = decode(frame, _REALM_NGRAM, limit=MAX_READ_BYTES)
        if not isinstance(welcome, Welcome):
            raise Malformed(f"The realm began with {type(welcome).__name__}, not with Welcome.")
        outbox = self._outbox = asyncio.Queue()
        most = min(welcome.max_submits, MAX_SUBMITS)
        for ngram in self.conversation.opened():
            outbox.put_nowait(ngram)
        writer = asyncio.create_task(_write(socket, outbox, most))
        try:
            await self._listen(socket)
        finally:
            self._outbox = None
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _listen(self, socket: WebSocketClientConnection) -> None:
        while (frame := await socket.read_message()) is not None:
            try:
                ngram: RealmNGram = decode(frame, _REALM_NGRAM, limit=MAX_READ_BYTES)
            except Malformed as error:
                # A later realm may say more than this client knows.
                _log.debug("skipped a frame: %s", error)
                continue
            # What is said before a socket is closed for cause does not make it a good one.
            if not isinstance(ngram, Error):
                self._well()
            self.conversation.heard(ngram)

    def _well(self) -> None:
        self._last_well = time.monotonic()
        self._pause = FIRST_PAUSE_SECONDS


async def open_socket(address: Address, ca: str | None) -> WebSocketClientConnection:
    """Open the clients' socket of the realm at `address`.

    Raises
    ------
    Denied
        The realm does not take the credential.
    OSError
        It can't be reached (tornado's errors and time-outs included), or is no realm.
    """
    # Here, as in all of this package: `import mtor_kernel.client` must not load tornado.
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import WebSocketError, websocket_connect

    request = HTTPRequest(
        "ws" + address.url.removeprefix("http") + "ngram",
        headers={"Authorization": f"Bearer {address.token}"},
        connect_timeout=OPEN_SECONDS,
        request_timeout=OPEN_SECONDS,
        ssl_options=ssl_context(address.url, ca),
    )
    opening = asyncio.ensure_future(
        websocket_connect(
            request,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_message_size=MAX_READ_BYTES,
            subprotocols=[SUBPROTOCOL],
        )
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_hang_up)
        raise
    except HTTPClientError as error:
        refusal = realm_error(error)
        if isinstance(refusal, Denied | QuotaExceeded):
            raise refusal from None
        raise ConnectionError(f"no socket: {error}") from error
    except WebSocketError as error:
        raise ConnectionError(f"no socket: {error}") from error


async def _write(
    socket: WebSocketClientConnection, outbox: asyncio.Queue[ClientNGram], most: int
) -> None:
    """Send what comes, in order; submissions that come together in one frame, `most` of them."""
    while True:
        said = [await outbox.get()]
        while not outbox.empty():
            said.append(outbox.get_nowait())
        for ngram in together(said, most):
            if not await _send(socket, ngram):
                return
        for _ in said:
            outbox.task_done()


def together(said: Iterable[ClientNGram], most: int) -> Iterator[ClientNGram]:
    """Yield the same n-grams, neighbouring submissions joined, up to `most` and a frame's size."""
    waiting: list[Submit] = []
    size = 0
    for ngram in said:
        length = _length(ngram) if most > 1 else 0
        full = len(waiting) == most or size + length > MAX_FRAME_BYTES - _ENVELOPE_BYTES
        if waiting and (not length or full):
            yield _joined(waiting)
            waiting, size = [], 0
        if length and isinstance(ngram, Submit):
            waiting.append(ngram)
            size += length + 1
        else:
            yield ngram
    if waiting:
        yield _joined(waiting)


def _length(ngram: ClientNGram) -> int:
    """Return the bytes of a submission; 0: it goes alone, as others would make it nest too deep."""
    if not isinstance(ngram, Submit):
        return 0
    frame = encode(ngram)
    return 0 if nests_deeper(frame, MAX_DEPTH - _ENVELOPE_DEPTH) else len(frame)


def _joined(submits: list[Submit]) -> ClientNGram:
    return submits[0] if len(submits) == 1 else SubmitAll(tuple(submits), several=True)


async def _send(socket: WebSocketClientConnection, ngram: ClientNGram) -> bool:
    """Send it; ``False`` where the socket is lost: what was not answered will be said again."""
    from tornado.iostream import StreamClosedError
    from tornado.websocket import WebSocketClosedError

    try:
        await socket.write_message(encode(ngram))
    except (StreamClosedError, WebSocketClosedError):
        return False
    return True


async def _part(socket: WebSocketClientConnection) -> None:
    """Close in good order: say so, and hear that it was understood."""
    socket.close()
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            while await socket.read_message() is not None:
                pass
    except TimeoutError:
        pass


def _hang_up(opening: asyncio.Future[WebSocketClientConnection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _closed() -> RealmUnreachable:
    return RealmUnreachable("The client was closed: make a new one.")


def _unreachable(seconds: float) -> RealmUnreachable:
    return RealmUnreachable(
        f"The realm has not answered for {seconds:.0f} seconds. See whether it runs with "
        "`mtor realm status`; a query that it had admitted goes on, and `%mtor history` has it."
    )
