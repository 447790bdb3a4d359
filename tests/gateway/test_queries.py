"""Ask, look and stop over REST."""

from __future__ import annotations

import asyncio
import secrets

import httpx
import pytest

from mtor_kernel.gateway.queries import one_key
from mtor_kernel.protocol.errors import BadInput
from tests.gateway.helpers import ANN, BOB, SOON, Door, asking

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ended(http: httpx.AsyncClient, query: str) -> dict[str, object]:
    """The query once it has ended; its events tell when."""
    await http.get(f"api/queries/{query}/events")
    return dict((await http.get(f"api/queries/{query}")).json())


async def test_what_is_asked_is_admitted_answered_and_kept(door: Door) -> None:
    async with door.http() as http:
        sent = await http.post("api/queries", json=asking("to be or not"))
        assert sent.status_code == 202
        admitted = sent.json()
        assert admitted["op"] == "admitted"
        assert admitted["hold_micro"] > 0
        assert sent.headers["Location"] == f"/api/queries/{admitted['query']}"
        info = await ended(http, admitted["query"])
        assert info["stage"] == "settled"
        assert info["answer"] == {"parts": [{"type": "text", "text": "to be or not"}]}
        assert info["charge"]["amount_micro"] <= admitted["hold_micro"]
        latest = (await http.get("api/queries", params={"limit": 1})).json()
        assert [item["id"] for item in latest["items"]] == [admitted["query"]]


async def test_sent_again_with_its_key_it_is_the_same_query(door: Door) -> None:
    body = asking()
    async with door.http() as http:
        first = (await http.post("api/queries", json=body)).json()
        again = (await http.post("api/queries", json=body)).json()
        assert again["query"] == first["query"]
        assert again["repeated"] is True
        other = await http.post("api/queries", json=asking("something else") | {"key": body["key"]})
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "key_conflict"


async def test_the_key_may_come_in_a_header(door: Door) -> None:
    body, key = asking(), secrets.token_hex(8)
    del body["key"]
    async with door.http() as http:

        async def send(**headers: str) -> httpx.Response:
            return await http.post("api/queries", json=body, headers=headers)

        first = await send(**{"Idempotency-Key": key})
        again = await send(**{"Idempotency-Key": key})
        assert first.json()["query"] == again.json()["query"]
        assert (await send()).status_code == 400


@pytest.mark.parametrize(
    ("inside", "header"),
    [(None, None), ("", None), ("a", "b"), (None, "two words"), (None, "x" * 129), (None, "é")],
)
async def test_a_submission_without_one_good_key_is_refused(
    inside: str | None, header: str | None
) -> None:
    with pytest.raises(BadInput):
        one_key(inside, header)


async def test_a_page_leads_to_the_next(door: Door) -> None:
    async with door.http(BOB) as http:
        asked = [
            (await http.post("api/queries", json=asking(f"page {at}"))).json()["query"]
            for at in range(5)
        ]
        seen: list[str] = []
        before = ""
        while True:
            page = (await http.get("api/queries", params={"limit": 2, "before": before})).json()
            seen += [item["id"] for item in page.get("items", [])]
            if not (before := page.get("next", "")):
                break
        assert seen == asked[::-1]
        found = (await http.get("api/queries", params={"search": "page 3"})).json()["items"]
        assert [item["id"] for item in found] == [asked[3]]


async def test_ones_own_queries_are_searched_by_model_stage_and_time(door: Door) -> None:
    async with door.http(BOB) as http, door.http(ANN) as anns:
        await anns.post("api/queries", json=asking("hers", model="stuck"))
        query = (await http.post("api/queries", json=asking("his", model="stuck"))).json()["query"]
        created = (await http.get(f"api/queries/{query}")).json()["created_at"]

        async def found(**sought: object) -> bool:
            page = (await http.get("api/queries", params=sought)).json()
            return query in [item["id"] for item in page.get("items", [])]

        assert await found(model="stuck", stage="running") or await found(stage="queued")
        assert not await found(model="echo")
        assert not await found(stage="settled")
        assert await found(since=created, until=created + 1)
        assert not await found(since=created + 1)
        assert not await found(until=created)
        mine = (await http.get("api/queries", params={"model": "stuck"})).json()["items"]
        assert {item["prompt"] for item in mine} == {"his"}
        await http.delete(f"api/queries/{query}")
        for wrong in ({"stage": "done"}, {"since": "today"}, {"until": "nan"}, {"since": "1e999"}):
            refused = await http.get("api/queries", params=wrong)
            assert refused.status_code == 400
            assert next(iter(wrong)) in refused.json()["error"]["message"]


