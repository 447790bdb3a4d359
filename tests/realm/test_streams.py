"""Streams and followers: whoever reads by cursor sees every unit once, in order, of one attempt."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, encode
from mtor_kernel.protocol.errors import Banned, NotFound
from mtor_kernel.protocol.lifecycle import IllegalStep, Stage
from mtor_kernel.protocol.ngram import Chunk, Notice, Progress, Queued, Requeued, Settled, Started
from mtor_kernel.protocol.query import Data, Image, Modality, RowAnswer, Rows, Text
from mtor_kernel.protocol.views import QueryInfo
from mtor_kernel.realm.followers import CHUNK_CHARACTERS, KEPT_CHARACTERS, Follower
from mtor_kernel.realm.streams import Stream, replay

QUERY, BLOB = "0" * 32, "b" * 64


def follower_of(*streams: Stream) -> Follower:
    """Return a follower that finds `streams`, and nothing else."""
    known = {stream.query: stream for stream in streams}

    async def find(user: str, query: str) -> Stream:
        if query not in known:
            raise NotFound("no such query")
        return known[query]

    return Follower("ann", find, lambda follower: None)


def running(attempt: int = 1) -> Stream:
    """Return a stream whose attempt has begun."""
    stream = Stream(QUERY, "ann")
    stream.start(attempt)
    return stream


def settled(stream: Stream) -> None:
    """End a stream well."""
    stream.finish(Stage.SETTLED, Settled(QUERY, stream.attempt, "echo", Charge()))


async def drain(follower: Follower) -> list[object]:
    """Return everything that is told until nothing new is there."""
    told: list[object] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                told += await follower.next()
        except TimeoutError:
            return told


@pytest.mark.asyncio
async def test_a_follower_hears_all_of_it_in_order() -> None:
    stream = Stream(QUERY, "ann")
    follower = follower_of(stream)
    await follower.add(QUERY)
    stream.show(Queued(QUERY, 3, 1.5))
    assert await follower.next() == [Queued(QUERY, 3, 1.5)]
    stream.start(1)
    stream.show(Progress(QUERY, 1, 0.5))
    stream.add("Hel", None)
    stream.add("lo", None)
    assert await follower.next() == [
        Started(QUERY, 1),
        Progress(QUERY, 1, 0.5),
        Chunk(QUERY, 1, 0, 5, text="Hello"),
    ]
    stream.add("!", None)
    settled(stream)
    assert await follower.next() == [
        Chunk(QUERY, 1, 5, 6, text="!"),
        Settled(QUERY, 1, "echo", Charge()),
    ]
    assert follower.following == 0
    assert not stream.followers


@pytest.mark.asyncio
async def test_words_and_pictures_come_in_the_order_in_which_they_were_made() -> None:
    stream = running()
    stream.add("before ", None)
    stream.add("", Image(BLOB))
    stream.add("after", None)
    settled(stream)
    follower = follower_of(stream)
    await follower.add(QUERY)
    chunks = [told for told in await drain(follower) if isinstance(told, Chunk)]
    assert chunks == [
        Chunk(QUERY, 1, 0, 7, text="before "),
        Chunk(QUERY, 1, 7, 8, part=Image(BLOB)),
        Chunk(QUERY, 1, 8, 13, text="after"),
    ]
    assert stream.parts == (Text("before "), Image(BLOB), Text("after"))


def test_a_clock_that_was_set_back_makes_no_time_negative() -> None:
    told = QueryInfo(
        QUERY, "echo", "echo", Modality.CHAT, Stage.SETTLED,
        created_at=5000.0, started_at=5001.0, ended_at=1400.0, attempt=1,
    )  # fmt: skip
    end = replay(told, "ann").end
    assert isinstance(end, Settled)
    assert (end.seconds, end.running_seconds) == (0.0, 0.0)


@pytest.mark.asyncio
async def test_another_attempt_is_told_before_its_words_and_starts_afresh() -> None:
    stream = running()
    stream.add("lost words", None)
    follower = follower_of(stream)
    await follower.add(QUERY)
    await follower.next()
    stream.requeue("its worker died")
    stream.start(2)
    stream.add("kept", None)
    assert await follower.next() == [
        Requeued(QUERY, 2, "its worker died"),
        Started(QUERY, 2),
        Chunk(QUERY, 2, 0, 4, text="kept"),
    ]


@pytest.mark.asyncio
async def test_a_query_that_ends_while_it_waits_for_its_next_attempt_just_ends() -> None:
    stream = running()
    stream.requeue("its worker died")
    follower = follower_of(stream)
    await follower.add(QUERY, 1, 4)
    assert await follower.next() == [Requeued(QUERY, 2, "its worker died")]
    settled_never = Settled(QUERY, 1, "echo", Charge())
    stream.finish(Stage.CANCELLED, settled_never)
    assert await follower.next() == [settled_never]


@given(
    pieces=st.lists(st.text(min_size=1, max_size=8), max_size=12),
    cursor=st.integers(0, 120),
    pauses=st.sets(st.integers(0, 12)),
)
def test_from_any_cursor_the_rest_comes_without_gap_or_repeat(
    pieces: list[str], cursor: int, pauses: set[int]
) -> None:
    whole = "".join(pieces)
    cursor = min(cursor, len(whole))

    async def read() -> str:
        stream = running()
        follower = follower_of(stream)
        for piece in pieces:
            stream.add(piece, None)
        await follower.add(QUERY, 1, cursor)
        more = "and more"
        text, at = "", cursor
        for number, letter in enumerate(more):
            stream.add(letter, None)
            if number in pauses:
                for chunk in await follower.next():
                    if isinstance(chunk, Chunk):
                        assert chunk.seq == at
                        text, at = text + chunk.text, chunk.next
        settled(stream)
        for chunk in await drain(follower):
            if isinstance(chunk, Chunk):
                assert chunk.seq == at
                text, at = text + chunk.text, chunk.next
        return text

    assert asyncio.run(read()) == (whole + "and more")[cursor:]


@pytest.mark.asyncio
async def test_a_cursor_beyond_the_answer_begins_again() -> None:
    stream = running()
    stream.add("short", None)
    follower = follower_of(stream)
    await follower.add(QUERY, 1, 99)
    told = await follower.next()
    assert isinstance(told[0], Requeued)
    assert Chunk(QUERY, 1, 0, 5, text="short") in told


@pytest.mark.asyncio
async def test_a_reader_that_does_not_read_is_given_a_bounded_batch_when_it_does() -> None:
    stream = running()
    for _ in range(500):
        stream.add("x" * 1000, None)
    settled(stream)
    follower = follower_of(stream)
    await follower.add(QUERY)
    sizes = []
    while follower.following:
        told = await follower.next()
        sizes.append(sum(len(chunk.text) for chunk in told if isinstance(chunk, Chunk)))
    assert sum(sizes) == 500_000
    assert max(sizes) <= 8 * CHUNK_CHARACTERS


@pytest.mark.asyncio
@pytest.mark.parametrize("character", ["x", "ß", "猫", "🐈", "\x01"])
async def test_whatever_is_unread_costs_a_connection_at_most_a_frame(character: str) -> None:
    streams = [Stream(f"{number:032x}", "ann") for number in range(20)]
    follower = follower_of(*streams)
    for stream in streams:
        stream.start(1)
        stream.show(Progress(stream.query, 1, 0.5))
        stream.add(character * 3 * CHUNK_CHARACTERS, None)
        await follower.add(stream.query)
    for _ in range(6):
        batch = await follower.next()
        assert sum(len(encode(ngram)) for ngram in batch) <= MAX_FRAME_BYTES


@pytest.mark.asyncio
async def test_of_previews_and_other_parts_one_is_given_at_a_time() -> None:
    streams = [Stream(f"{number:032x}", "ann") for number in range(4)]
    follower = follower_of(*streams)
    for number, stream in enumerate(streams):
        stream.start(1)
        if number % 2:
            stream.show(Progress(stream.query, 1, 0.5, preview=b"p" * 50_000))
        else:
            stream.add("", Data({"vector": [0.5] * 10_000}))
        await follower.add(stream.query)
    for _ in streams:
        heavy = [ngram for ngram in await follower.next() if isinstance(ngram, Chunk | Progress)]
        assert len(heavy) == 1


@pytest.mark.asyncio
async def test_many_queries_take_turns_in_one_reader() -> None:
    streams = [Stream(f"{number:032x}", "ann") for number in range(40)]
    follower = follower_of(*streams)
    for stream in streams:
        stream.start(1)
        await follower.add(stream.query)
        stream.add("y" * 3 * CHUNK_CHARACTERS, None)
    first = await follower.next()
    told = {chunk.query for chunk in first if isinstance(chunk, Chunk)}
    assert 1 < len(told) < 40
    rest = await drain(follower)
    heard = itertools.chain(first, rest)
    assert {chunk.query for chunk in heard if isinstance(chunk, Chunk)} == {
        stream.query for stream in streams
    }


@pytest.mark.asyncio
async def test_of_many_unread_answers_few_are_kept_and_all_are_told() -> None:
    async def find(user: str, query: str) -> Stream:
        stream = Stream(query, user)
        stream.start(1)
        stream.add(query[-2:] * (KEPT_CHARACTERS // 4), None)
        stream.finish(Stage.SETTLED, Settled(query, 1, "echo", Charge()))
        made.append(weakref.ref(stream))
        return stream

    made: list[weakref.ref[Stream]] = []
    follower = Follower("ann", find, lambda follower: None)
    queries = [f"{number:032x}" for number in range(20)]
    for query in queries:
        await follower.add(query)
    assert sum(stream() is not None for stream in made) <= 2
    told: dict[str, str] = dict.fromkeys(queries, "")
    while follower.following:
        for ngram in await follower.next():
            if isinstance(ngram, Chunk):
                told[ngram.query] += ngram.text
        assert sum(stream() is not None for stream in made) <= 3
    assert told == {query: query[-2:] * (KEPT_CHARACTERS // 4) for query in queries}


@pytest.mark.asyncio
async def test_unread_answers_to_rows_are_kept_by_what_they_hold_and_not_by_their_number() -> None:
    async def find(user: str, query: str) -> Stream:
        stream = Stream(query, user)
        stream.start(1)
        stream.add("", part)
        stream.finish(Stage.SETTLED, Settled(query, 1, "echo", Charge()))
        made.append(weakref.ref(stream))
        return stream

    part = Rows((RowAnswer(0, (Text("x" * (KEPT_CHARACTERS // 8)),)),))
    made: list[weakref.ref[Stream]] = []
    follower = Follower("ann", find, lambda follower: None)
    for number in range(20):
        await follower.add(f"{number:032x}")
    assert sum(stream() is not None for stream in made) <= 8
    told = set()
    while follower.following:
        told |= {one.query for one in await follower.next() if isinstance(one, Chunk)}
    assert len(told) == 20


@pytest.mark.asyncio
async def test_a_closed_follower_is_forgotten_by_its_streams() -> None:
    stream = running()
    follower = follower_of(stream)
    await follower.add(QUERY)
    follower.close()
    assert not stream.followers


@pytest.mark.asyncio
async def test_an_expelled_follower_is_told_why() -> None:
    follower = follower_of()
    follower.notify(Notice("the realm will be restarted"))
    assert await follower.next() == [Notice("the realm will be restarted")]
    follower.expel(Banned("closed to you"))
    with pytest.raises(Banned):
        await follower.next()


def test_no_stage_is_changed_against_the_table(tmp_path: Path) -> None:
    stream = running()
    settled(stream)
    with pytest.raises(IllegalStep):
        stream.start(2)
