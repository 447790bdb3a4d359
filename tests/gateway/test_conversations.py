"""Conversations: named threads of one's own answered queries."""

from __future__ import annotations

import pytest

from tests.gateway.helpers import ANN, BOB, Door, asking

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE, OTHER, THIRD = "1" * 32, "2" * 32, "3" * 32


async def answered(door: Door, token: str, words: str) -> str:
    """Return the id of an answered query."""
    async with door.http(token) as http:
        query = str((await http.post("api/queries", json=asking(words))).json()["query"])
        await http.get(f"api/queries/{query}/events")  # ends with the query
        return query


async def test_a_conversation_begins_with_its_first_turn_and_is_told_in_order(door: Door) -> None:
    async with door.http(BOB) as http:
        turns = [await answered(door, BOB, words) for words in ("first", "second")]
        for turn in (*turns, turns[0]):
            added = await http.post(
                f"api/conversations/{ONE}", json={"name": "bees", "query": turn}
            )
            assert added.status_code == 204
        (listed,) = (await http.get("api/conversations")).json()["items"]
        assert (listed["id"], listed["name"], listed["turns"]) == (ONE, "bees", 2)
        assert "queries" not in listed
        told = (await http.get(f"api/conversations/{ONE}")).json()
        assert [one["prompt"] for one in told["queries"]] == ["first", "second"]
        assert told["queries"][0]["answer"]["parts"][0]["text"] == "first"
        renamed = await http.patch(f"api/conversations/{ONE}", json={"name": "Bees & honey"})
        assert renamed.json()["name"] == "Bees & honey"
        elsewhere = await http.post(
            f"api/conversations/{OTHER}", json={"name": "x", "query": turns[0]}
        )
        assert elsewhere.status_code == 400
        assert (await http.delete(f"api/conversations/{ONE}")).status_code == 204
        assert (await http.get("api/conversations")).json().get("items", []) == []
        assert (await http.get(f"api/queries/{turns[0]}")).status_code == 200


async def test_anothers_conversation_is_as_unknown_as_none(door: Door) -> None:
    his, hers = await answered(door, BOB, "his"), await answered(door, ANN, "hers")
    async with door.http(BOB) as bobs, door.http(ANN) as anns:
        turn = {"name": "mine", "query": his}
        assert (await bobs.post(f"api/conversations/{THIRD}", json=turn)).status_code == 204
        for call in (
            anns.get(f"api/conversations/{THIRD}"),
            anns.get(f"api/conversations/{'9' * 32}"),
            anns.get("api/conversations/nonsense"),
            anns.patch(f"api/conversations/{THIRD}", json={"name": "hers now"}),
            anns.delete(f"api/conversations/{THIRD}"),
            anns.post(f"api/conversations/{THIRD}", json={"name": "x", "query": hers}),
            anns.post(f"api/conversations/{'9' * 32}", json={"name": "x", "query": his}),
        ):
            assert (await call).status_code == 404
        assert (await anns.get("api/conversations")).json().get("items", []) == []
        assert (await bobs.get(f"api/conversations/{THIRD}")).json()["turns"] == 1


@pytest.mark.parametrize(
    "turn",
    [
        {},
        {"name": "", "query": "0" * 32},
        {"name": "x" * 101, "query": "0" * 32},
        {"name": "two\nlines", "query": "0" * 32},
        {"name": "x", "query": "nonsense"},
        {"name": "x", "query": "0" * 32, "person": "ann"},
    ],
)
async def test_what_is_no_turn_is_refused(door: Door, turn: dict[str, str]) -> None:
    async with door.http(BOB) as http:
        assert (await http.post(f"api/conversations/{OTHER}", json=turn)).status_code == 400


async def test_a_query_without_an_answer_is_no_turn(door: Door) -> None:
    async with door.http(BOB) as http:
        stuck = (await http.post("api/queries", json=asking(model="stuck"))).json()["query"]
        turn = {"name": "x", "query": stuck}
        refused = await http.post(f"api/conversations/{OTHER}", json=turn)
        assert refused.status_code == 400
        assert "no answer" in refused.json()["error"]["message"]
        assert (await http.get(f"api/conversations/{OTHER}")).status_code == 404
        await http.delete(f"api/queries/{stuck}")
