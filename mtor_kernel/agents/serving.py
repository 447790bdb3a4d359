"""Serve the tools: over standard input and output, or over HTTP on loopback."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import uvicorn
from mcp.server.stdio import stdio_server
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mtor_kernel.agents.files import Roots
from mtor_kernel.agents.server import make_server
from mtor_kernel.agents.unread import Answering
from mtor_kernel.client.aio import RealmClient
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import BadInput, Unauthenticated, Unavailable

#: Names the environment's variable with the token of the HTTP server.
TOKEN_VARIABLE = "MTOR_MCP_TOKEN"  # noqa: S105 (the name of a variable)
#: The shortest token that is taken.
MIN_TOKEN_CHARACTERS = 16
#: The only address that is listened on.
LOOPBACK = "127.0.0.1"
#: What ends the server.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: How long calls over HTTP may go on then, in whole seconds.
GRACE_SECONDS = 1


async def serve_stdio(find: Callable[[], Address], folders: Iterable[str | Path] = ()) -> None:
    """Serve the agent at the other end of standard input and output until it hangs up.

    A signal ends the process; calls under way are cancelled first, and so are their queries.
    """
    roots = Roots(folders)
    async with RealmClient(find=find) as realm:
        server = make_server(realm, roots)
        # Standard output is the protocol's alone: whatever else prints there goes to the error.
        async with stdio_server() as (read, write):
            heard = Answering(read, write)
            with _until_signalled() as ended:
                await server.run(heard, write, server.create_initialization_options())
            if ended:
                await realm.close()
                # The package waits for a line in a thread that nothing wakes, and then for it.
                os._exit(128 + ended[0])


async def serve_http(
    find: Callable[[], Address],
    port: int,
    folders: Iterable[str | Path] = (),
    announce: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve whoever has the token, at ``/mcp`` on a port of loopback, until interrupted.

    `announce` is told the URL when it is listened at.

    Raises
    ------
    BadInput
        The environment has no token that will do.
    Unavailable
        The port is taken.
    """
    roots, token = Roots(folders), _token()
    with _listening(port) as listener:
        announce(f"http://{LOOPBACK}:{listener.getsockname()[1]}/mcp")
        async with RealmClient(find=find) as realm:
            app = Guarded(make_server(realm, roots).streamable_http_app(host=LOOPBACK), token)
            config = uvicorn.Config(
                app,
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
            await uvicorn.Server(config).serve(sockets=[listener])


@contextmanager
def _until_signalled() -> Iterator[list[int]]:
    """Cancel what is awaited inside when a signal comes; the list then holds its number."""
    loop, came = asyncio.get_running_loop(), list[int]()

    def end(number: int) -> None:
        came.append(number)
        scope.cancel()

    with anyio.CancelScope() as scope:
        for number in SIGNALS:
            loop.add_signal_handler(number, end, number)
        try:
            yield came
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)


class Guarded:
    """An application that opens to one bearer token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it has the token."""
        if scope["type"] == "lifespan" or self._opens(scope):
            await self._app(scope, receive, send)
        else:
            error = Unauthenticated(f"This needs the token of {TOKEN_VARIABLE} as its bearer.")
            body = {"error": {"code": error.code, "message": error.message}}
            refusal = JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)

    def _opens(self, scope: Scope) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._wanted)


def _token() -> str:
    # Taken out: a realm that is started from here, and its workers, have no use for it.
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise BadInput(
            f"MCP over HTTP needs a token: set {TOKEN_VARIABLE} to {MIN_TOKEN_CHARACTERS} or more "
            "letters and digits that nobody can guess, here and in the agent's host."
        )
    return token


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise Unavailable(f"Port {port} of {LOOPBACK} cannot be had: {error}.") from None