async def test_anothers_query_is_as_unknown_as_none(door: Door) -> None:
    async with door.http(ANN) as anns, door.http(BOB) as bobs:
        query = (await anns.post("api/queries", json=asking())).json()["query"]
        for suffix in ("", "/events"):
            theirs = await bobs.get(f"api/queries/{query}{suffix}")
            nobodys = await bobs.get(f"api/queries/{'0' * 32}{suffix}")
            assert theirs.status_code == nobodys.status_code == 404
            told = theirs.text.replace(query, "0" * 32)
            assert told == nobodys.text
        assert (await bobs.delete(f"api/queries/{query}")).status_code == 404


async def test_a_query_is_cancelled(door: Door) -> None:
    async with door.http() as http:
        query = (await http.post("api/queries", json=asking(model="stuck"))).json()["query"]
        assert (await http.delete(f"api/queries/{query}")).status_code == 202
        async with asyncio.timeout(SOON):
            info = await ended(http, query)
        assert info["stage"] == "cancelled"
        again = await http.delete(f"api/queries/{query}")
        assert (again.status_code, again.json()["stage"]) == (202, "cancelled")


async def test_a_quote_holds_nothing(door: Door) -> None:
    async with door.http(BOB) as http:
        before = (await http.get("api/me")).json()
        quote = await http.post("api/quote", json=asking(max_tokens=100)["query"])
        assert quote.status_code == 200
        assert quote.json()["model"] == "echo"
        assert quote.json()["hold_micro"] >= 200
        assert (await http.get("api/me")).json() == before


async def test_ones_own_page_and_spending(door: Door) -> None:
    async with door.http() as http:
        query = (await http.post("api/queries", json=asking())).json()["query"]
        await ended(http, query)
        me = (await http.get("api/me")).json()
        assert (me["user"], me["role"]) == ("ann", "user")
        rows = (await http.get("api/usage", params={"days": 1})).json()["items"]
        assert sum(row["charge_micro"] for row in rows) > 0


async def test_what_there_is(door: Door) -> None:
    async with door.http() as http:
        models = (await http.get("api/models")).json()["items"]
        assert {model["name"] for model in models} >= {"echo", "slow", "stuck", "chat"}
        workers = (await http.get("api/workers")).json()["items"]
        assert [worker["state"] for worker in workers] == ["well"]
        lanes = (await http.get("api/lanes")).json()
        assert {lane["model"] for lane in lanes["lanes"]} >= {"echo", "slow", "stuck"}


@pytest.mark.parametrize(
    "address",
    [
        "api/queries?limit=0",
        "api/queries?limit=201",
        "api/queries?limit=many",
        "api/queries?limit=-1",
        "api/queries?limit=1e2",
        "api/queries?limit=%D9%A3",
        "api/queries?limit=99999999999999999999",
        "api/queries?search=" + "x" * 1001,
        "api/queries?search=%ff",
        "api/usage?days=0",
        "api/usage?days=367",
    ],
)
async def test_a_number_or_a_word_that_cannot_be_is_refused(door: Door, address: str) -> None:
    async with door.http() as http:
        answer = await http.get(address)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("bad_input", "malformed")


@pytest.mark.parametrize("before", ["x", "-1", "0", "9" * 40, "a.b", "1.5:zz", "\u20ac"])
async def test_a_cursor_that_nobody_gave_is_no_fault(door: Door, before: str) -> None:
    async with door.http() as http:
        answer = await http.get("api/queries", params={"before": before})
    assert answer.status_code in (200, 400)
