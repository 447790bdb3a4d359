"""What backends have in common that talk to a service: its settings, a call that can be cancelled.

Whatever a client library raises within a call becomes one of the errors of ``failures.py``.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dask_workers.failures import broken, failed, garbled, refusal, sentence, silent, unreachable
from mtor_kernel.protocol.backend import Context, ModelSpec
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.query import Options, Query

Seconds = Annotated[float, Meta(gt=0, le=86_400)]

#: What clients raise, in parts of their names, for a connection that ends too early.
_BROKEN = ("ReadError", "WriteError", "ProtocolError", "IncompleteRead", "Disconnected", "Reset")
#: What client libraries raise for an error that a service tells in the middle of its answer.
_TOLD = frozenset({"APIError", "APIStatusError", "ResponseError", "OverloadedError"})
#: The most that is read of an answer that is none.
MAX_REFUSAL_BYTES = 64 * 1024
_here = threading.local()


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a service is, and how long it may take."""

    #: What the service calls the model; empty: as the catalogue does.
    model: str = ""
    url: str = ""
    #: Name of the environment variable of the worker that holds the key; empty: none is sent.
    key_env: str = ""
    connect_seconds: Seconds = 5.0
    #: The longest silence.
    timeout_seconds: Seconds = 120.0
    data_dir: str = ""

    def key(self) -> str:
        """Return the key, from the worker's environment."""
        return os.environ.get(self.key_env, "").strip() if self.key_env else ""

    def secrets(self) -> tuple[str, ...]:
        """Return what no message may hold."""
        return (self.key(),)

    def missing(self, package: str, extra: str = "remote") -> str:
        """Return why a service cannot be asked from here, as a sentence; empty if it can."""
        import importlib.util

        if package and importlib.util.find_spec(package) is None:
            return f"The package {package} is not installed: pip install 'mtor-kernel[{extra}]'."
        if self.key_env and not self.key():
            return f"The variable {self.key_env} is not set in the worker's environment."
        return ""


class Call:
    """One query's requests to a service. A cancel closes its sockets, also under a silence.

    The service's client library must be made with :data:`HOOKS`, and be called within
    :meth:`asking`.
    """

    def __init__(self, name: str, context: Context, settings: ServiceSettings) -> None:
        self._name = name
        self._settings = settings
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False
        self._answered = False
        self._refusal: RealmError | None = None
        context.on_cancel(self.hang_up)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Have the requests that this thread sends within be this call's."""
        _here.call = self
        try:
            yield
        finally:
            _here.call = None

    def hang_up(self) -> None:
        """Close the connections under whoever waits on them."""
        with self._guard:
            self._over = True
            for one in self._sockets:
                _shut(one)

    def opened(self, connection: socket.socket) -> None:
        """Take note of a connection, before anything is said on it."""
        with self._guard:
            # One of our own: a client that goes over to TLS takes the first apart.
            self._sockets.append(connection.dup())
            if self._over:
                _shut(self._sockets[-1])

    def answered(self, status: int, headers: Any, body: bytes | None) -> None:
        """Take note of an answer's beginning; raise where it is a refusal."""
        self._answered = True
        if body is not None:
            self._refusal = refusal(self._name, status, headers, body, self._settings.secrets())
            raise self._refusal

    def failure(self, error: BaseException) -> RealmError:
        """Return what to raise for what a client library raised."""
        if self._refusal is not None:
            return self._refusal
        chain = list(_chain(error))
        for one in chain:
            if isinstance(one, RealmError):
                return one
        kinds = " ".join(type(one).__name__ for one in chain)
        if "ConnectTimeout" in kinds or "ConnectError" in kinds or _is_refused(chain):
            return unreachable(self._name)
        if "Timeout" in kinds:
            return silent(self._name, self._settings.timeout_seconds)
        if any(sign in kinds for sign in _BROKEN):
            return broken(self._name)
        if not self._answered and isinstance(error, OSError):
            return unreachable(self._name)
        if type(error).__name__ in _TOLD:
            body = getattr(error, "body", None) or str(error)
            return failed(self._name, sentence(body, self._settings.secrets()))
        return garbled(self._name, type(error).__name__)

    def close(self) -> None:
        """Let go of the connections."""
        with self._guard:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            one.close()


@contextmanager
def calling(spec: ModelSpec, context: Context, settings: ServiceSettings) -> Iterator[Call]:
    """Give a call; whatever goes wrong within is raised as an error of the realm."""
    call = Call(spec.name, context, settings)
    try:
        yield call
    except RealmError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything, with keys in it
        raise call.failure(error) from None
    finally:
        call.close()


def on_request(request: Any) -> None:
    """Have a cancel find the connection that a request of httpx is about to open."""
    call: Call | None = getattr(_here, "call", None)
    if call is None:
        return

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "connect_unix_socket.complete")):
            call.opened(info["return_value"].get_extra_info("socket"))

    # Only a new connection is traced, so each request has one of its own.
    request.headers["Connection"] = "close"
    request.extensions["trace"] = trace


def on_response(response: Any) -> None:
    """Stop at an answer that is none; a redirect is one of these: it could lead anywhere."""
    call: Call | None = getattr(_here, "call", None)
    if call is not None:
        refused = response.status_code >= 300
        body = _beginning(response.iter_bytes()) if refused else None
        call.answered(response.status_code, response.headers, body)


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """Return what is looked at of a refusal, however long it goes on."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= MAX_REFUSAL_BYTES:
            break
    return bytes(body[:MAX_REFUSAL_BYTES])


#: ``event_hooks`` of an httpx client, of whichever generation.
HOOKS: dict[str, list[Any]] = {"request": [on_request], "response": [on_response]}


def options(query: Query, spec: ModelSpec) -> Options:
    """Return the options that hold: the query's own, and behind them the catalogue's."""
    given = query.options.given()
    chosen = {name: getattr(query.options, name) for name in given}
    held = msgspec.structs.replace(spec.defaults, **chosen)
    limit = held.max_tokens or spec.default_max_tokens
    return msgspec.structs.replace(held, max_tokens=min(limit, spec.max_output_tokens))


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text, at four characters each."""
    return max(1, -(-len(text) // 4))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _is_refused(chain: list[BaseException]) -> bool:
    return any(isinstance(one, ConnectionRefusedError | socket.gaierror) for one in chain)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
