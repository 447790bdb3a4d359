"""What one sees of others: nothing, whatever one asks. Made from the list of addresses."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tornado.websocket import WebSocketHandler
from traitlets.config import Config

from mtor_kernel.gateway.app import ROUTES
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP
from mtor_kernel.protocol.ngram import Cancel, Error, Hello, RealmState, Resume, Watch
from mtor_kernel.protocol.query import Image, Message, Query, Text
from tests.gateway.helpers import BOB, FUNDS, SOON, Door, asking, open_door
from tests.gateway.test_routes import methods_of
from tests.modalities import MODALITIES, picture
from tests.realms import CATALOGUE, TOKEN, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Stands in everything that Ann asks, and nowhere else.
SECRET = "xylophone"
#: Addresses of a person that name a thing, and what that is. ``None``: it is everybody's.
THINGS: dict[str, str | None] = {
    "api/queries/{id}": "query",
    "api/queries/{id}/events": "query",
    "api/blobs/{id}": "blob",
    "api/conversations/{id}": "conversation",
    "v1/models/{model}": None,
}
#: What could be there, and is not.
UNKNOWN = {"query": "0" * 32, "blob": "0" * 64, "conversation": "0" * 32}
#: Ann's conversation.
TALK = "c" * 32


def of(scope: str) -> dict[str, type]:
    """The addresses of a scope, without the sockets."""
    return {
        path: handler
        for path, handler in ROUTES
        if handler.scope == scope and not issubclass(handler, WebSocketHandler)
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """A gateway to models of every modality, and to one that never ends."""
    folder = tmp_path_factory.mktemp("realm")
    stuck = "[[models]]" + CATALOGUE.split("[[models]]")[-1]
    async with (
        small_realm(folder, catalogue=MODALITIES + stuck, config=FUNDS) as small,
        open_door(small) as door,
    ):
        yield door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anns(door: Door) -> AsyncIterator[dict[str, str]]:
    """Ann's: a settled query, one that runs, and a blob."""
    async with door.http() as http:
        done = (await http.post("api/queries", json=asking(f"the {SECRET} plan"))).json()["query"]
        await http.get(f"api/queries/{done}/events")
        runs = (await http.post("api/queries", json=asking(f"{SECRET} 2", "stuck"))).json()["query"]
        async with asyncio.timeout(SOON):
            while (await http.get(f"api/queries/{runs}")).json()["stage"] != "running":
                await asyncio.sleep(0.02)
        png = {"Content-Type": "image/png"}
        blob = (await http.post("api/blobs", content=picture(), headers=png)).json()["id"]
        turn = {"query": done, "name": SECRET}
        assert (await http.post(f"api/conversations/{TALK}", json=turn)).status_code == 204
    yield {"query": done, "running": runs, "blob": blob, "conversation": TALK}
    async with door.http() as http:
        await http.delete(f"api/queries/{runs}")


async def test_every_address_that_names_a_persons_thing_has_a_row() -> None:
    assert {path for path in of(SCOPE_QUERY) if "{" in path} == set(THINGS)


FOREIGN = [
    pytest.param(method, path, kind, id=f"{method}-{path}")
    for path, kind in THINGS.items()
    if kind is not None
    for method in methods_of(dict(ROUTES)[path])
]


@pytest.mark.parametrize(("method", "path", "kind"), FOREIGN)
async def test_anothers_is_answered_exactly_as_an_unknown_one(
    door: Door, anns: dict[str, str], method: str, path: str, kind: str
) -> None:
    def address(name: str) -> str:
        return re.sub(r"\{\w+\}", name, path)

    said = {"POST": {"query": anns["query"], "name": "mine"}, "PATCH": {"name": "mine"}}.get(method)
    async with door.http(BOB) as http:
        unknown = await http.request(method, address(UNKNOWN[kind]), json=said)
        for name in (anns[kind], anns["running"]) if kind == "query" else (anns[kind],):
            foreign = await http.request(method, address(name), json=said)
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.text.replace(name, UNKNOWN[kind]) == unknown.text
            assert _shown(foreign.headers) == _shown(unknown.headers)
    async with door.http() as http:
        assert (await http.get(f"api/queries/{anns['running']}")).json()["stage"] == "running"


