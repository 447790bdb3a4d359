"""HTTP to the realm, under Jupyter's authentication.

jupyter-server-proxy has handlers for this. They bring aiohttp and simpervisor into every notebook
server, keep each request's body and most answers whole in memory, write to sockets without waiting,
and pass the user's headers, Jupyter's credential among them, to what they proxy. A relay to one
known place is smaller than what would guard against that.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated, stream_request_body

from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import RealmError, RealmUnreachable, TooLarge
from mtor_kernel.server.exchange import Exchange
from mtor_kernel.server.seeker import Seeker, admit, refuse

#: Of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
#: Jupyter's business with the browser. Where a page may ask from, Jupyter has checked.
_ASKERS_OWN = _HOP_BY_HOP | {
    "accept-encoding", "authorization", "cookie", "expect", "forwarded", "host", "origin",
    "referer", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    "x-xsrftoken",
}  # fmt: skip
#: The realm's business with this relay, and what Jupyter says in its place.
_REALMS_OWN = _HOP_BY_HOP | {
    "content-security-policy", "date", "location", "server", "set-cookie", "www-authenticate",
}  # fmt: skip
#: Credentials for Jupyter that browsers put into the address.
_SECRET_ARGUMENTS = frozenset({"token", "_xsrf"})


# Streamed: a body is passed on as it comes. Who is asking is known before any of it is read.
@stream_request_body
class Relay(ExtensionHandlerMixin, APIHandler):
    """One request. The realm's token is put on here, and never leaves in the other direction."""

    _exchange: Exchange | None = None
    _address: Address

    @property
    def seeker(self) -> Seeker:
        """Who knows where the realm is."""
        found: Seeker = self.settings["mtor_seeker"]
        return found

    @property
    def content_security_policy(self) -> str:
        """What a browser may do with an answer that it opens as a page: nothing."""
        return f"{super().content_security_policy}; sandbox"

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler's own
        """Let in whom Jupyter lets in, then reach the realm."""
        await super().prepare()
        method = self.request.method or ""
        if self._finished or method == "OPTIONS":
            return
        await admit(self, HTTP_METHOD_TO_AUTH_ACTION[method])
        target = self._target()
        try:
            self._check_size()
            self._address, self._exchange = await self.seeker.reach(
                lambda address: Exchange.open(address, method, target, self._head(), self)
            )
        except RealmError as error:
            refuse(self, error)

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the body on; the browser is read no faster than the realm reads."""
        if self._exchange is not None:
            await self._exchange.send(chunk)

    async def _relay(self, path: str) -> None:
        """Pass the answer on as it comes."""
        assert self._exchange is not None
        whole = await self._exchange.answer()
        if self._finished:
            return
        if whole and self._headers_written:
            self.finish()
        elif self._headers_written:
            self._cut()
        else:
            self.seeker.lost(self._address)
            refuse(self, RealmUnreachable("The realm went away before it had answered. Ask again."))

    get = head = post = put = patch = delete = authenticated(_relay)

    def on_connection_close(self) -> None:
        """Whoever asked has left: let the realm know."""
        if self._exchange is not None:
            self._exchange.close()
        super().on_connection_close()

    # What the exchange calls.

    async def begin(self, status: int, reason: str, headers: HTTPHeaders) -> None:
        """Send the head of the realm's answer."""
        if status == 401:
            # Our credential was refused, not the asker's.
            self.seeker.lost(self._address)
            refuse(self, RealmUnreachable("The realm has changed since it was found. Ask again."))
        elif 300 <= status < 400 and status != 304:
            refuse(self, RealmUnreachable("The realm pointed elsewhere; that is not followed."))
        else:
            self._copy(status, reason, headers)
            await self.flush()

    async def piece(self, data: bytes) -> None:
        """Send a piece of it, now."""
        if not self._finished:
            self.write(data)
            await self.flush()

    def _copy(self, status: int, reason: str, headers: HTTPHeaders) -> None:
        self.clear_header("Content-Type")
        self.set_status(status, reason)
        for name in _allowed(headers, _REALMS_OWN):
            self.set_header(name, headers[name])
        self.set_header("X-Content-Type-Options", "nosniff")
        root = urlsplit(self._address.url).path
        location = headers.get("Location", "")
        if location.startswith(root) and not location.startswith("//"):
            self.set_header("Location", self._root + location.removeprefix(root))

    @property
    def _root(self) -> str:
        return str(url_path_join(self.base_url, "mtor/"))

    def _head(self) -> HTTPHeaders:
        """Return the headers that the realm may see."""
        headers = self.request.headers
        return HTTPHeaders({name: headers[name] for name in _allowed(headers, _ASKERS_OWN)})

    def _target(self) -> str:
        """Return what is asked of the realm, relative to its root, as it was written."""
        path = self.request.path.removeprefix(self._root)
        names = [unquote(name) for name in path.split("/")]
        if not all(names[:-1]) or any(_is_trick(name) for name in names):
            raise HTTPError(404)
        arguments = [
            argument
            for argument in self.request.query.split("&")
            if argument and unquote_plus(argument.partition("=")[0]) not in _SECRET_ARGUMENTS
        ]
        return path + ("?" + "&".join(arguments) if arguments else "")

    def _check_size(self) -> None:
        limit: int = self.settings["mtor_max_body_bytes"]
        connection: Any = self.request.connection
        connection.set_max_body_size(limit)
        announced = self.request.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise TooLarge(
                f"That is {int(announced):,} bytes; at most {limit:,} are relayed.",
                limit=limit,
                used=int(announced),
            )

    def _cut(self) -> None:
        """Break the connection off: an answer that lacks its end must not look whole."""
        with suppress(StreamClosedError):
            self.detach().close()


def _allowed(headers: HTTPHeaders, withheld: frozenset[str]) -> list[str]:
    """Return the names of the headers to pass on; ``Connection`` may name more that are not."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return [name for name in headers if name.lower() not in withheld | named]


def _is_trick(name: str) -> bool:
    """Tell whether a part of a path, or what a second decoding makes of it, leaves its place."""
    again = unquote(name)
    return any(
        one in {".", ".."} or any(character in one for character in "/\\\0")
        for one in (name, again)
    )
