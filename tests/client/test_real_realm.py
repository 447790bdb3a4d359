"""The client against a real realm: store, queue, gateway, Dask and a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from mtor_kernel.client import RealmClient, question
from mtor_kernel.protocol.errors import (
    AdmissionPaused,
    Forbidden,
    KeyConflict,
    Malformed,
    NotFound,
    QueryCancelled,
    Unauthenticated,
    UnknownModel,
)
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.ngram import Chunk, Notice, RealmState, Requeued, Started
from mtor_kernel.protocol.query import Query
from tests.client.cable import cable_to
from tests.holds import nothing_held
from tests.led import LED, LedBackend, led
from tests.realms import CATALOGUE, TOKEN, SmallRealm, small_realm

PROMPT = "what do you say to me today"
LONG = " ".join(["word"] * 40)
ANN = User("ann")


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    people = [("token-of-ann", ANN)]
    with led(tmp_path):
        async with small_realm(tmp_path, catalogue=CATALOGUE + LED, people=people) as small:
            yield small


@pytest_asyncio.fixture
async def owner(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


@pytest.mark.asyncio
async def test_an_answer_is_streamed_charged_and_remembered(owner: RealmClient) -> None:
    price = await owner.quote(question(PROMPT))
    assert (price.model, price.hold_micro > 0) == ("echo", True)
    reply = await owner.ask(PROMPT)
    assert reply.text
    assert 0 < reply.charge.amount_micro <= price.hold_micro
    assert reply.seconds >= reply.running_seconds > 0
    async with aclosing(owner.stream(PROMPT)) as words:
        assert "".join([piece async for piece in words]) == reply.text
    info = await owner.info(reply.query)
    assert info.stage is Stage.SETTLED
    assert info.answer is not None
    assert info.answer.text == reply.text
    assert [one.id for one in await owner.history("what do you", 1)] != [reply.query]
    assert len(await owner.history(limit=10)) == 2
    (day,) = await owner.usage()
    assert (day.queries, day.model) == (2, "echo")


@pytest.mark.asyncio
async def test_the_realm_can_be_looked_at(owner: RealmClient) -> None:
    assert {"echo", "chat", "slow"} <= {model.name for model in await owner.models()}
    assert (await owner.me()).role is Role.SYSOP
    (worker,) = await owner.workers()
    assert worker.state == "well"
    assert "echo" in {lane.model for lane in (await owner.queue()).lanes}


@pytest.mark.asyncio
async def test_a_cancelled_wait_frees_the_hold(owner: RealmClient) -> None:
    running = await owner.submit(Query.ask(PROMPT, "stuck"))
    async with aclosing(running.events()) as events:
        async for event in events:
            if isinstance(event, Started):
                break
    assert (await owner.me()).held_micro == running.hold_micro
    waiting = asyncio.create_task(owner.ask(PROMPT, "stuck"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await running.cancel(confirm_seconds=60)
    with pytest.raises(QueryCancelled):
        await running.answer()
    async with asyncio.timeout(60):
        await nothing_held(owner)
    # What has ended stays as it is.
    await owner.cancel(running.id)


@pytest.mark.asyncio
async def test_refusals_have_the_realms_own_errors(small: SmallRealm, owner: RealmClient) -> None:
    with pytest.raises(UnknownModel):
        await owner.ask(PROMPT, "no-such")
    with pytest.raises(NotFound):
        await owner.info("0" * 32)
    await owner.submit(Query.ask(PROMPT), "key")
    with pytest.raises(KeyConflict):
        await owner.submit(Query.ask("something else"), "key")
    async with small.client("wrong") as nobody:
        with pytest.raises(Unauthenticated):
            await nobody.me()
        with pytest.raises(Unauthenticated):
            await nobody.ask(PROMPT)
    async with small.client("token-of-ann") as ann:
        with pytest.raises(Forbidden):
            await ann.sysop("pause")


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["two words", "ü", "k" * 129])
async def test_a_key_that_no_key_can_be_is_refused_at_once(owner: RealmClient, key: str) -> None:
    with pytest.raises(Malformed, match="key"):
        await owner.submit(Query.ask(PROMPT), key)


@pytest.mark.asyncio
async def test_a_query_that_nests_too_deep_is_refused_at_once(owner: RealmClient) -> None:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(Malformed, match="nests deeper"):
        await owner.submit(Query.ask(PROMPT, json_schema=schema))


@pytest.mark.asyncio
async def test_the_sysop_runs_the_place(small: SmallRealm, owner: RealmClient) -> None:
    async with small.client("token-of-ann") as ann:
        before = (await ann.me()).balance_micro
        await owner.sysop("grant", user="ann", micro=5_000_000, reason="a course")
        assert (await ann.me()).balance_micro == before + 5_000_000
        await owner.sysop("pause")
        with pytest.raises(AdmissionPaused):
            await ann.ask(PROMPT)
        await owner.sysop("pause", on=False)
        assert (await ann.ask(PROMPT)).text
        assert "ann" in {person["name"] for person in await owner.sysop("people")}
        assert [entry["action"] for entry in await owner.sysop("audit", limit=3)]


@pytest.mark.asyncio
async def test_watchers_hear_how_it_stands_and_what_is_said(owner: RealmClient) -> None:
    async with asyncio.timeout(60), aclosing(owner.watch()) as news:
        assert isinstance(await anext(news), RealmState)
        await owner.sysop("notice", text="closing at noon")
        async for one in news:
            if isinstance(one, Notice):
                assert one.text == "closing at noon"
                break


@pytest.mark.asyncio
async def test_blobs_go_there_and_back(owner: RealmClient, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(b"\x89PNG" + bytes(200_000))
    blob = await owner.upload(picture)
    assert blob == await owner.upload(picture.read_bytes(), "image/png")
    assert await owner.download(blob) == picture.read_bytes()
    with pytest.raises(NotFound):
        await owner.download("0" * 64)


@pytest.mark.asyncio
@pytest.mark.parametrize("every", [1, 2, 5])
async def test_a_cut_connection_goes_on_where_it_was(small: SmallRealm, every: int) -> None:
    async with cable_to(small.url) as cable, RealmClient(cable.url, TOKEN) as client:
        running = await client.submit(Query.ask(LONG, "led"))
        chunks: list[Chunk] = []
        LedBackend.let(2)  # one word is ahead of what was heard, and may be lost in the cable
        async for event in running.events():
            assert not isinstance(event, Requeued)
            if isinstance(event, Chunk):
                chunks.append(event)
                if len(chunks) % every == 0:
                    cable.cut()
                LedBackend.let(len(event.text.split()))
        reply = await running.answer()
        assert [chunk.seq for chunk in chunks[1:]] == [chunk.next for chunk in chunks[:-1]]
        stored = (await client.info(reply.query)).answer
        assert stored is not None
        assert "".join(chunk.text for chunk in chunks) == reply.text == stored.text
        assert reply.attempts == 1
        assert cable.connections > 2


@pytest.mark.asyncio
async def test_a_submission_that_was_cut_off_runs_once(small: SmallRealm) -> None:
    async with cable_to(small.url) as cable, RealmClient(cable.url, TOKEN) as client:
        for number in range(10):
            asking = asyncio.create_task(client.ask(f"{PROMPT} {number}"))
            # Each time a little later: before it is sent, on its way, admitted, answered…
            for _ in range(4 * number):
                await asyncio.sleep(0)
            cable.cut()
            assert (await asking).text
        assert len(await client.history(limit=50)) == 10
