"""What an attempt reads and writes goes through the gateway, and nothing else does."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from traitlets.config import Config

from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import BackendFailed, NotFound, QueryCancelled, QuotaExceeded
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.ngram import MAX_PREVIEW_BYTES, Progress
from mtor_kernel.protocol.query import Image, Message, Query, Text
from tests.gateway.helpers import ANN, BOB, LINK_TOKEN, plain
from tests.plugins import MirrorBackend, register
from tests.realms import CATALOGUE, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio

GUS = "token-of-gus"
PEOPLE = [(ANN, User("ann")), (BOB, User("bob")), (GUS, User("gus", Role.GUEST))]
CONFIG = Config(
    {
        "People": {
            "grant_credits": {"user": 10.0, "guest": 10.0},
            "quotas_of": {"guest": {"blob_bytes": 150}},
        }
    }
)
MIRRORS = "".join(
    f"""
[[models]]
name = "{name}"
modality = "image"
backend = "mirror"
slots = 4
rates = {{ image_micro = 7 }}
settings = {{ {settings} }}
"""
    for name, settings in {
        "mirror": "",
        "cracked": "fail = true",
        "fogged": "hang = true",
        "slideshow": f"previews = [100, {MAX_PREVIEW_BYTES}, {MAX_PREVIEW_BYTES + 1}]",
        "film": f"previews = {[4096] * 200}",
    }.items()
)
PICTURE = b"picture" * 20
TURNED = hashlib.sha256(PICTURE[::-1]).hexdigest()


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallRealm]:
    """A realm whose models give pictures back."""
    register(tmp_path / "plugins", monkeypatch, mirror=MirrorBackend)
    async with small_realm(
        tmp_path, catalogue=CATALOGUE + MIRRORS, people=PEOPLE, config=CONFIG
    ) as small:
        yield small
        assert await small.realm.sysop.check_books() == []


@pytest_asyncio.fixture
async def ann(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client(ANN) as client:
        yield client


async def ask(client: RealmClient, model: str, picture: bytes = PICTURE) -> Running:
    """Have a picture turned round."""
    blob = await client.upload(picture, "image/png")
    return await client.submit(Query((Message("user", (Text("turn"), Image(blob))),), model))


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def under_way(small: SmallRealm, running: Running) -> dict[str, Any]:
    """Wait until an attempt has written its picture; return how its worker names it."""
    find = small.realm._dispatcher.current
    await until(lambda: (now := find(running.id)) is not None and now.stream.length)
    ref = find(running.id).ref  # type: ignore[union-attr]  # there is one: it hangs
    return {"query": ref.query, "attempt": ref.attempt, "epoch": ref.epoch}


def worker(small: SmallRealm, token: str = LINK_TOKEN) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
    return plain(base_url=small.url, headers=headers, timeout=60)


async def named(small: SmallRealm, query: str) -> set[str]:
    """The blobs that a query names, as the store has it."""
    from mtor_kernel.storage.schema import query_blob

    rows = await small.realm.store.read(
        lambda db: db.execute(query_blob.select().where(query_blob.c.query == query)).all()
    )
    return {row.blob for row in rows}


async def test_a_picture_goes_to_the_model_and_another_comes_back(
    small: SmallRealm, ann: RealmClient
) -> None:
    reply = await (await ask(ann, "mirror")).answer()
    assert reply.parts == (Image(TURNED),)
    assert await ann.download(TURNED) == PICTURE[::-1]
    assert reply.charge.amount_micro == 7


async def test_what_was_made_stays_as_long_as_its_query(
    small: SmallRealm, ann: RealmClient
) -> None:
    reply = await (await ask(ann, "mirror")).answer()
    await small.realm.blobs.collect(4_000_000_000.0)
    assert await ann.download(TURNED) == PICTURE[::-1]
    assert TURNED in await named(small, reply.query)


async def test_what_a_failed_attempt_has_made_is_collected(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "cracked")
    with pytest.raises(BackendFailed):
        await running.answer()
    assert (await ann.me()).held_micro == 0
    assert await named(small, running.id) == {hashlib.sha256(PICTURE).hexdigest()}
    await small.realm.blobs.collect(4_000_000_000.0)
    with pytest.raises(NotFound):
        await ann.download(TURNED)
    assert await ann.download(hashlib.sha256(PICTURE).hexdigest()) == PICTURE


async def test_what_was_made_until_a_cancel_is_kept_with_the_answer(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "fogged")
    await under_way(small, running)
    await small.realm.blobs.collect(4_000_000_000.0)
    await running.cancel(confirm_seconds=20)
    with pytest.raises(QueryCancelled):
        await running.answer()
    assert await ann.download(TURNED) == PICTURE[::-1]


async def test_who_may_keep_no_more_is_told_and_pays_nothing(small: SmallRealm) -> None:
    async with small.client(GUS) as gus:
        with pytest.raises(QuotaExceeded, match="150 bytes of blobs"):
            await (await ask(gus, "mirror")).answer()
        me = await gus.me()
    assert (me.balance_micro, me.held_micro) == (10_000_000, 0)


async def test_a_worker_reads_what_the_query_of_its_attempt_names_and_nothing_else(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "fogged")
    mine = await under_way(small, running)
    secret = await ann.upload(b"another picture of ann's", "image/png")
    async with small.client(BOB) as bob, worker(small) as http:
        bobs = await bob.upload(b"bob's picture", "image/png")
        theirs = await under_way(small, await ask(bob, "fogged", b"bob's picture"))
        asked = hashlib.sha256(PICTURE).hexdigest()
        assert (await http.get(f"link/blobs/{asked}", params=mine)).content == PICTURE
        refusals = [
            await http.get(f"link/blobs/{blob}", params=named)
            for blob, named in [
                (secret, mine),  # the owner's, but not of this query
                (bobs, mine),  # of a foreign query
                (asked, theirs),
                (asked, mine | {"attempt": 2}),  # not yet
                (asked, mine | {"epoch": small.realm.epoch - 1}),  # of a former realm
                (asked, mine | {"query": "0" * 32}),  # of no query
                ("0" * 64, mine),
                ("..%2f..%2frealm.sqlite", mine),
            ]
        ]
    assert {answer.status_code for answer in refusals} == {404}
    assert len({answer.text for answer in refusals}) == 1


async def test_a_worker_writes_for_an_attempt_that_runs_and_for_no_other(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "fogged")
    mine = await under_way(small, running)
    async with worker(small) as http:
        stale = mine | {"attempt": mine["attempt"] + 1}
        refused = [
            await http.post("link/blobs", params=named, content=b"forged")
            for named in (stale, mine | {"epoch": 0}, mine | {"query": secrets.token_hex(16)})
        ]
        kept = await http.post("link/blobs", params=mine, content=b"made")
        assert kept.status_code == 201
        assert kept.json()["id"] in await named(small, running.id)
        await running.cancel(confirm_seconds=20)
        refused.append(await http.post("link/blobs", params=mine, content=b"late"))
        asked = hashlib.sha256(PICTURE).hexdigest()
        assert (await http.get(f"link/blobs/{asked}", params=mine)).status_code == 404
    assert {answer.status_code for answer in refused} == {404}
    assert len({answer.text for answer in refused}) == 1
    # Written by the attempt and not said in its answer: nobody names it any more.
    assert kept.json()["id"] not in await named(small, running.id)


async def test_an_attempt_that_ends_while_it_writes_keeps_nothing(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "fogged")
    mine = await under_way(small, running)
    ended = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"begun in time, "
        await running.cancel(confirm_seconds=20)
        ended.set()
        yield b"done too late"

    async with worker(small) as http:
        late = await http.post("link/blobs", params=mine, content=slowly())
    assert ended.is_set()
    assert late.status_code == 404
    with pytest.raises(NotFound):
        await ann.download(hashlib.sha256(b"begun in time, done too late").hexdigest())


@pytest.mark.parametrize("token", ["", ANN])
async def test_nobody_but_a_worker_comes_in_this_way(
    small: SmallRealm, ann: RealmClient, token: str
) -> None:
    mine = await under_way(small, await ask(ann, "fogged"))
    asked = hashlib.sha256(PICTURE).hexdigest()
    async with worker(small, token or "nobody's") as http:
        answers = [
            await http.get(f"link/blobs/{asked}", params=mine),
            await http.post("link/blobs", params=mine, content=b"x"),
        ]
    assert {answer.status_code for answer in answers} == {403 if token else 401}


async def test_previews_reach_the_client_and_one_that_is_too_large_stays_behind(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "slideshow")
    shown = [event async for event in running.events() if isinstance(event, Progress)]
    assert shown
    assert all(len(event.preview) <= MAX_PREVIEW_BYTES for event in shown)
    assert shown[-1].note == "preview 2"
    assert b"\2" not in shown[-1].preview
    assert (await running.answer()).parts == (Image(TURNED),)


async def test_a_reader_that_comes_late_is_shown_the_latest_preview_only(
    small: SmallRealm, ann: RealmClient
) -> None:
    running = await ask(ann, "film")
    await running.answer()
    told = [event async for event in running.events() if isinstance(event, Progress)]
    shown = [event for event in told if event.preview]
    assert [event.note for event in shown] == ["preview 199"]
    assert shown[0].preview == bytes([199]) * 4096
