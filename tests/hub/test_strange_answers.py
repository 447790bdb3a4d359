"""What holds when what answers in the Hub's place is not the Hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from mtor_kernel.hub.pages import PAGES
from mtor_kernel.hub.people import HubPeople, SignIn
from mtor_kernel.protocol.errors import BadInput
from tests.gateway.helpers import Door, open_door
from tests.realms import small_realm

pytestmark = pytest.mark.asyncio

ANN = {"kind": "user", "name": "ann", "groups": [], "scopes": ["custom:mtor:query"]}
STRANGE = [{}, [], "down for repairs", {"status": "maintenance"}, {**ANN, "name": ""}]


class Desk(RequestHandler):
    """The place where the Hub should be: gives whatever answer lies on it."""

    async def get(self) -> None:
        status, said = self.settings["lies"][0]
        self.set_status(status)
        self.finish(httpx.Response(200, json=said).content)


@asynccontextmanager
async def realm_of_a_hub(folder: Path, lies: list[tuple[int, Any]]) -> AsyncIterator[Door]:
    server = HTTPServer(Application([("/hub/api/user", Desk)], lies=lies))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    hub = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api"
    SignIn.clear_instance()
    sign_in = SignIn.instance(api_url=hub, api_token="the realm's", hub_host="", base_url="/")
    who = HubPeople(sign_in, fresh_seconds=0.0)
    try:
        async with (
            small_realm(folder, workers=0) as small,
            open_door(small, who=who, pages=PAGES) as door,
        ):
            yield door
    finally:
        SignIn.clear_instance()
        server.stop()
        await server.close_all_connections()


async def test_who_is_known_goes_on_whatever_answers_in_the_hubs_place(tmp_path: Path) -> None:
    lies: list[tuple[int, Any]] = [(200, ANN)]
    async with realm_of_a_hub(tmp_path, lies) as door, door.http("hers") as http:
        first = await http.get("api/me")
        assert first.json().get("user") == "ann", first.text
        for said in [*((200, each) for each in STRANGE), (502, {}), (404, {})]:
            lies[:] = [said]
            answer = await http.get("api/me")
            assert (answer.status_code, answer.json().get("user")) == (200, "ann"), said


async def test_who_is_not_known_is_told_to_try_again(tmp_path: Path) -> None:
    lies: list[tuple[int, Any]] = [(200, None)]
    async with realm_of_a_hub(tmp_path, lies) as door, door.http("hers") as http:
        for said in STRANGE:
            lies[:] = [(200, said)]
            answer = await http.get("api/me")
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), said


async def test_the_page_for_people_says_so_too(tmp_path: Path) -> None:
    lies: list[tuple[int, Any]] = [(502, {})]
    async with realm_of_a_hub(tmp_path, lies) as door, door.http("hers") as http:
        page = await http.get("")
        assert (page.status_code, "try again in a moment" in page.text) == (503, True), page.text


async def test_behind_tls_the_page_gives_no_address_without_it(tmp_path: Path) -> None:
    async with realm_of_a_hub(tmp_path, [(200, ANN)]) as door, door.http("hers") as http:
        for how in ({"X-Forwarded-Proto": "https"}, {"Forwarded": "proto=https;host=hub.example"}):
            page = await http.get("", headers=how)
            assert "<code>https://" in page.text
            assert "http://" not in page.text


async def test_a_group_of_a_role_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="the roles are guest, user"):
        HubPeople(SignIn(api_token="the realm's"), role_of_group={"physics": "admin"})
