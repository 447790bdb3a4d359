"""Two gateways with a live bus between them: fast while it is there, right when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mtor_kernel.cli import main
from mtor_kernel.client import RealmClient, Running
from mtor_kernel.protocol.errors import BadInput, QueryCancelled, Unavailable
from mtor_kernel.protocol.ngram import Chunk, Progress, Requeued, Settled, Started
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.bus import answers
from mtor_kernel.realm.certs import ensure_certs
from mtor_kernel.realm.realm import Realm
from tests import redises
from tests.gateways import gateway
from tests.plugins import HeldBackend, held
from tests.postgres import Server
from tests.realm.test_sharing import ENDLESS, WORDS, books_add_up, both, cluster, lane_of, until
from tests.realms import OWNER, TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: A catalogue's models in which an answer takes ten seconds: long enough to have the bus fail.
LONG = [f"long-{n}" for n in range(12)]
MODEL = """
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
slots = 2
max_output_tokens = 100000
rates = {{ output_token_micro = 5 }}
settings = {{ chunks = 200, rate = 20.0 }}
"""


#: A first attempt fails in the middle; a picture comes in steps.
FAULTY = [f"faulty-{n}" for n in range(12)]
PICTURES = [f"picture-{n}" for n in range(12)]
MORE = """
[[models]]
name = "faulty-{n}"
modality = "chat"
backend = "held"
slots = 2
rates = {{ output_token_micro = 5 }}
settings = {{ fails = 1 }}

[[models]]
name = "picture-{n}"
modality = "image"
backend = "echo"
slots = 2
rates = {{ free = true }}
settings = {{ rate = 2.0 }}
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[redises.Server]:
    pytest.importorskip("redis")
    if redises.missing():
        pytest.skip(redises.missing())
    server = redises.Server(tmp_path)
    server.start()
    yield server
    server.kill()


@dataclass
class Two:
    one: Realm
    two: Realm
    #: Connected to the first one, which is there.
    client: RealmClient
    at: str


@asynccontextmanager
async def two_gateways(folder: Path, postgresql: Server, url: str) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        stack.enter_context(held(folder / "plugins"))
        on = await stack.enter_async_context(cluster(folder, postgresql))
        with (folder / "catalogue.toml").open("a") as catalogue:
            catalogue.writelines(MODEL.format(name=name) for name in LONG)
            catalogue.writelines(MORE.format(n=n) for n in range(12))
        where = (folder, on.database, on.scheduler.address)
        one, at = await stack.enter_async_context(gateway(*where, bus_url=url))
        two, _ = await stack.enter_async_context(gateway(*where, bus_url=url))
        client = await stack.enter_async_context(RealmClient(at, TOKEN))
        await both(one, two)
        await until(lambda: one.bus == two.bus == "up")
        yield Two(one, two, client, at)


class Reading:
    """A client that reads one answer, and what it was told so far."""

    def __init__(self, query: Running) -> None:
        self.query = query
        self.chunks: list[Chunk] = []
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for said in self.query.events():
            if isinstance(said, Chunk):
                self.chunks.append(said)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    def has_no_gap_and_no_repeat(self) -> bool:
        at = 0
        for chunk in self.chunks:
            if chunk.seq != at:
                return False
            at = chunk.next
        return True

    async def end(self) -> None:
        await asyncio.wait_for(self._task, 60)


@pytest.mark.asyncio
async def test_a_client_sees_the_chunks_of_the_others_lane_while_they_come_and_can_cancel(
    tmp_path: Path, postgresql: Server, redis: redises.Server
) -> None:
    async with two_gateways(tmp_path, postgresql, redis.url) as on:
        query = await on.client.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS)))
        reading = Reading(query)
        await until(lambda: len(reading.chunks) > 5)
        assert query.id not in on.one.lanes.places
        assert reading.has_no_gap_and_no_repeat()
        await query.cancel()
        with pytest.raises(QueryCancelled):
            await query.answer()
        await until(lambda: not on.two.lanes.busy)
        await books_add_up(on.one)


