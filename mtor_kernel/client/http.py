"""The realm's REST resources, typed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, quote_plus, urlencode

import msgspec

from mtor_kernel.client.given import words
from mtor_kernel.client.whereabouts import Whereabouts
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    Forbidden,
    NotFound,
    RealmError,
    RealmUnreachable,
    TooLarge,
    Unauthenticated,
    Unavailable,
    from_info,
)
from mtor_kernel.protocol.views import Page

if TYPE_CHECKING:
    import ssl

    from tornado.httpclient import HTTPClientError, HTTPResponse
    from tornado.simple_httpclient import SimpleAsyncHTTPClient

T = TypeVar("T")

#: How long one call may take, in seconds; blobs may be large.
CALL_SECONDS = 60.0
#: The largest body that is read, in bytes.
MAX_BODY_BYTES = 256 * 1024 * 1024
#: The longest name or word that is put into an address, in bytes of it: servers take no more than
#: 64 KiB of head in all, and cut the connection where there is more.
MAX_NAME_BYTES = 16 * 1024
#: The error of an answer that does not explain itself.
_OF_STATUS: dict[int, type[RealmError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    503: Unavailable,
}


class _Refusal(msgspec.Struct):
    """The body of every answer that is an error."""

    error: ErrorInfo


class Http:
    """Calls the realm's REST resources, one address and credential for all."""

    def __init__(self, whereabouts: Whereabouts, ca: str | None) -> None:
        self._whereabouts = whereabouts
        self._ca = ca
        self._client: SimpleAsyncHTTPClient | None = None

    async def get(self, path: str, kind: type[T], **query: str | float | None) -> T:
        """Return the resource at `path` (below the realm's root) as a `kind`."""
        return self.decode((await self.fetch("GET", path, query=query)).body, kind)

    async def list(self, path: str, kind: type[T], **query: str | float | None) -> list[T]:
        """Return the items of the list at `path`, each as a `kind`."""
        page = await self.get(path, Page, **query)
        return [msgspec.convert(item, kind) for item in page.items]

    async def post(self, path: str, value: Any, kind: type[T], method: str = "POST") -> T:
        """Send `value` as JSON to `path` and return what comes back as a `kind`."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(value)
        response = await self.fetch(method, path, body=body, headers=headers)
        return self.decode(response.body or b"null", kind)

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
    ) -> HTTPResponse:
        """Make one call, and once more where the realm has moved.

        Raises
        ------
        RealmError
            What the realm answered, or :class:`RealmUnreachable`.
        """
        target = path + _asked(query or {})
        address = await self._whereabouts.address()
        try:
            return await self._once(address, method, target, body, headers)
        except (OSError, Unauthenticated) as error:
            moved = self._whereabouts.forget(address)
            again = await self._whereabouts.address()
            if isinstance(error, Unauthenticated) and (not moved or again == address):
                raise
            # A refused connection has done nothing; only then is anything sent twice.
            if not isinstance(error, Unauthenticated | ConnectionRefusedError) or not moved:
                raise _unreachable(again) from None
        try:
            return await self._once(again, method, target, body, headers)
        except OSError:
            raise _unreachable(again) from None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _once(
        self,
        address: Address,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str] | None,
    ) -> HTTPResponse:
        from tornado.httpclient import HTTPClientError, HTTPRequest

        request = HTTPRequest(
            address.url + target,
            method,
            headers={**(headers or {}), "Authorization": f"Bearer {address.token}"},
            body=body,
            connect_timeout=10,
            request_timeout=CALL_SECONDS,
            follow_redirects=False,
            ssl_options=ssl_context(address.url, self._ca),
            allow_nonstandard_methods=True,
        )
        try:
            return await asyncio.ensure_future(self._http().fetch(request))
        except HTTPClientError as error:
            if error.code == 599:
                raise ConnectionError(str(error)) from None
            raise realm_error(error) from None

    def _http(self) -> SimpleAsyncHTTPClient:
        if self._client is None:
            from tornado.simple_httpclient import SimpleAsyncHTTPClient

            # Ours alone: tornado shares one a loop, with whatever limits its first user chose.
            self._client = SimpleAsyncHTTPClient(
                force_instance=True, max_clients=100, max_body_size=MAX_BODY_BYTES
            )
        return self._client

    def decode(self, body: bytes, kind: type[T]) -> T:
        """Return what `body` says, as a `kind`."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise Unavailable(
                f"The realm's answer cannot be read ({error}): is it another version?"
            ) from None


def segment(name: str) -> str:
    """Return a name as one segment of a path; raise :class:`BadInput` where it cannot be one."""
    made = quote(words("A name", name), safe="")
    _check_length("That name", name, made)
    return made


def _asked(query: dict[str, Any]) -> str:
    """Return what stands after the path of an address, from the question mark on."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    for name, value in given.items():
        if isinstance(value, str):
            _check_length(name, value, quote_plus(words(name, value)))
    return f"?{urlencode(given)}" if given else ""


def _check_length(name: str, text: str, made: str) -> None:
    if len(made) > MAX_NAME_BYTES:
        raise TooLarge(f"{name} is too long, with {len(text):,} characters: shorten it.")


def ssl_context(url: str, ca: str | None) -> ssl.SSLContext | None:
    """Return how to trust the realm at `url`: by the authorities in the PEM file `ca`, if given."""
    if not url.startswith("https:"):
        return None
    import ssl

    return ssl.create_default_context(cafile=ca)


def realm_error(error: HTTPClientError) -> RealmError:
    """Return what a refused call says, in our own words where it says nothing."""
    body = error.response.body if error.response is not None else b""
    try:
        return from_info(msgspec.json.decode(body, type=_Refusal).error)
    except msgspec.MsgspecError:
        kind = _OF_STATUS.get(error.code, RealmError)
        return kind(f"The realm answered {error.code} {error.message or ''}".rstrip() + ".")


def _unreachable(address: Address) -> RealmUnreachable:
    return RealmUnreachable(
        f"No realm answers at {address.url}. See whether it runs with `mtor realm status`."
    )
