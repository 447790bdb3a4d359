"""What the sysop does, and that it is written down."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import pytest

from tests.gateway.helpers import ANN, BOB, CARL, SOON, Door, asking, open_door
from tests.realms import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def act(door: Door, action: str, **order: Any) -> httpx.Response:
    """Do one act; fails unless it is done."""
    async with door.http(TOKEN) as http:
        answer = await http.post(f"api/sysop/{action}", json=order)
    assert answer.status_code in (200, 204), answer.text
    return answer


async def submitted(door: Door, token: str = ANN, **how: Any) -> httpx.Response:
    async with door.http(token) as http:
        return await http.post("api/queries", json=asking(**how))


async def test_admission_is_paused_and_opened_again(door: Door) -> None:
    await act(door, "pause", on=True, reason="repairs")
    refused = await submitted(door)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "admission_paused"
    await act(door, "pause", on=False)
    assert (await submitted(door)).status_code == 202


async def test_a_person_is_banned_and_welcome_again(door: Door) -> None:
    await submitted(door, BOB)
    await act(door, "ban", user="bob", reason="a test")
    refused = await submitted(door, BOB)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "banned")
    async with door.http(TOKEN) as http:
        people = (await http.get("api/sysop/people")).json()["items"]
    bob = next(person for person in people if person["name"] == "bob")
    assert bob["ban_reason"] == "a test"
    await act(door, "unban", user="bob")
    assert (await submitted(door, BOB)).status_code == 202


async def test_credits_are_given_and_taken(door: Door) -> None:
    async def balance() -> int:
        async with door.http(CARL) as http:
            return int((await http.get("api/me")).json()["balance_micro"])

    before = await balance()
    await act(door, "grant", user="carl", micro=5_000_000, reason="course")
    assert await balance() == before + 5_000_000
    await act(door, "grant", user="carl", micro=-5_000_000)
    assert await balance() == before


async def test_a_person_has_rules_of_their_own(door: Door) -> None:
    await act(door, "quota", user="ann", quotas={"queries_per_minute": 0})
    refused = await submitted(door)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["code"], error["rule"]) == ("quota_exceeded", "queries_per_minute")
    await act(door, "quota", user="ann", quotas=None)
    assert (await submitted(door)).status_code == 202


async def test_a_persons_queries_are_stopped(door: Door) -> None:
    queries = [(await submitted(door, model="stuck")).json()["query"] for _ in range(3)]
    answer = await act(door, "stop-queries", user="ann", reason="enough")
    assert answer.json()["stopped"] >= 3
    async with door.http() as http, asyncio.timeout(SOON):
        for query in queries:
            assert "cancelled" in (await http.get(f"api/queries/{query}/events")).text


async def test_a_worker_is_drained_and_works_again(door: Door) -> None:
    name = door.small.realm.workers.infos()[0].name
    await act(door, f"workers/{name}/drain", reason="maintenance")
    assert door.small.realm.workers.infos()[0].state == "draining"
    await act(door, f"workers/{name}/resume")
    assert door.small.realm.workers.infos()[0].state == "well"
    await act(door, f"workers/{name}/load", model="echo")
    await act(door, f"workers/{name}/unload", model="echo")
    async with door.http(TOKEN) as http:
        assert (await http.post("api/sysop/workers/nobody/drain")).status_code == 404
        assert (await http.post(f"api/sysop/workers/{name}/dance")).status_code == 404
        assert (await http.post(f"api/sysop/workers/{name}/load", json={})).status_code == 400


async def test_the_catalogue_is_read_again(door: Door) -> None:
    await act(door, "reload")
    assert (await submitted(door)).status_code == 202


async def test_every_act_is_one_row_with_its_reason(door: Door) -> None:
    async with door.http(CARL) as http:
        await http.get("api/me")
    await act(door, "notice", text="One row of this.")
    await act(door, "ban", user="carl", reason="two rows of this")
    async with door.http(TOKEN) as http:
        page = (await http.get("api/sysop/audit", params={"limit": 2})).json()
        assert len(page["items"]) == 2
        rest = await http.get("api/sysop/audit", params={"limit": 2, "before": page["next"]})
        assert rest.json()["items"][0]["id"] < page["items"][-1]["id"]
        rows = (await http.get("api/sysop/audit")).json()["items"]
    done = [(row["actor"], row["action"], row["subject"], row["reason"]) for row in rows]
    assert ("owner", "ban", "carl", "two rows of this") in done
    assert ("owner", "notice", "", "One row of this.") in done
    await act(door, "unban", user="carl")


@pytest.mark.parametrize(
    ("action", "order"),
    [
        ("pause", {"on": "yes"}),
        ("pause", {"off": True}),
        ("ban", {}),
        ("ban", {"user": ""}),
        ("ban", {"user": "x" * 256}),
        ("ban", {"user": "bob", "reason": "x" * 501}),
        ("grant", {"user": "bob"}),
        ("grant", {"user": "bob", "micro": 0}),
        ("grant", {"user": "bob", "micro": 1.5}),
        ("grant", {"user": "bob", "micro": 2**60}),
        ("grant", {"user": "bob", "micro": "1"}),
        ("quota", {"user": "bob", "quotas": {"warp": 9}}),
        ("quota", {"user": "bob", "quotas": {"waiting": -1}}),
        ("notice", {"text": ""}),
        ("notice", {"text": "x" * 2001}),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    door: Door, action: str, order: dict[str, Any]
) -> None:
    async with door.http(TOKEN) as http:
        answer = await http.post(f"api/sysop/{action}", json=order)
    assert answer.status_code == 400, answer.text


async def test_orders_about_nobody_are_no_fault(door: Door) -> None:
    async with door.http(TOKEN) as http:
        for action in ("unban", "stop-queries", "ban", "unban"):
            answer = await http.post(f"api/sysop/{action}", json={"user": "nobody at all"})
            assert answer.status_code < 500, (action, answer.text)
        grant = {"user": "nobody else", "micro": 1}
        answer = await http.post("api/sysop/grant", json=grant)
        assert answer.status_code < 500, answer.text
        answer = await http.post("api/sysop/quota", json={"user": "nobody yet"})
        assert answer.status_code < 500, answer.text


async def test_a_realm_is_stopped_once_it_has_said_so(door: Door) -> None:
    stopped = asyncio.Event()
    async with open_door(door.small, stop=stopped.set) as own, own.http(TOKEN) as http:
        assert (await http.get("health")).json()["status"] == "ok"
        assert (await http.post("api/sysop/stop")).status_code == 202
        async with asyncio.timeout(SOON):
            await stopped.wait()
        health = await http.get("health")
        assert (health.status_code, health.json()["error"]["code"]) == (503, "realm_stopping")


async def test_a_realm_that_is_a_service_is_not_stopped_from_outside(door: Door) -> None:
    async with door.http(TOKEN) as http:
        assert (await http.post("api/sysop/stop")).status_code == 404
        assert (await http.get("health")).status_code == 200


@pytest.mark.parametrize("how", ["events", "chat"])
async def test_a_ban_ends_streams_over_http_too(door: Door, how: str) -> None:
    """Of what runs nothing more is told, and the connection ends."""
    async with door.http(BOB) as http:
        query = (await submitted(door, BOB, model="stuck")).json()["query"]
        form = {
            "model": "stuck",
            "messages": [{"role": "user", "content": "hello"}],
            "stream": True,
        }
        asked = (
            http.stream("GET", f"api/queries/{query}/events")
            if how == "events"
            else http.stream("POST", "v1/chat/completions", json=form)
        )
        try:
            async with asyncio.timeout(SOON):
                opened = asyncio.create_task(_drain(asked))
                while len(door.small.realm.readers.followers) == 0:
                    await asyncio.sleep(0.01)
                await act(door, "ban", user="bob", reason="a test")
                await opened
        finally:
            await act(door, "unban", user="bob")


async def _drain(asked: Any) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):
        async with asked as stream:
            async for _ in stream.aiter_lines():
                pass
