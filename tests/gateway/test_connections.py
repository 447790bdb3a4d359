"""How many connections one person may have open at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import QuotaExceeded
from mtor_kernel.protocol.ngram import Admitted
from tests.gateway.helpers import ANN, BOB, Door, Talk, dial, open_door
from tests.realms import TOKEN, small_realm

MOST = 3


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    config = Config({"People": {"max_connections": MOST, "grant_credits": {"user": 100.0}}})
    async with small_realm(tmp_path, config=config) as small, open_door(small) as door:
        yield door


async def fill(door: Door, token: str = ANN) -> list[Talk]:
    return [await door.socket(token) for _ in range(MOST)]


async def closed(door: Door, user: str, left: int) -> None:
    async with asyncio.timeout(60):
        while sum(one.user == user for one in door.small.realm.readers.followers) > left:
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_who_has_as_many_sockets_as_one_may_is_told_so_and_nobody_else_is(door: Door) -> None:
    talks = await fill(door)
    with pytest.raises(HTTPClientError) as refused:
        await dial(door.ws + "ngram", ANN)
    assert refused.value.code == 429
    assert b'"rule":"connections"' in refused.value.response.body
    assert b"may have 3" in refused.value.response.body
    (await door.socket(BOB)).close()
    talks[0].close()
    await closed(door, "ann", MOST - 1)
    await door.socket(ANN)


@pytest.mark.asyncio
async def test_a_streamed_answer_counts_as_a_socket_does(door: Door) -> None:
    talks = await fill(door)
    await talks[0].ask("never ends", "stuck")
    query = (await talks[0].until(Admitted)).query
    async with door.http() as http:
        refused = await http.get(f"api/queries/{query}/events")
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert (error["code"], error["rule"]) == ("quota_exceeded", "connections")
        assert error["details"] == {"limit": MOST, "used": MOST}
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        assert (await http.post("v1/chat/completions", json=body)).status_code == 429
        # What is not kept open is not counted.
        assert (await http.get("api/me")).status_code == 200
        assert (await http.delete(f"api/queries/{query}")).status_code < 300


@pytest.mark.asyncio
async def test_of_many_that_come_at_once_no_more_stay_than_may(door: Door) -> None:
    tried = await asyncio.gather(
        *(dial(door.ws + "ngram", ANN) for _ in range(10 * MOST)), return_exceptions=True
    )
    await closed(door, "ann", MOST)
    assert sum(one.user == "ann" for one in door.small.realm.readers.followers) == MOST
    for each in tried:
        if not isinstance(each, BaseException):
            each.close()
    await closed(door, "ann", 0)
    # None is counted that is gone.
    await fill(door)


@pytest.mark.asyncio
async def test_those_whose_account_has_no_floor_may_have_any_number(door: Door) -> None:
    await fill(door, TOKEN)
    await fill(door, TOKEN)


@pytest.mark.asyncio
async def test_a_client_tells_it_in_the_words_of_the_realm(door: Door) -> None:
    await fill(door)
    async with RealmClient(door.url, ANN) as realm:
        with pytest.raises(QuotaExceeded, match="close one"):
            await realm.ask("Hello")
