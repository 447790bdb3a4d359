"""Rows of a table over HTTP: asked together, told together, and none of them twice."""

from __future__ import annotations

import json
import secrets
from typing import Any

import httpx
import pytest

from tests.gateway.helpers import BOB, CARL, Door
from tests.realms import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEES = ("what do bees make", "who keeps them", "where do they live")


def rows_of(*texts: str, **more: Any) -> dict[str, Any]:
    """The body that asks about rows under new keys."""
    query = {
        "model": "echo",
        "messages": [{"role": "user", "parts": [{"type": "text", "text": texts[0]}]}],
        "priority": "batch",
        "rows": [{"text": text, "key": secrets.token_hex(8)} for text in texts],
    }
    return {"key": secrets.token_hex(8), "query": query | more}


async def asked(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await http.post("api/queries", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["query"])


async def told(http: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """The events of a query till its end."""
    lines = (await http.get(f"api/queries/{query}/events")).text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line[:6] == "data: "]


async def test_rows_are_asked_as_one_query_and_told_as_parts(door: Door) -> None:
    async with door.http() as http:
        query = await asked(http, rows_of(*BEES))
        events = await told(http, query)
        found = [
            answer
            for event in events
            for answer in (event.get("part") or {"answers": []})["answers"]
        ]
        assert [one["row"] for one in found] == [0, 1, 2]
        assert [one["parts"] for one in found] == [
            [{"type": "text", "text": text}] for text in BEES
        ]
        assert (events[-1]["op"], events[-1]["charge"]["usage"]["rows"]) == ("settled", 3)
        info = (await http.get(f"api/queries/{query}")).json()
        assert info["prompt"] == f"3 rows, the first: {BEES[0]}"
        kept = [part["answers"] for part in info["answer"]["parts"]]
        assert [answer for answers in kept for answer in answers] == found


async def test_a_quote_is_that_of_all_rows(door: Door) -> None:
    async with door.http() as http:
        bodies = [rows_of(text, options={"max_tokens": 10}) for text in BEES]
        bodies.append(rows_of(*BEES, options={"max_tokens": 10}))
        quotes = [await http.post("api/quote", json=body["query"]) for body in bodies]
    *each, together = [quote.json()["hold_micro"] for quote in quotes]
    assert together == sum(each)


async def test_a_row_is_asked_once_and_who_asks_again_is_told_where(door: Door) -> None:
    async with door.http() as http:
        first = rows_of(*BEES)
        query = await asked(http, first)
        again = rows_of("another", *BEES[:2])
        again["query"]["rows"][1:] = first["query"]["rows"][:2]
        refused = await http.post("api/queries", json=again)
        assert refused.status_code == 409
        error = refused.json()["error"]
        assert error["code"] == "rows_known"
        assert error["details"] == {"1": f"{query}:0", "2": f"{query}:1"}
        # Nothing of it was written: what is new in it can be asked.
        again["query"]["rows"][1:] = []
        other = await asked(http, again)
        # The submission itself, sent again, is no second one.
        assert await asked(http, first) == query != other
    async with door.http(BOB) as http:
        # Keys are each person's own.
        assert await asked(http, first) != query


async def test_each_row_counts_in_the_day_and_in_the_rule_by_the_minute(door: Door) -> None:
    ruling = {"user": "carl", "quotas": {"queries_per_minute": 4}, "reason": "a test"}
    async with door.http(TOKEN) as sysop, door.http(CARL) as http:
        await told(http, await asked(http, rows_of(*BEES)))
        (day,) = (await http.get("api/usage")).json()["items"]
        assert day["queries"] == 3
        assert (await sysop.post("api/sysop/quota", json=ruling)).is_success
        refused = await http.post("api/queries", json=rows_of(*BEES))
        assert (refused.status_code, refused.json()["error"]["rule"]) == (429, "queries_per_minute")
        await asked(http, rows_of(BEES[0]))
        never = (await http.post("api/queries", json=rows_of(*"abcde"))).json()["error"]["message"]
        assert "ask for fewer rows at once" in never


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"priority": "interactive"}, "class batch"),
        ({"messages": rows_of("other")["query"]["messages"]}, "last message is the first row"),
        ({"rows": [{"text": BEES[0], "key": "k"}, {"text": " ", "key": "l"}]}, "row 1 is empty"),
        ({"rows": [{"text": BEES[0], "key": "k"}] * 2}, "Two rows have one key"),
        ({"rows": [{"text": BEES[0], "key": f"k{at}"} for at in range(257)]}, "256"),
        ({"rows": [{"text": BEES[0], "key": "two words"}]}, "key"),
        ({"rows": [{"text": BEES[0]}]}, "key"),
    ],
)
async def test_rows_that_cannot_go_together_are_refused(
    door: Door, more: dict[str, Any], says: str
) -> None:
    async with door.http() as http:
        refused = await http.post("api/queries", json=rows_of(*BEES, **more))
    assert refused.status_code == 400
    assert says in refused.json()["error"]["message"]


async def test_an_answer_to_rows_is_no_part_of_a_question(door: Door) -> None:
    part = {"type": "rows", "answers": [{"row": 0, "parts": [{"type": "text", "text": "honey"}]}]}
    body = rows_of("and then")
    body["query"]["messages"].insert(0, {"role": "assistant", "parts": [part]})
    async with door.http() as http:
        refused = await http.post("api/queries", json=body)
    assert refused.status_code == 400
    assert "write it as words" in refused.json()["error"]["message"]
