"""Whatever happens to the socket, the answer is whole, once, and of one attempt."""

import asyncio

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import RealmUnreachable, Unauthenticated
from mtor_kernel.protocol.ngram import Chunk, QueryEnd, Requeued, Submit
from mtor_kernel.protocol.query import Query
from tests.client.realm_double import RealmDouble

PROMPT = "the quick brown fox jumps över the lazy dog 🦊 and goes home"


async def texts(running: Running) -> list[str]:
    """The text of each attempt, put together from the events alone."""
    found = [""]
    position = 0
    async for event in running.events():
        if isinstance(event, Requeued):
            found.append("")
            position = 0
        elif isinstance(event, Chunk):
            assert event.seq == position, "a gap or a repeat"
            position = event.next
            found[-1] += event.text
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("every", range(1, 14))
async def test_a_socket_lost_at_every_kth_event_changes_nothing(
    realm: RealmDouble, client: RealmClient, every: int
) -> None:
    # One event a socket would never get past "started": the double begins each socket with it.
    realm.drop_after = every + 1
    running = await client.submit(Query.ask(PROMPT))
    assert await texts(running) == [PROMPT]
    reply = await running.answer()
    assert reply.text == PROMPT
    assert reply.attempts == 1
    assert len(realm.records) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("lost_after", range(6))
@pytest.mark.parametrize("every", [0, 2, 3])
async def test_two_attempts_are_never_mixed(
    realm: RealmDouble, client: RealmClient, lost_after: int, every: int
) -> None:
    realm.lost_attempts = {1: lost_after, 2: 0}
    realm.drop_after = every
    running = await client.submit(Query.ask(PROMPT))
    seen = await texts(running)
    assert seen[-1] == PROMPT
    assert all(PROMPT.startswith(text) for text in seen)
    reply = await running.answer()
    assert (reply.text, reply.attempts) == (PROMPT, 3)


@pytest.mark.asyncio
async def test_a_missing_chunk_is_asked_for(realm: RealmDouble, client: RealmClient) -> None:
    realm.swallowed = {4, 10}
    assert await texts(await client.submit(Query.ask(PROMPT))) == [PROMPT]


@pytest.mark.asyncio
async def test_what_is_told_twice_is_taken_once(realm: RealmDouble, client: RealmClient) -> None:
    realm.stutter = True
    assert await texts(await client.submit(Query.ask(PROMPT))) == [PROMPT]


@pytest.mark.asyncio
async def test_a_submission_without_an_answer_is_sent_again_with_its_key(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.deaf = 2
    reply = await client.ask(PROMPT)
    assert reply.text == PROMPT
    submitted = [ngram.key for ngram in realm.heard if isinstance(ngram, Submit)]
    assert len(submitted) == 3
    assert len(set(submitted)) == 1
    assert len(realm.records) == 1


@pytest.mark.asyncio
async def test_a_killed_and_restarted_realm_answers_afresh(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.pause_after = 3
    running = await client.submit(Query.ask(PROMPT))
    events = running.events()
    while not isinstance(await anext(events), Chunk):
        pass
    await realm.restart()
    realm.flowing.set()
    seen = [event async for event in events]
    assert any(isinstance(event, Requeued) for event in seen)
    assert isinstance(seen[-1], QueryEnd)
    reply = await running.answer()
    assert (reply.text, reply.attempts) == (PROMPT, 2)


@pytest.mark.asyncio
async def test_many_streams_share_one_socket_and_all_come_back(
    realm: RealmDouble, client: RealmClient
) -> None:
    realm.drop_after = 25
    asked = [f"{PROMPT} {number}" for number in range(20)]
    replies = await asyncio.gather(*(client.ask(prompt) for prompt in asked))
    assert [reply.text for reply in replies] == asked
    assert 1 < realm.opened_sockets < 60


@pytest.mark.asyncio
async def test_the_same_key_gives_the_same_query_to_both_who_ask(
    realm: RealmDouble, client: RealmClient
) -> None:
    one, other = await asyncio.gather(
        client.submit(Query.ask(PROMPT), "k"), client.submit(Query.ask(PROMPT), "k")
    )
    assert one is other
    assert (await one.answer()).text == PROMPT


@pytest.mark.asyncio
async def test_a_realm_that_stays_away_is_given_up_with_advice(realm: RealmDouble) -> None:
    async with RealmClient(realm.url, realm.token, give_up_seconds=0.3) as client:
        realm.open.clear()
        running = await client.submit(Query.ask(PROMPT))
        await realm.stop()
        with pytest.raises(RealmUnreachable, match="mtor realm status"):
            await running.answer()
        with pytest.raises(RealmUnreachable):
            await client.ask(PROMPT)
        await realm.restart()
        realm.open.set()
        assert (await client.ask(PROMPT)).text == PROMPT


@pytest.mark.asyncio
async def test_a_wrong_token_is_not_tried_again(realm: RealmDouble) -> None:
    async with RealmClient(realm.url, "wrong") as client:
        with pytest.raises(Unauthenticated):
            await client.ask(PROMPT)


@pytest.mark.asyncio
async def test_a_realm_that_moved_is_looked_for(realm: RealmDouble) -> None:
    another = await RealmDouble().start()
    places = [Address(realm.url, realm.token), Address(another.url, another.token)]
    try:
        async with RealmClient(find=lambda: places.pop(0)) as client:
            assert (await client.ask(PROMPT)).text == PROMPT
            assert len(places) == 1
            await realm.stop()
            assert (await client.ask(PROMPT)).text == PROMPT
            assert (await client.me()).user == "ada"
            assert places == []
            assert another.records
        await realm.start()
    finally:
        await another.stop()


@pytest.mark.asyncio
async def test_nothing_is_opened_before_it_is_needed_or_after_it_is_closed(
    realm: RealmDouble,
) -> None:
    async with RealmClient(realm.url, realm.token) as client:
        assert (await client.models())[0].name == "echo"
        assert realm.opened_sockets == 0
        realm.open.clear()
        running = await client.submit(Query.ask(PROMPT))
    with pytest.raises(RealmUnreachable, match="closed"):
        await running.answer()
    with pytest.raises(RealmUnreachable, match="closed"):
        await client.ask(PROMPT)
    assert realm.opened_sockets == 1
