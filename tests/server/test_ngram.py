"""The clients' WebSocket through the relay."""

import asyncio

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.codec import decode
from mtor_kernel.protocol.errors import Banned
from mtor_kernel.protocol.ngram import SUBPROTOCOL, Error, RealmNGram
from tests.client.realm_double import RealmDouble
from tests.server.upstream import Upstream

PROTOCOLS = ["other", SUBPROTOCOL]


@pytest.fixture
def dial(jp_serverapp, jp_base_url, jp_http_port, http_server, jp_auth_header):
    """Opens the relay's socket."""
    sockets: list[WebSocketClientConnection] = []

    async def dial(query: str = "", **headers: str) -> WebSocketClientConnection:
        url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}mtor/ngram{query}"
        request = HTTPRequest(url, headers={**jp_auth_header, **headers})
        sockets.append(await websocket_connect(request, subprotocols=PROTOCOLS))
        return sockets[-1]

    yield dial
    for socket in sockets:
        socket.close()


async def test_frames_pass_both_ways(dial, jp_serverapp, upstream: Upstream) -> None:
    # As a browser does it, which cannot send the header.
    socket = await dial(f"?token={jp_serverapp.identity_provider.token}", Authorization="")
    assert socket.selected_subprotocol == SUBPROTOCOL
    for frame in ("one", "två", b"\x00\xff", "x" * 200_000):
        await socket.write_message(frame, binary=isinstance(frame, bytes))
        assert await socket.read_message() == frame
    request = upstream.requests[0]
    assert request.uri == "/realm/ngram"
    assert request.headers["Authorization"] == f"Bearer {upstream.token}"
    assert not {"Cookie", "Origin"} & set(request.headers)
    socket.close()


async def test_the_realms_close_code_reaches_the_client(dial, upstream: Upstream) -> None:
    socket = await dial()
    await socket.write_message("close")
    assert await socket.read_message() is None
    assert (socket.close_code, socket.close_reason) == (4321, "as told")


async def test_the_clients_close_code_reaches_the_realm(dial, upstream: Upstream) -> None:
    socket = await dial()
    socket.close(4999, "enough")
    assert await asyncio.wait_for(upstream.socket_closed, 60) == (4999, "enough")


async def test_a_realm_that_dies_is_told_as_a_restart(dial, upstream: Upstream) -> None:
    socket = await dial()
    await socket.write_message("one")
    await socket.read_message()
    await upstream.stop()
    assert await asyncio.wait_for(socket.read_message(), 60) is None
    assert socket.close_code == 1012
    await refused(dial(), 503)
    await upstream.start()
    assert (await dial()).selected_subprotocol == SUBPROTOCOL


async def test_a_page_is_told_why_the_realm_lets_nobody_in(dial, upstream: Upstream) -> None:
    upstream.refusal = Banned("The sysop has closed this realm to you.").info()
    socket = await dial()
    said = decode(await asyncio.wait_for(socket.read_message(), 60), RealmNGram)
    assert said == Error(upstream.refusal)
    assert await asyncio.wait_for(socket.read_message(), 60) is None
    assert (socket.close_code, socket.close_reason) == (1008, upstream.refusal.message)


async def test_nobody_and_no_other_sites_page_gets_in(
    dial, jp_fetch, jp_serverapp, jp_http_port, upstream: Upstream
) -> None:
    await refused(dial(Authorization=""), 403)
    # A page of another site has the browser's cookies. It does not have the token, and whoever has
    # that one Jupyter lets in from anywhere.
    token = jp_serverapp.identity_provider.token
    entry = await jp_fetch("api", "me", params={"token": token}, headers={"Authorization": ""})
    cookies = "; ".join(cookie.partition(";")[0] for cookie in entry.headers.get_list("Set-Cookie"))
    browser = {"Authorization": "", "Cookie": cookies}
    host = f"127.0.0.1:{jp_http_port}"
    for origin in (
        "https://evil.example",
        "null",
        f"http://{host}.evil.example",
        "http://localhost",
    ):
        await refused(dial(**browser, Origin=origin), 403)
    assert upstream.requests == []
    socket = await dial(**browser, Origin=f"http://{host}")
    assert "Cookie" not in upstream.requests[0].headers
    socket.close()


async def test_what_is_no_ngram_socket_is_refused(
    jp_fetch, jp_ws_fetch, upstream: Upstream
) -> None:
    await refused(jp_fetch("mtor", "ngram"), 400)
    await refused(jp_ws_fetch("mtor", "ngram", subprotocols=["other"]), 400)
    assert upstream.requests == []


async def test_a_client_asks_through_the_relay(
    jp_serverapp, jp_base_url, jp_http_port, http_server, jp_asyncio_loop, monkeypatch
) -> None:
    realm = await RealmDouble().start()
    monkeypatch.setenv("MTOR_URL", realm.url)
    monkeypatch.setenv("MTOR_TOKEN", realm.token)
    url = f"http://localhost:{jp_http_port}{jp_base_url}mtor/"
    realm.drop_after = 3
    async with RealmClient(url, jp_serverapp.identity_provider.token) as client:
        assert (await client.ask("one two three four five")).text == "one two three four five"
        assert (await client.me()).user == "ada"
    await realm.stop()


async def refused(asking, status: int) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await asking
    assert caught.value.code == status
