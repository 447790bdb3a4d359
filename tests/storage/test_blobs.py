"""Blobs: named by their content, private to who put them, gone when nobody needs them."""

import asyncio
import contextlib
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mtor_kernel.protocol.errors import BadInput, NotFound, QuotaExceeded, TooLarge, Unavailable
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Answer, Image
from mtor_kernel.protocol.quota import Quotas
from mtor_kernel.storage import (
    Blobs,
    Store,
    endings,
    processes,
    queries,
    quotas,
    references,
    schema,
)
from mtor_kernel.storage.rows import Dispatched
from tests.storage.helpers import NOON, accept, dispatch, new_query, person

pytestmark = pytest.mark.asyncio

PICTURE = b"\x89PNG" + bytes(range(256)) * 40
TTL = 100.0


class Clock:
    """Says what time it is told."""

    #: Files carry the machine's own time, so the tests' time is near it.
    now = 4_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def blobs(store: Store, ann: str, clock: Clock) -> Iterator[Blobs]:
    """Blobs of which one may keep 100,000 bytes, each of 50,000 at most."""
    person(store, "bob", 1000)
    yield Blobs(store, store.blob_dir, 100_000, max_bytes=50_000, ttl_seconds=TTL, clock=clock)
    # Whatever happened, no half-written file is left behind.
    assert not [path for path in store.blob_dir.rglob(".*") if path.is_file()]


def files(store: Store) -> set[str]:
    return {path.name for path in store.blob_dir.rglob("*") if path.is_file()}


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def test_a_blob_is_named_by_its_content_and_comes_back(blobs: Blobs) -> None:
    info = await blobs.put("ann", PICTURE, "image/png")
    assert (info.id, info.size, info.mime) == (
        hashlib.sha256(PICTURE).hexdigest(), len(PICTURE), "image/png",
    )  # fmt: skip
    path, mime = await blobs.open("ann", info.id)
    assert (path.read_bytes(), mime) == (PICTURE, "image/png")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_stream_makes_the_same_blob_as_its_bytes(blobs: Blobs, store: Store) -> None:
    whole = await blobs.put("ann", PICTURE, "image/png")
    streamed = await blobs.put("ann", pieces(PICTURE[:10], b"", PICTURE[10:]), "image/png")
    empty = await blobs.put("ann", pieces(), "text/plain")
    assert streamed == whole
    assert empty.size == 0
    assert files(store) == {whole.id, empty.id}


async def test_others_cannot_tell_a_blob_from_none(blobs: Blobs) -> None:
    info = await blobs.put("ann", PICTURE, "image/png")
    told = []
    for wanted in (info.id, "0" * 64, "../realm.db", "", "é" * 9999, "\0"):
        with pytest.raises(NotFound) as refused:
            await blobs.open("bob", wanted)
        told.append(refused.value.message.replace(wanted[:64] or " : ", "ID"))
    assert told[0] == told[1] == told[2]


async def test_two_who_put_the_same_share_a_file_and_nothing_else(
    blobs: Blobs, store: Store
) -> None:
    one = await blobs.put("ann", PICTURE, "image/png")
    other = await blobs.put("bob", PICTURE, "application/octet-stream")
    assert files(store) == {one.id}
    assert (await blobs.open("ann", one.id))[1] == "image/png"
    assert (await blobs.open("bob", other.id))[1] == "application/octet-stream"


async def test_a_blob_over_the_limit_is_refused_while_it_arrives(
    blobs: Blobs, store: Store
) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 10_000
            yield b"x" * 10_000

    with pytest.raises(TooLarge):
        await blobs.put("ann", endless(), "image/png")
    assert read == 60_000
    assert files(store) == set()


