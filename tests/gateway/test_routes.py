"""Who may go where: every address, every method, every kind of credential."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

from mtor_kernel.gateway.app import ROUTES
from mtor_kernel.protocol.identity import SCOPE_LINK, SCOPE_PUBLIC, SCOPE_QUERY, SCOPE_SYSOP
from tests.gateway.helpers import ANN, BAD, BANNED, CROWD, EXPIRED, Door
from tests.realms import LINK_TOKEN, OWNER, TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What each address is for, written down a second time: a new one without a row here fails.
ROWS = {
    "ngram": "person",
    "link": "worker",
    "link/blobs": "worker",
    "link/blobs/{id}": "worker",
    "api/queries": "person",
    "api/queries/{id}": "person",
    "api/queries/{id}/events": "person",
    "api/quote": "person",
    "api/conversations": "person",
    "api/conversations/{id}": "person",
    "v1/chat/completions": "person",
    "v1/embeddings": "person",
    "v1/images/generations": "person",
    "v1/images/edits": "person",
    "v1/audio/transcriptions": "person",
    "v1/audio/speech": "person",
    "v1/models": "person",
    "v1/models/{model}": "person",
    "api/blobs": "person",
    "api/blobs/{id}": "person",
    "api/me": "person",
    "api/usage": "person",
    "api/models": "person",
    "api/workers": "person",
    "api/lanes": "person",
    "api/schema": "person",
    "api/openapi.yml": "person",
    "api/sysop/pause": "sysop",
    "api/sysop/reload": "sysop",
    "api/sysop/catalogue": "sysop",
    "api/sysop/people": "sysop",
    "api/sysop/ban": "sysop",
    "api/sysop/unban": "sysop",
    "api/sysop/grant": "sysop",
    "api/sysop/quota": "sysop",
    "api/sysop/queries": "sysop",
    "api/sysop/check": "sysop",
    "api/sysop/stop-queries": "sysop",
    "api/sysop/workers/{name}/{order}": "sysop",
    "api/sysop/pull": "sysop",
    "api/sysop/pulls": "sysop",
    "api/sysop/notice": "sysop",
    "api/sysop/audit": "sysop",
    "api/sysop/stop": "sysop",
    "health": "anybody",
    "metrics": "sysop",
}
SCOPES = {
    "anybody": SCOPE_PUBLIC,
    "person": SCOPE_QUERY,
    "sysop": SCOPE_SYSOP,
    "worker": SCOPE_LINK,
}
#: For each kind of address: the answer to each credential; 0 is "let in".
ANSWERS = {
    "anybody": {"": 0, BAD: 0, EXPIRED: 0, BANNED: 0, ANN: 0, TOKEN: 0, LINK_TOKEN: 0},
    "person": {"": 401, BAD: 401, EXPIRED: 401, BANNED: 403, ANN: 0, TOKEN: 0, LINK_TOKEN: 403},
    "sysop": {"": 401, BAD: 401, EXPIRED: 401, BANNED: 403, ANN: 403, TOKEN: 0, LINK_TOKEN: 403},
    "worker": {"": 401, BAD: 401, EXPIRED: 401, BANNED: 403, ANN: 403, TOKEN: 403, LINK_TOKEN: 0},
}
METHODS = ("get", "post", "delete", "put", "patch", "head", "options")


def methods_of(handler: type[RequestHandler]) -> list[str]:
    """The methods that a handler has of its own."""
    return [
        method.upper()
        for method in METHODS
        if getattr(handler, method) is not getattr(RequestHandler, method)
    ]


CELLS = [
    pytest.param(method, path, token, id=f"{method}-{path}-{token or 'none'}")
    for path, handler in ROUTES
    for method in methods_of(handler)
    for token in (*ANSWERS["person"],)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def banned(door: Door) -> None:
    """Dan was here, and the realm is closed to him."""
    realm = door.small.realm
    await realm.arrive(CROWD[BANNED])
    await realm.sysop.ban(OWNER, CROWD[BANNED].name, "for these tests")


async def test_every_address_has_a_row_and_the_scope_of_its_row() -> None:
    assert {path: handler.scope for path, handler in ROUTES} == {
        path: SCOPES[row] for path, row in ROWS.items()
    }


async def test_every_address_has_a_method() -> None:
    assert all(methods_of(handler) for _, handler in ROUTES)
    sockets = {path for path, handler in ROUTES if issubclass(handler, WebSocketHandler)}
    assert sockets == {"ngram", "link"}


@pytest.mark.parametrize(("method", "path", "token"), CELLS)
async def test_who_may_go_where(door: Door, method: str, path: str, token: str) -> None:
    address = re.sub(r"\{\w+\}", "0" * 32, path)
    async with door.http(token) as http:
        answer = await http.request(method, address, content=b"{")
    expected = ANSWERS[ROWS[path]].get(token)
    if expected:
        assert answer.status_code == expected
        error = answer.json()["error"]
        assert error["message"]
        if token == BANNED and ROWS[path] == "person":
            assert error["code"] == "banned"
    else:
        assert answer.status_code not in (401, 403)
        assert answer.status_code < 500


async def test_a_token_for_metrics_opens_metrics_alone(door: Door) -> None:
    door.gateway.metrics_token = "only-figures"
    try:
        async with door.http("only-figures") as http:
            assert (await http.get("metrics")).status_code == 200
            assert (await http.get("api/me")).status_code == 401
            assert (await http.get("api/sysop/people")).status_code == 401
    finally:
        door.gateway.metrics_token = ""
