"""What is not declared does not exist, and every answer is dressed alike."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest
from tornado.web import RequestHandler

from mtor_kernel.gateway.app import ROUTES, guarded, pattern
from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.identity import Asked
from mtor_kernel.protocol.identity import SCOPE_PUBLIC, User
from tests.gateway.helpers import ANN, Door, asking, open_door

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Undeclared(Gate):
    """Says not who may use it."""


class Misdeclared(Gate):
    """Says something that is no scope."""

    scope = "everybody"


@pytest.mark.parametrize("handler", [Undeclared, Misdeclared, RequestHandler])
async def test_a_handler_without_a_scope_cannot_be_served(handler: type[RequestHandler]) -> None:
    with pytest.raises(TypeError, match="default is deny"):
        guarded(handler)


async def test_only_health_is_public() -> None:
    assert [path for path, handler in ROUTES if handler.scope == SCOPE_PUBLIC] == ["health"]


async def test_a_models_name_may_have_slashes() -> None:
    assert pattern("v1/models/{model}") == "v1/models/(.+)"
    assert pattern("api/queries/{id}/events") == "api/queries/([^/]+)/events"


@pytest.mark.parametrize("path", ["health", "api/me", "v1/models", "nowhere", "api/queries/x"])
async def test_no_answer_may_be_sniffed_framed_kept_or_shared(door: Door, path: str) -> None:
    async with door.http() as http:
        headers = (await http.get(path, headers={"Origin": "https://evil.example"})).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["", "nowhere", "api", "api/queries/", "v2/models", "%ff%fe"])
async def test_nothing_is_nowhere(door: Door, method: str, path: str) -> None:
    async with door.http() as http:
        answer = await http.request(method, path)
    assert answer.status_code in (400, 404)
    if method != "HEAD":
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "api/me"), ("POST", "health"), ("OPTIONS", "api/queries"), ("PUT", "ngram")],
)
async def test_a_method_that_an_address_has_not(door: Door, method: str, path: str) -> None:
    async with door.http() as http:
        answer = await http.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_an_unknown_method_is_refused(door: Door) -> None:
    async with door.http() as http:
        assert (await http.request("BREW", "api/me")).status_code == 405


async def test_the_gateway_may_live_below_a_prefix(door: Door) -> None:
    async with open_door(door.small, "/services/mtor/") as below, below.http() as http:
        assert (await http.get("api/me")).json()["user"] == "ann"
        above = below.url.removesuffix("services/mtor/") + "api/me"
        assert (await http.get(above)).status_code == 404
        sent = await http.post("api/queries", json=asking())
        assert sent.headers["Location"].startswith("/services/mtor/api/queries/")


@pytest.mark.parametrize("path", ["api/me", "health", "nowhere", "v1/models", "ngram"])
async def test_a_token_in_the_address_is_refused_everywhere(door: Door, path: str) -> None:
    async with door.http("") as http:
        answer = await http.get(path, params={"token": ANN})
    assert answer.status_code == 400
    assert ANN not in answer.text


class Broken:
    """Knows nobody, by mistake."""

    async def identify(self, asked: Asked) -> User:
        raise ZeroDivisionError("a bug")


async def test_a_bug_shows_a_number_and_no_more(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_door(door.small, who=Broken()) as broken, broken.http() as http:
        answer = await http.get("api/queries?search=private")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["code"] == "internal"
    assert "a bug" not in answer.text
    assert error["details"]["fault"] in error["message"]
    assert error["details"]["fault"] in caplog.text
    assert "a bug" in caplog.text
    assert "private" not in caplog.text


async def test_a_request_of_no_sense_costs_only_its_connection(door: Door) -> None:
    async with door.http() as http:
        for junk in (b"\x00\x01\x02\r\n\r\n", b"GET /api/me HTTP/1.1\r\nHost\r\n\r\n"):
            with pytest.raises(httpx.HTTPError):
                await _raw(door, junk)
        assert (await http.get("api/me")).status_code == 200


async def _raw(door: Door, data: bytes) -> None:
    """Send bytes that are no request; raises what the answer is, unless it is a success."""
    where = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    if b" 200 " not in answer:
        raise httpx.ProtocolError(answer.decode(errors="replace"))


async def test_an_error_leaves_the_connection_open_or_says_that_it_does_not(door: Door) -> None:
    async with door.http() as http:
        assert "Connection" not in (await http.get("nowhere")).headers
        assert "Connection" not in (await http.get("api/queries?limit=x")).headers
        assert "Connection" not in (await http.post("api/queries", content=b"{")).headers
        # A short body is read to its end first: who sends it hears why it is refused.
        assert "Connection" not in (await http.post("api/sysop/pause", content=b"{}")).headers
    port = int(door.url.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /api/sysop/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"Connection: close" in answer
