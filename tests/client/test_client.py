"""The asynchronous face: asking, refusals, cancels."""

import asyncio
from contextlib import aclosing

import pytest

from mtor_kernel.client import RealmClient, question
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    Malformed,
    NotFound,
    QueryCancelled,
    QuotaExceeded,
    RealmUnreachable,
    TooLarge,
    UnknownOption,
    WorkerLost,
)
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.ngram import Cancelled, Chunk, Queued, RealmState, Started
from mtor_kernel.protocol.query import Message, Priority, Query, Text
from tests.client.realm_double import STATE, RealmDouble

PROMPT = "one two three four"


@pytest.mark.asyncio
async def test_an_answer_comes_with_its_cost(client: RealmClient) -> None:
    reply = await client.ask(PROMPT)
    assert str(reply) == reply.text == PROMPT
    assert reply.parts == (Text(PROMPT),)
    assert (reply.model, reply.finish_reason, reply.attempts) == ("echo", "stop", 1)
    assert (reply.charge.amount_micro, reply.seconds) == (len(PROMPT), 0.5)
    assert len(repr(reply)) < 120


@pytest.mark.asyncio
async def test_words_come_as_they_are_made(realm: RealmDouble, client: RealmClient) -> None:
    realm.pause_after = 2
    async with aclosing(client.stream(PROMPT)) as words:
        first = await anext(words)
        assert PROMPT.startswith(first)
        assert first != PROMPT
        realm.flowing.set()
        assert first + "".join([word async for word in words]) == PROMPT


@pytest.mark.asyncio
async def test_a_query_under_way_says_where_it_stands(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.open.clear()
    running = await client.submit(Query.ask(PROMPT))
    assert (running.model, running.hold_micro, running.ended) == ("echo", 1000, False)
    events = running.events()
    assert isinstance(await anext(events), Queued)
    realm.open.set()
    assert isinstance(await anext(events), Started)
    assert [event async for event in events][-1].query == running.id
    assert running.ended


@pytest.mark.asyncio
async def test_a_stream_does_not_go_on_in_another_attempts_words(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.lost_attempts = {1: 3}
    realm.pause_after = 2
    words = client.stream(PROMPT)
    await anext(words)
    realm.flowing.set()
    with pytest.raises(WorkerLost, match="Ask again"):
        async for _ in words:
            pass


@pytest.mark.asyncio
async def test_a_refusal_is_raised_with_its_rule(realm: RealmDouble, client: RealmClient) -> None:
    realm.refusal = QuotaExceeded("Enough.", rule="running", retry_after_seconds=3.0, limit=1)
    with pytest.raises(QuotaExceeded, match="Enough") as caught:
        await client.ask(PROMPT)
    assert caught.value.info() == realm.refusal.info()


@pytest.mark.asyncio
async def test_a_failure_is_raised(realm: RealmDouble, client: RealmClient) -> None:
    realm.failure = BackendFailed("It broke.")
    with pytest.raises(BackendFailed, match="It broke"):
        await client.ask(PROMPT)


@pytest.mark.asyncio
async def test_who_stops_waiting_for_an_answer_cancels_the_query(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.pause_after = 1
    asking = asyncio.create_task(client.ask(PROMPT))
    while realm.flowing.is_set():
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(realm.cancelled.wait(), 60)
    (record,) = realm.records.values()
    assert isinstance(record.end, Cancelled)


@pytest.mark.asyncio
async def test_who_stops_waiting_for_the_admission_takes_the_query_back(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.deaf = 1
    realm.open.clear()
    asking = asyncio.create_task(client.ask(PROMPT))
    while not realm.records:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(realm.cancelled.wait(), 60)


@pytest.mark.asyncio
async def test_leaving_a_stream_early_cancels_the_query(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.pause_after = 1
    async with aclosing(client.stream(PROMPT)) as words:
        await anext(words)
    await asyncio.wait_for(realm.cancelled.wait(), 60)


@pytest.mark.asyncio
async def test_a_cancel_while_the_realm_is_away_is_said_when_it_is_back(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.open.clear()
    running = await client.submit(Query.ask(PROMPT))
    await realm.stop()
    assert not await running.cancel(confirm_seconds=0.01)
    await realm.restart()
    with pytest.raises(QueryCancelled) as caught:
        await running.answer()
    assert caught.value.details["query"] == running.id


@pytest.mark.asyncio
async def test_a_cancel_by_id_and_what_is_not_there(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.open.clear()
    running = await client.submit(Query.ask(PROMPT))
    await client.cancel(running.id)
    with pytest.raises(QueryCancelled):
        await running.answer()
    with pytest.raises(NotFound):
        await client.info("0" * 32)


@pytest.mark.asyncio
async def test_the_realm_can_be_looked_at(realm: RealmDouble, client: RealmClient) -> None:
    assert [model.name for model in await client.models()] == ["echo"]
    assert (await client.me()).role is Role.SYSOP
    assert await client.queue() == STATE
    async with aclosing(client.watch()) as news:
        assert isinstance(await anext(news), RealmState)


@pytest.mark.asyncio
async def test_a_realm_that_is_not_there_is_named(realm: RealmDouble) -> None:
    await realm.stop()
    async with RealmClient(realm.url, realm.token) as client:
        with pytest.raises(RealmUnreachable, match=realm.url):
            await client.models()
    await realm.start()


@pytest.mark.asyncio
async def test_what_cannot_be_asked_is_said_before_it_is_sent(client: RealmClient) -> None:
    with pytest.raises(TooLarge, match="blob"):
        await client.ask("x" * 300_000)
    with pytest.raises(UnknownOption):
        await client.ask(PROMPT, colour="red")
    with pytest.raises(Malformed):
        await client.ask(PROMPT, model="No Such Name")
    with pytest.raises(BadInput, match="half a character"):
        await client.ask("half of a pair: \ud800")
    with pytest.raises(BadInput, match="http"):
        RealmClient("localhost:8000", "t")
    with pytest.raises(BadInput, match="token"):
        RealmClient("http://localhost:8000")


def test_a_question_is_put_together_in_order() -> None:
    query = question(
        "and now?",
        "tiny",
        system="Be brief.",
        messages=[{"role": "user", "content": "hi"}, Message("assistant", (Text("hello"),))],
        priority="batch",
        ttl_seconds=5,
        max_tokens=3,
    )
    assert [(turn.role, turn.text) for turn in query.messages] == [
        ("system", "Be brief."),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "and now?"),
    ]
    assert (query.model, query.priority, query.ttl_seconds) == ("tiny", Priority.BATCH, 5)
    assert query.options.max_tokens == 3


@pytest.mark.asyncio
async def test_chunks_name_their_query(client: RealmClient) -> None:
    running = await client.submit(Query.ask(PROMPT))
    chunks = [event async for event in running.events() if isinstance(event, Chunk)]
    assert {chunk.query for chunk in chunks} == {running.id}