async def test_what_one_may_keep_is_bounded(blobs: Blobs, store: Store) -> None:
    first = await blobs.put("ann", b"a" * 50_000, "image/png")
    await blobs.put("ann", b"b" * 50_000, "image/png")
    with pytest.raises(QuotaExceeded) as refused:
        await blobs.put("ann", b"c", "image/png")
    assert refused.value.rule == "blob_bytes"
    assert refused.value.details == {"limit": 100_000, "used": 100_000}
    # The same once more costs nothing; another person has room; a rule of one's own goes before.
    assert await blobs.put("ann", b"a" * 50_000, "image/png") == first
    await blobs.put("bob", b"c", "image/png")
    await blobs.put("ann", b"c", "image/png", quota=100_001)
    used = store.read_sync(lambda db: quotas.standing(db, "ann", Quotas(blob_bytes=1), 0.0))
    assert used.uses["blob_bytes"].used == 100_001


async def test_many_at_once_do_not_outrun_the_quota(blobs: Blobs, store: Store) -> None:
    done = await asyncio.gather(
        *(blobs.put("ann", bytes([n]) * 10_000, "image/png") for n in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, QuotaExceeded) for one in done) == 20
    assert len(files(store)) == 10


@pytest.mark.parametrize(
    "mime", ["", "html", "text/html; charset=x", "a/b\r\nSet-Cookie: x", "A/B"]
)
async def test_a_strange_media_type_is_refused(blobs: Blobs, mime: str) -> None:
    with pytest.raises(BadInput, match="media type"):
        await blobs.put("ann", b"x", mime)


async def test_a_put_that_breaks_off_leaves_nothing(blobs: Blobs, store: Store) -> None:
    arrived, never = asyncio.Event(), asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"x"
        arrived.set()
        await never.wait()
        yield b"y"

    async def breaks() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put("ann", breaks(), "image/png")
    putting = asyncio.create_task(blobs.put("ann", stalls(), "image/png"))
    await arrived.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert files(store) == set()