@pytest.mark.asyncio
async def test_a_client_that_comes_in_mid_stream_gets_the_text_so_far(
    tmp_path: Path, postgresql: Server, redis: redises.Server
) -> None:
    async with two_gateways(tmp_path, postgresql, redis.url) as on:
        query = await on.client.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS)))
        await until(lambda: on.two.lanes.places.get(query.id))
        carried = on.two.lanes.places[query.id].stream
        await until(lambda: carried.length > 50)
        follower = on.one.follow(OWNER)
        await follower.add(query.id)
        told: list[Chunk] = []
        async with asyncio.timeout(60):
            while sum(len(chunk.text) for chunk in told) < 100:
                told += [each for each in await follower.next() if isinstance(each, Chunk)]
        assert "".join(chunk.text for chunk in told).startswith(WORDS)
        follower.close()
        await query.cancel()
        await until(lambda: not on.two.lanes.busy)


@pytest.mark.fault
@pytest.mark.asyncio
async def test_a_bus_that_dies_in_mid_stream_costs_no_word_and_comes_back_by_itself(
    tmp_path: Path,
    postgresql: Server,
    redis: redises.Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with two_gateways(tmp_path, postgresql, redis.url) as on:
        lane = lane_of(on.two, LONG)
        short = Reading(await on.client.submit(Query.ask(WORDS, lane)))
        await until(lambda: short.chunks)
        redis.kill()
        await until(lambda: on.one.bus == on.two.bus == "away")
        # No word comes by the store before the end; the whole answer does then.
        await short.end()
        assert short.text.split() == (f"{WORDS} " * 20).split()
        assert short.has_no_gap_and_no_repeat()

        long = Reading(await on.client.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS))))
        await until(lambda: on.two.lanes.places.get(long.query.id))
        carried = on.two.lanes.places[long.query.id].stream
        await until(lambda: carried.length > 50)
        assert not long.chunks
        redis.start()
        await until(lambda: len(long.chunks) > 5)
        assert long.has_no_gap_and_no_repeat()
        assert long.text.startswith(WORDS)
        redis.kill()
        await until(lambda: on.one.bus == "away")
        seen = len(long.chunks)
        redis.start()
        await until(lambda: len(long.chunks) > seen + 5)
        assert long.has_no_gap_and_no_repeat()
        await long.query.cancel()
        await long.end()
        await until(lambda: not on.two.lanes.busy)
        await books_add_up(on.one)
    assert redis.password not in caplog.text


@pytest.mark.asyncio
async def test_whether_the_bus_answers_is_told_without_its_password(
    redis: redises.Server, tmp_path: Path
) -> None:
    assert await answers(redis.url) == ""
    wrong = await answers(redis.url.replace(redis.password, "wrong"))
    assert wrong == "AuthenticationError"
    redis.kill()
    assert await answers(redis.url) == "ConnectionError"
    with pytest.raises(Unavailable, match="no URL of a Redis") as refused:
        await answers("http://:secret@127.0.0.1")
    assert "secret" not in str(refused.value)
    with pytest.raises(BadInput, match=r"set Realm\.shared"):
        await Realm.open(tmp_path / "alone", bus_url=redis.url)


