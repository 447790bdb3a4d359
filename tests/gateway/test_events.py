"""Server-sent events: a query's story from any point on, once and in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from mtor_kernel.gateway.events import Cursor
from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.ngram import Chunk, Requeued, Settled, Started
from tests.gateway.helpers import SOON, Door, asking, open_door
from tests.plugins import HeldBackend

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0" * 32
PROMPT = "".join(f"word{at} " for at in range(20))


@dataclass
class Event:
    """One event, or a comment."""

    id: str = ""
    name: str = ""
    data: Any = None
    comment: str = ""


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """Yield what a stream says, as it comes."""
    event = Event()
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        match field:
            case "id":
                event.id = value
            case "event":
                event.name = value
            case "data":
                event.data = json.loads(value)
            case "" if line:
                event.comment = value
            case _:
                yield event
                event = Event()


async def submit(http: httpx.AsyncClient, model: str = "slow", prompt: str = PROMPT) -> str:
    answer = await http.post("api/queries", json=asking(prompt, model))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["query"])


async def story(
    http: httpx.AsyncClient,
    query: str,
    after: str = "",
    *,
    limit: int = 0,
    each: Callable[[list[Event]], None] = lambda told: None,
    **headers: str,
) -> list[Event]:
    """The events of a query to its end, or the first `limit` of them; `each` is called by each."""
    told = []
    address = f"api/queries/{query}/events"
    params = {"after": after} if after else {}
    async with http.stream("GET", address, params=params, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        async for event in events(response):
            told.append(event)
            each(told)
            if len(told) == limit:
                break
    return told


def let_next(told: list[Event]) -> None:
    """Let the model say a word more than has come."""
    HeldBackend.let(1 + sum(event.name == "chunk" for event in told))


def text_of(told: list[Event]) -> str:
    return "".join(event.data.get("text", "") for event in told if event.name == "chunk")


@pytest.mark.usefixtures("held")
async def test_a_story_has_a_beginning_words_and_one_end(door: Door) -> None:
    async with door.http() as http:
        told = await story(http, await submit(http, "held"), each=let_next)
    names = [event.name for event in told]
    assert names[-1] == "settled"
    assert names.index("started") < names.index("chunk")
    assert names.count("settled") == 1
    assert text_of(told) == PROMPT
    assert told[-1].id == "end"
    chunks = [event for event in told if event.name == "chunk"]
    assert len(chunks) == 20  # it streams: no word was said before the last one had come
    assert [event.id for event in chunks] == [
        f"{event.data['attempt']}.{event.data['next']}" for event in chunks
    ]


@pytest.mark.parametrize("live", [True, False], ids=["while it runs", "after its end"])
async def test_whoever_comes_back_misses_and_repeats_nothing(door: Door, live: bool) -> None:
    async with door.http() as http:
        query = await submit(http)
        if not live:
            await story(http, query)
        text, after = "", ""
        for _ in range(3):
            told = await story(http, query, after, limit=4)
            text, after = text + text_of(told), told[-1].id
            if after == "end":
                break
        else:
            text += text_of(await story(http, query, **{"Last-Event-ID": after}))
    assert text == PROMPT


async def test_any_cut_of_a_stored_answer_gives_the_rest(door: Door) -> None:
    async with door.http() as http:
        query = await submit(http, "echo", "short")
        await story(http, query)
        for at in range(len("short") + 1):
            told = await story(http, query, f"1.{at}")
            assert text_of(told) == "short"[at:]
            assert told[-1].name == "settled"


async def test_the_header_counts_before_the_address(door: Door) -> None:
    async with door.http() as http:
        query = await submit(http, "echo", "short")
        await story(http, query)
        assert text_of(await story(http, query, "1.1", **{"Last-Event-ID": "1.3"})) == "rt"


async def test_a_browser_that_comes_back_after_the_end_is_told_to_stop(door: Door) -> None:
    async with door.http() as http:
        answer = await http.get(f"api/queries/{ID}/events", headers={"Last-Event-ID": "end"})
    assert answer.status_code == 204


@pytest.mark.parametrize("after", ["1", "1.", ".1", "a.b", "-1.2", "1.2.3", "9" * 30 + ".1", "1.٣"])
async def test_a_cursor_that_is_none_is_refused(door: Door, after: str) -> None:
    async with door.http() as http:
        answer = await http.get(f"api/queries/{ID}/events", params={"after": after})
    assert answer.status_code == 400


async def test_a_silence_is_filled_with_comments(door: Door) -> None:
    limits = Limits(heartbeat_seconds=0.02)
    async with open_door(door.small, limits=limits) as quick, quick.http() as http:
        query = await submit(http, "stuck")
        async with asyncio.timeout(SOON):
            told = await story(http, query, limit=12)
        assert [event.comment for event in told].count("waiting") >= 3
        await http.delete(f"api/queries/{query}")


async def test_who_leaves_stops_nothing(door: Door) -> None:
    async with door.http() as http:
        query = await submit(http)
        await story(http, query, limit=3)
        told = await story(http, query)
    assert told[-1].name == "settled"


async def test_nobody_is_left_behind(door: Door) -> None:
    async with door.http() as http:
        query = await submit(http, "stuck")
        await story(http, query, limit=1)
        await http.delete(f"api/queries/{query}")
        await story(http, query)
    async with asyncio.timeout(SOON):
        while door.small.realm.readers.followers:
            await asyncio.sleep(0.01)


async def test_a_cursor_moves_with_what_it_passes() -> None:
    cursor = Cursor.parse("1.5")
    assert cursor.pass_(Started(ID, 1)) == "1.5"
    assert cursor.pass_(Chunk(ID, 1, 5, 9, "word")) == "1.9"
    assert cursor.pass_(Requeued(ID, 2)) == "2.0"
    assert cursor.pass_(Started(ID, 2)) == "2.0"
    assert cursor.pass_(Settled(ID, 2, "echo", Charge())) == "end"
    assert Cursor.parse("").pass_(Started(ID, 3)) == "3.0"
    with pytest.raises(BadInput):
        Cursor.parse("nonsense")