async def test_old_blobs_that_no_query_names_are_collected(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    asked = await blobs.put("ann", b"asked", "image/png")
    told = await blobs.put("ann", b"told", "image/png")
    lost = await blobs.put("ann", b"lost", "image/png")
    new = new_query(blobs=frozenset({asked.id}))
    accept(store, new)
    answer = Answer((Image(told.id), Image(asked.id), Image("0" * 64)))
    store.write_sync(lambda db: endings.cancel(db, new.id, clock.now, answer=answer))
    assert await blobs.collect(clock.now + TTL - 1) == 0
    assert await blobs.collect(clock.now + TTL + 1) == 1
    assert files(store) == {asked.id, told.id}
    for kept in (asked, told):
        await blobs.open("ann", kept.id)
    with pytest.raises(NotFound):
        await blobs.open("ann", lost.id)


async def test_a_blob_that_one_of_two_needs_stays_for_that_one_only(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    info = await blobs.put("ann", PICTURE, "image/png")
    await blobs.put("bob", PICTURE, "image/png")
    accept(store, new_query("ann", blobs=frozenset({info.id})))
    await blobs.collect(clock.now + TTL + 1)
    await blobs.open("ann", info.id)
    with pytest.raises(NotFound):
        await blobs.open("bob", info.id)


async def test_to_put_it_again_keeps_it_longer(blobs: Blobs, clock: Clock) -> None:
    info = await blobs.put("ann", PICTURE, "image/png")
    clock.now += 60
    await blobs.put("ann", PICTURE, "image/jpeg")
    await blobs.collect(clock.now + 60)
    assert (await blobs.open("ann", info.id))[1] == "image/jpeg"


async def test_what_a_crash_left_half_written_is_collected(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    kept = await blobs.put("ann", PICTURE, "image/png")
    for stray in (store.blob_dir / ".half", store.blob_dir / kept.id[:2] / ("f" * 64)):
        stray.write_bytes(b"...")
    old = clock.now - 10 * TTL
    for path in store.blob_dir.rglob("*"):
        os.utime(path, (old, old))
    assert await blobs.collect(clock.now) == 2
    assert files(store) == {kept.id}


async def test_a_lost_file_is_no_blob_until_it_is_put_again(blobs: Blobs) -> None:
    info = await blobs.put("ann", PICTURE, "image/png")
    path, _ = await blobs.open("ann", info.id)
    await asyncio.to_thread(Path.unlink, path)
    with pytest.raises(NotFound):
        await blobs.open("ann", info.id)
    await blobs.put("ann", PICTURE, "image/png")
    await blobs.open("ann", info.id)


async def test_a_folder_that_is_gone_is_said_and_the_store_knows(
    blobs: Blobs, store: Store
) -> None:
    assert store.is_there()
    store.blob_dir.rename(store.blob_dir.with_name("elsewhere"))
    with pytest.raises(Unavailable, match=r"cannot be written \(No such file or directory\)"):
        await blobs.put("ann", PICTURE, "image/png")
    assert not store.is_there()
    store.blob_dir.with_name("elsewhere").rename(store.blob_dir)
    assert store.is_there()


async def test_collecting_and_putting_at_once_lose_nothing(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    for round_ in range(5):
        contents = [f"{round_} {n}".encode() for n in range(10)]
        await asyncio.gather(*(blobs.put("ann", one, "text/plain") for one in contents))
        clock.now += TTL + 1
        _, *again = await asyncio.gather(
            blobs.collect(clock.now), *(blobs.put("ann", one, "text/plain") for one in contents)
        )
        for info in again:
            await blobs.open("ann", info.id)


def written(store: Store, begun: Dispatched, blob: str) -> None:
    """Have an attempt keep a blob."""
    ref = AttemptRef(begun.id, begun.attempt, store.epoch)
    store.write_sync(lambda db: references.refer_written(db, ref, blob))


async def kept(blobs: Blobs, clock: Clock, id: str) -> bool:
    """Collect what nobody needs; tell whether `id` is still there."""
    await blobs.collect(clock.now + TTL + 1)
    with contextlib.suppress(NotFound):
        await blobs.open("ann", id)
        return True
    return False


async def test_what_an_attempt_writes_stays_until_it_is_put_back(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    asked, made = [await blobs.put("ann", b"%d" % n, "image/png") for n in range(2)]
    query = accept(store, new_query("ann", blobs=frozenset({asked.id}))).query
    begun = dispatch(store, query)
    written(store, begun, made.id)
    assert await kept(blobs, clock, made.id)
    store.write_sync(lambda db: queries.requeue(db, query, 1, store.epoch, NOON))
    assert not await kept(blobs, clock, made.id)
    assert await kept(blobs, clock, asked.id)
    with pytest.raises(NotFound):
        written(store, begun, asked.id)


async def test_what_an_attempt_of_an_earlier_epoch_wrote_is_let_go(
    blobs: Blobs, store: Store, clock: Clock
) -> None:
    made = await blobs.put("ann", PICTURE, "image/png")
    begun = dispatch(store, accept(store, new_query("ann")).query)
    written(store, begun, made.id)

    def be_followed(db: sa.Connection) -> None:
        """What another process does when this one is silent; and this one may go on."""
        processes.end(db, store.epoch)
        db.execute(sa.update(schema.epoch).values(ended_at=None))

    store.write_sync(be_followed)
    assert not await kept(blobs, clock, made.id)


@pytest.mark.parametrize("number", [0, 2])
async def test_an_attempt_that_does_not_run_writes_nothing(
    blobs: Blobs, store: Store, number: int
) -> None:
    begun = dispatch(store, accept(store, new_query("ann")).query)
    ref = AttemptRef(begun.id, number, store.epoch)
    with pytest.raises(NotFound):
        await blobs.put(
            "ann", PICTURE, "image/png", note=lambda db, it: references.refer_written(db, ref, it)
        )
    assert files(store) == set()


@pytest.mark.parametrize(
    ("mime", "fits"),
    [("image/webp", True), ("application/octet-stream", True), ("audio/wav", False)],
)
async def test_a_question_may_not_take_a_sound_for_a_picture(
    blobs: Blobs, store: Store, mime: str, fits: bool
) -> None:
    info = await blobs.put("ann", PICTURE, mime)
    asked = new_query("ann", blobs=frozenset({info.id}))
    if fits:
        accept(store, asked)
    else:
        with pytest.raises(BadInput, match="is audio/wav and no picture"):
            accept(store, asked)