def test_the_doctor_tells_whether_the_bus_answers(
    redis: redises.Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "realm_config.py"
    config.write_text(f"c = get_config()\nc.Realm.shared = True\nc.Realm.bus_url = {redis.url!r}\n")
    main(["doctor", "--config", str(config)])
    assert "ok    the bus answers" in capsys.readouterr().out
    redis.kill()
    assert main(["doctor", "--config", str(config)]) == 1
    told = capsys.readouterr().out
    assert "BAD   the bus is away (ConnectionError)" in told
    assert redis.password not in told


@pytest.mark.asyncio
async def test_a_bus_over_tls_takes_its_own_authority_only(
    tmp_path: Path, postgresql: Server, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("redis")
    if redises.missing():
        pytest.skip(redises.missing())
    caplog.set_level(logging.DEBUG)
    server = redises.Server(tmp_path, ensure_certs(tmp_path / "tls"))
    other = ensure_certs(tmp_path / "other").authority
    server.start()
    try:
        assert await answers(server.url) == ""
        assert await answers(server.url.replace(server.password, "wrong")) == "AuthenticationError"
        # Another's authority, the system's, and no TLS at all.
        assert await answers(server.url.partition("=")[0] + f"={other}") == "ConnectionError"
        assert await answers(server.url.partition("?")[0]) == "ConnectionError"
        plain = server.url.partition("?")[0].replace("rediss:", "redis:")
        assert await answers(plain) == "ConnectionError"
        async with two_gateways(tmp_path, postgresql, server.url) as on:
            query = await on.client.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS)))
            reading = Reading(query)
            await until(lambda: len(reading.chunks) > 5)
            assert reading.has_no_gap_and_no_repeat()
            await query.cancel()
            await until(lambda: not on.two.lanes.busy)
    finally:
        server.kill()
    assert server.password not in caplog.text


@pytest.mark.fault
@pytest.mark.asyncio
async def test_a_bus_that_is_frozen_holds_nothing_up_and_streams_when_it_thaws(
    tmp_path: Path, postgresql: Server, redis: redises.Server
) -> None:
    async with two_gateways(tmp_path, postgresql, redis.url) as on:
        long = Reading(await on.client.submit(Query.ask(WORDS, lane_of(on.two, ENDLESS))))
        await until(lambda: len(long.chunks) > 5)
        redis.freeze(True)
        try:
            # Begun, carried and ended by the store, while nothing says that the bus is gone.
            short = await on.client.submit(Query.ask(WORDS, lane_of(on.two)))
            assert (await short.answer()).text.split() == (f"{WORDS} " * 2).split()
            await until(lambda: on.one.bus == on.two.bus == "away")
            async with httpx.AsyncClient() as http:
                assert (await http.get(on.at + "health")).json()["bus"] == "away"
            seen = len(long.chunks)
        finally:
            redis.freeze(False)
        await until(lambda: on.one.bus == on.two.bus == "up")
        async with httpx.AsyncClient() as http:
            assert (await http.get(on.at + "health")).json()["bus"] == "up"
        await until(lambda: len(long.chunks) > seen + 5)
        assert long.has_no_gap_and_no_repeat()
        await long.query.cancel()
        await long.end()
        await until(lambda: not on.two.lanes.busy)
        await books_add_up(on.one)


@pytest.mark.asyncio
async def test_a_lost_attempt_and_previews_of_a_picture_are_told_over_the_bus(
    tmp_path: Path, postgresql: Server, redis: redises.Server
) -> None:
    async with two_gateways(tmp_path, postgresql, redis.url) as on:
        query = await on.client.submit(Query.ask(WORDS, lane_of(on.two, FAULTY)))
        told = []
        async for each in query.events():
            told.append(each)
            if isinstance(each, Chunk):
                HeldBackend.let()  # it fails once its first word was heard
        (requeued,) = [each for each in told if isinstance(each, Requeued)]
        assert requeued.attempt == 2
        at = told.index(requeued)
        assert [each.attempt for each in told if isinstance(each, Started)] == [1, 2]
        assert any(isinstance(each, Chunk) and each.attempt == 1 for each in told[:at])
        after = [each for each in told[at:] if isinstance(each, Chunk)]
        assert {each.attempt for each in after} == {2}
        assert "".join(each.text for each in after).split() == WORDS.split()
        assert isinstance(told[-1], Settled)

        drawn = await on.client.submit(Query.ask("a house", lane_of(on.two, PICTURES)))
        shown = [each async for each in drawn.events() if isinstance(each, Progress)]
        assert len([each for each in shown if each.preview]) > 2
        fractions = [each.fraction for each in shown]
        assert fractions == sorted(fractions)
        await books_add_up(on.one)