def _shown(headers: Any) -> dict[str, str]:
    """The headers that a body has nothing to do with."""
    return {name: headers[name] for name in headers if name not in ("date", "content-length")}


async def test_anothers_blob_cannot_be_asked_about(door: Door, anns: dict[str, str]) -> None:
    async with door.http(BOB) as http:
        answers = {}
        for name in (anns["blob"], UNKNOWN["blob"]):
            message = Message("user", (Text("what is this?"), Image(name)))
            query = decode(encode(Query((message,), "vision")), dict[str, Any])
            answer = await http.post(
                "api/queries", json={"key": secrets.token_hex(8), "query": query}
            )
            answers[name] = (answer.status_code, answer.text.replace(name, "…"))
        assert answers[anns["blob"]] == answers[UNKNOWN["blob"]]
        assert answers[anns["blob"]][0] == 404


@pytest.mark.parametrize("command", [Cancel, Resume])
async def test_over_a_socket_too(door: Door, anns: dict[str, str], command: type) -> None:
    talk = await door.socket(BOB)
    told = []
    for name in (anns["running"], UNKNOWN["query"]):
        await talk.say(command(name))
        error = (await talk.until(Error)).error
        told.append(encode(error).decode().replace(name, "…"))
    assert told[0] == told[1]
    talk.close()


@pytest.mark.parametrize(
    "path", [path for path, handler in of(SCOPE_QUERY).items() if "GET" in methods_of(handler)]
)
async def test_no_address_tells_of_another_person(
    door: Door, anns: dict[str, str], path: str
) -> None:
    if "{" in path:
        return
    async with door.http(BOB) as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    told = answer.text
    for word in (SECRET, '"ann"', anns["query"], anns["running"], anns["blob"]):
        assert word not in told, path


async def test_the_state_of_the_realm_shows_how_deep_a_lane_is_and_not_whose_it_is(
    door: Door, anns: dict[str, str]
) -> None:
    talk = await door.socket(BOB)
    await talk.say(Watch())
    async with asyncio.timeout(SOON):
        state = await talk.until(RealmState)
    assert next(lane for lane in state.lanes if lane.model == "stuck").running == 1
    told = encode(state).decode()
    assert SECRET not in told
    assert '"ann"' not in told
    talk.close()


@pytest.mark.parametrize(
    "path", [path for path, handler in of(SCOPE_SYSOP).items() if "GET" in methods_of(handler)]
)
async def test_a_sysop_is_not_told_what_a_query_is_about(
    door: Door, anns: dict[str, str], path: str
) -> None:
    async with door.http(TOKEN) as http:
        for query in ("", "?user=ann") if path == "api/sysop/queries" else ("",):
            answer = await http.get(path + query)
            assert answer.status_code == 200
            assert SECRET not in answer.text
            if path == "api/sysop/queries":
                assert anns["running"] in answer.text
                assert "ann" in answer.text
        # A sysop's own pages are theirs alone.
        assert (await http.get(f"api/queries/{anns['query']}")).status_code == 404
        assert (await http.get(f"api/blobs/{anns['blob']}")).status_code == 404


async def test_prompts_are_shown_to_sysops_only_where_everybody_is_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shows = Config({"People": {**FUNDS["People"], "show_prompts": True}})
    for config, told in ((FUNDS, False), (shows, True)):
        folder = tmp_path_factory.mktemp("shown")
        async with small_realm(folder, config=config) as small, open_door(small) as door:
            async with door.http() as http:
                await http.post("api/queries", json=asking(f"the {SECRET} plan"))
                assert (await http.get("api/me")).json().get("prompts_shown", False) is told
            async with door.http(TOKEN) as http:
                seen = (await http.get("api/sysop/queries?user=ann")).text
                assert (SECRET in seen) is told
            talk = await door.socket(hello=False)
            await talk.say(Hello())
            assert (await talk.hear()).prompts_shown is told
            talk.close()
