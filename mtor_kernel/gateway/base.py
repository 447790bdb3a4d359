"""What every handler does before and after its own work: who, how much, and what went wrong."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketClosedError

from mtor_kernel.gateway.failures import explain, fault, headers_of, status_of
from mtor_kernel.gateway.identity import refuse_token_in_address
from mtor_kernel.gateway.shared import Gateway
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import BadInput, ErrorInfo, RealmError, TooLarge
from mtor_kernel.protocol.identity import SCOPE_PUBLIC, User

if TYPE_CHECKING:
    from mtor_kernel.realm.followers import Follower

log = logging.getLogger(__name__)

T = TypeVar("T")

#: By how much a body may be too long and still be read to its end, and thrown away, before it is
#: refused: a client that is cut off while it still sends never reads why.
SWALLOWED_BYTES = 4 * 1024 * 1024

#: No page may frame, sniff, keep or run what comes from here. No CORS headers, on purpose: nothing
#: in another origin's page has business here.
_HEADERS = {
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

#: The connection is gone, or was cut: nobody's fault, and nobody to tell.
_GONE = (StreamClosedError, WebSocketClosedError, TimeoutError)


# Streamed, so that who is asking is known before the first byte of a body is kept.
@stream_request_body
class Gate(RequestHandler):
    """Lets in whoever holds the scope that the class declares, and turns errors into answers."""

    #: What one must hold to be let in. A class that does not declare it cannot be routed to.
    scope: ClassVar[str]

    #: Who is asking; not set where `scope` is public.
    user: User
    _fault = ""
    _received = 0
    #: Whether the request is read to its end; where not, its connection is of no more use.
    _reads_on = False
    #: Why whoever asks is not let in, while their body is still on its way.
    _refusal: RealmError | None = None

    def initialize(self) -> None:
        """Nothing has arrived yet."""
        self._body = bytearray()

    @property
    def gateway(self) -> Gateway:
        """What all handlers share."""
        shared: Gateway = self.settings["gateway"]
        return shared

    @property
    def max_body_bytes(self) -> int:
        """The longest body that this address takes."""
        return MAX_FRAME_BYTES

    async def prepare(self) -> None:
        """Look at who is asking before the body is kept.

        A short body of somebody who is refused is read and thrown away first: see above.
        """
        try:
            await self.admit()
        except RealmError as error:
            announced = self.request.headers.get("Content-Length", "")
            if not (announced.isdecimal() and 0 < int(announced) <= SWALLOWED_BYTES):
                raise
            self._refusal = error
            # What tornado calls when the body is there.
            setattr(self, (self.request.method or "").lower(), self._refuse)
        self._reads_on = True

    def _refuse(self, *_: str) -> None:
        assert self._refusal is not None
        raise self._refusal

    async def admit(self) -> None:
        """Let nobody pass who may not."""
        refuse_token_in_address(self.request)
        if self.scope != SCOPE_PUBLIC:
            self.user = await self.recognise()
        announced = self.request.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self.max_body_bytes + SWALLOWED_BYTES:
            raise self.too_large(int(announced))

    async def recognise(self) -> User:
        """Return who is asking: known, with the scope, and not banned."""
        user = await self.gateway.who.identify(self)
        user.require_entry(self.scope)
        return await self.gateway.realm.arrive(user)

    def follow(self) -> Follower:
        """Return a reader of the queries of who is asking, for as long as they may. Close it.

        Raises
        ------
        QuotaExceeded
            They have as many as one may.
        """
        self.gateway.realm.readers.check(self.user)
        follower = self.gateway.realm.follow(self.user)
        self.gateway.listening[follower] = self
        return follower

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Keep the body up to its limit; beyond it, only count."""
        if self._refusal is not None:
            return None
        self._received += len(chunk)
        if self._received <= self.max_body_bytes:
            return self.keep(chunk)
        self._body.clear()
        if self._received > self.max_body_bytes + SWALLOWED_BYTES and not self._finished:
            error = self.too_large(self._received)
            self._reads_on = False
            self.send_error(413, exc_info=(type(error), error, None))
        return None

    def keep(self, chunk: bytes) -> Awaitable[None] | None:
        """Take the next piece of the body; the one after it is read when this is done."""
        self._body += chunk
        return None

    def too_large(self, size: int) -> TooLarge:
        """Return the error for a body of `size` bytes."""
        limit = self.max_body_bytes
        return TooLarge(
            f"That is {size:,} bytes; at most {limit:,} fit here.", limit=limit, used=size
        )

    def check_size(self) -> None:
        """Raise :class:`TooLarge` where more came than this address takes."""
        if self._received > self.max_body_bytes:
            raise self.too_large(self._received)

    def said(self, kind: type[T]) -> T:
        """Return what the body says, as a `kind`, or raise what is wrong with it."""
        self.check_size()
        return decode(bytes(self._body), kind, limit=self.max_body_bytes)

    def reply(self, value: Any, status: int = 200) -> None:
        """Answer with `value` as JSON."""
        self.set_status(status)
        self.finish(encode(value))

    async def push(self, data: bytes) -> None:
        """Send a piece of the answer, and return when the connection has taken it.

        Raises
        ------
        TimeoutError
            It has not, for as long as a client may take. The connection is cut.
        StreamClosedError
            The client has left.
        """
        self.write(data)
        try:
            async with asyncio.timeout(self.gateway.limits.slow_seconds):
                await self.flush()
        except TimeoutError:
            self.gateway.counters.cut_off.inc()
            # With whatever lies unread in it: to finish in good order would mean to wait on.
            self.detach().close()
            raise

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number from the address."""
        text = self.get_query_argument(name, "") or str(default)
        if len(text) > 10 or not (text.isascii() and text.isdecimal()):
            raise BadInput(f"{name} must be a whole number, not {text[:40]!r}.")
        if not least <= (number := int(text)) <= most:
            raise BadInput(f"{name} must lie between {least} and {most}, not {number}.")
        return number

    def words(self, name: str) -> str:
        """Return words from the address; empty where there are none."""
        text = self.get_query_argument(name, "")
        if len(text) > 1000:
            raise BadInput(f"{name} must be at most 1000 characters.")
        if "\0" in text:
            raise BadInput(f"{name} holds a NUL character: remove it.")
        return text

    def shape(self, status: int, info: ErrorInfo) -> tuple[int, Any]:
        """Return status and body of an error's answer; another dialect has another form."""
        return status, {"error": info}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: the realm's own, or what tornado found; of a bug only its name."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else HTTPError(status_code)
        if isinstance(error, RealmError):
            status, info = status_of(error), error.info()
            for name, value in headers_of(error).items():
                self.set_header(name, value)
        elif isinstance(error, HTTPError) and error.status_code < 500:
            status, info = error.status_code, explain(error)
        else:
            status, info = 500, fault(self._fault)
        status, body = self.shape(status, info)
        self.set_status(status)
        if not self._reads_on:
            self.set_header("Connection", "close")
        self.finish(encode(body))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log a bug, under a name that its answer gives; an error of the tree is no news."""
        # The path only: what stands after the question mark may be secret.
        where = f"{self.request.method} {self.request.path}"
        if isinstance(value, (RealmError, HTTPError, *_GONE)):
            log.debug("%s: %s", where, value)
            return
        self._fault = uuid.uuid4().hex[:12]
        assert typ is not None
        assert value is not None
        log.error("fault %s in %s", self._fault, where, exc_info=(typ, value, tb))

    def on_finish(self) -> None:
        """Count what was answered."""
        self.gateway.counters.requests.labels(
            type(self).__name__,
            # Anybody may make up a method, and every one would be kept.
            self.request.method if self.request.method in self.SUPPORTED_METHODS else "OTHER",
            self.get_status(),
        ).inc()

    def set_default_headers(self) -> None:
        """Send on every answer what keeps browsers from doing more with it than asked."""
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """Make none: nothing from here is to be kept."""
        return


class Nowhere(Gate):
    """Whatever is not there."""

    scope = SCOPE_PUBLIC

    def get(self, *_: str) -> None:
        """Say that there is nothing, by whatever method one asks."""
        raise HTTPError(404)

    post = put = patch = delete = head = options = get
