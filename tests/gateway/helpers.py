"""What the gateway's tests share: people, a gateway on a small realm, a client of frames."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from tornado.httpclient import HTTPRequest
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClientConnection, websocket_connect
from traitlets.config import Config

from mtor_kernel.gateway.app import make_app, make_server
from mtor_kernel.gateway.identity import Asked, Authenticator, credential
from mtor_kernel.gateway.shared import Gateway
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_LINK, Role, User
from mtor_kernel.protocol.ngram import SUBPROTOCOL, ClientNGram, Hello, QueryEnd, RealmNGram, Submit
from mtor_kernel.protocol.query import Query
from tests.realms import LINK_TOKEN, OWNER, TOKEN, SmallRealm

#: Tokens of people without any rights but to ask, and of one who has no funds either.
ANN, BOB, CARL, GUEST = "token-of-ann", "token-of-bob", "token-of-carl", "token-of-a-guest"
#: Opens nothing; opened something until it expired; opens what is closed to its owner.
BAD, EXPIRED, BANNED = "token-of-nobody", "token-that-expired", "token-of-dan"
CROWD = {
    TOKEN: OWNER,
    ANN: User("ann"),
    BOB: User("bob"),
    CARL: User("carl"),
    BANNED: User("dan"),
    GUEST: User("gus", Role.GUEST),
    LINK_TOKEN: User("worker", scopes=frozenset({SCOPE_LINK})),
}
#: Everybody begins with a hundred credits.
FUNDS = Config({"People": {"grant_credits": {"user": 100.0}}})
#: Longest wait for anything that must happen, in seconds.
SOON = 60.0


class Crowd:
    """Knows several people, each by a token."""

    async def identify(self, asked: Asked) -> User:
        token = credential(asked.request)
        if token == EXPIRED:
            raise Unauthenticated("This token has expired: ask for a new one.")
        user = CROWD.get(token)
        if user is None:
            raise Unauthenticated("Nobody has this token.")
        return user


def plain(**how: Any) -> httpx.AsyncClient:
    """Return a client for ``http:`` that does not first read the machine's authorities.

    To read them takes longer than most tests.
    """
    return httpx.AsyncClient(verify=False, **how)


def openai_of(url: str, token: str = ANN, **how: Any) -> AsyncOpenAI:
    """Return a client of the package, which has to be closed."""
    web = DefaultAsyncHttpxClient(verify=False)
    return AsyncOpenAI(base_url=f"{url}v1", api_key=token, max_retries=0, http_client=web, **how)


@dataclass
class Door:
    """A gateway that serves at `url`."""

    url: str
    gateway: Gateway
    small: SmallRealm
    #: What is open as long as the gateway serves.
    using: contextlib.AsyncExitStack

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)

    def http(self, token: str = ANN, **how: Any) -> httpx.AsyncClient:
        """Return a client that shows a token; none if it is empty."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return plain(base_url=self.url, headers=headers, timeout=SOON, **how)

    def openai(self, token: str = ANN, **how: Any) -> AsyncOpenAI:
        """Return a client of the package that is closed with the gateway.

        One that is left to the garbage collector closes its socket, and then, by a task of its own,
        the transport of it: by then another socket may have the number, and is heard no more.
        """
        client = openai_of(self.url, token, **how)
        self.using.push_async_callback(client.close)
        return client

    async def socket(self, token: str = ANN, *, hello: bool = True) -> Talk:
        """Return a client's socket that has said hello."""
        talk = Talk(await dial(self.ws + "ngram", token))
        if hello:
            await talk.say(Hello())
            await talk.hear()
        return talk


@contextlib.asynccontextmanager
async def open_door(
    small: SmallRealm, prefix: str = "/", *, who: Authenticator | None = None, **how: Any
) -> AsyncIterator[Door]:
    """Serve a small realm by one more gateway, with settings of a test's own."""
    app = make_app(small.realm, who or Crowd(), prefix, **how)
    server = make_server(app)
    sockets = bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
    server.add_sockets(sockets)
    try:
        port = sockets[0].getsockname()[1]
        async with contextlib.AsyncExitStack() as using:
            yield Door(f"http://127.0.0.1:{port}{prefix}", app.settings["gateway"], small, using)
    finally:
        server.stop()
        await server.close_all_connections()


async def dial(
    url: str, token: str = ANN, *, subprotocols: list[str] | None = None, **headers: str
) -> WebSocketClientConnection:
    """Open a WebSocket; raises tornado's ``HTTPClientError`` where it is not opened."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return await websocket_connect(
        HTTPRequest(url, headers=headers),
        subprotocols=[SUBPROTOCOL] if subprotocols is None else subprotocols,
    )


class Talk:
    """One client's socket."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection

    async def say(self, ngram: ClientNGram) -> None:
        await self.connection.write_message(encode(ngram))

    async def shout(self, frame: str | bytes, *, binary: bool = False) -> None:
        """Send a frame as it is."""
        await self.connection.write_message(frame, binary=binary)

    async def hear(self) -> Any:
        """Return the next n-gram; ``None`` when the socket is closed."""
        frame = await self.connection.read_message()
        return None if frame is None else decode(frame, RealmNGram)  # type: ignore[arg-type]

    async def until(self, *kinds: type) -> Any:
        """Return the first n-gram of these kinds; skips others."""
        while (ngram := await self.hear()) is not None:
            if isinstance(ngram, kinds):
                return ngram
        raise AssertionError(f"closed before {kinds}: {self.connection.close_reason}")

    async def story(self, query: str) -> list[Any]:
        """Return all events of one query from now to its end."""
        told = []
        while (ngram := await self.hear()) is not None:
            if getattr(ngram, "query", "") == query:
                told.append(ngram)
                if isinstance(ngram, QueryEnd):
                    return told
        raise AssertionError("closed before the end")

    async def ask(self, prompt: str, model: str = "echo", **options: Any) -> None:
        await self.say(Submit(secrets.token_hex(8), Query.ask(prompt, model, **options)))

    def close(self) -> None:
        self.connection.close()


def asking(prompt: str = "hello there", model: str = "echo", **options: Any) -> dict[str, Any]:
    """Return the body that submits a query under a new key."""
    query = Query.ask(prompt, model, **options)
    return {"key": secrets.token_hex(8), "query": decode(encode(query), dict[str, Any])}
