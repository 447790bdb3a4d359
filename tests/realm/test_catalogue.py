"""The catalogue of a realm in use: changed, broken, mended, and nobody's query is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mtor_kernel.client import RealmClient
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import BadInput, UnknownModel
from mtor_kernel.protocol.ngram import Chunk
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.catalogue import CatalogueFile
from tests.plugins import HeldBackend, held
from tests.realms import CATALOGUE, SmallRealm, small_realm

PARROT = """
[[models]]
name = "parrot"
modality = "chat"
backend = "held"
slots = 2
rates = { free = true }
"""
WITHOUT_ANY_PRICE = CATALOGUE.replace("output_token_micro = 5", "image_micro = 5")


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    """A realm with a parrot that says a word of each answer, and the rest when a test lets it."""
    with held(tmp_path / "plugins"):
        async with small_realm(tmp_path, catalogue=CATALOGUE + PARROT, workers=2) as small:
            yield small
            assert await small.realm.sysop.check_books() == []


@pytest_asyncio.fixture
async def owner(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


def write(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalogue.toml").write_text(text)


async def speaking(client: RealmClient, prompt: str, model: str) -> Running:
    """Ask, and wait for the first word."""
    running = await client.submit(Query.ask(prompt, model))
    async with asyncio.timeout(60):
        async for event in running.events():
            if isinstance(event, Chunk):
                return running
    raise AssertionError("it said nothing")


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_file_that_is_saved_is_in_force_without_being_told(
    small: SmallRealm, owner: RealmClient, tmp_path: Path
) -> None:
    HeldBackend.let()
    write(tmp_path, CATALOGUE + PARROT.replace("parrot", "starling"))
    await until(lambda: "starling" in small.realm.lanes.catalogue.by_name)
    assert (await owner.ask("hello", "starling")).text.startswith("hello")
    info = await owner.sysop("catalogue")
    assert "fault" not in info
    assert "starling" in info["models"]


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_mistake_is_shown_with_its_line_and_leaves_the_old_one_in_force(
    small: SmallRealm, owner: RealmClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    HeldBackend.let()
    write(tmp_path, WITHOUT_ANY_PRICE)
    await until(lambda: small.realm.equipment.catalogue_file.fault)
    told = (await owner.sysop("catalogue"))["fault"]
    assert "prices nothing that chat uses" in told
    assert "in [[models]] number 2" in told
    assert "at rates in line 19" in told
    assert told in caplog.text
    assert (await owner.ask("hello", "parrot")).text.startswith("hello")
    with pytest.raises(BadInput, match="at rates in line 19"):
        await owner.sysop("reload")
    write(tmp_path, CATALOGUE)
    await until(lambda: not small.realm.equipment.catalogue_file.fault)
    with pytest.raises(UnknownModel):
        await owner.ask("hello", "parrot")


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_model_that_is_taken_out_serves_what_it_has_and_ends(
    small: SmallRealm, owner: RealmClient, tmp_path: Path
) -> None:
    words = [f"word{at}" for at in range(30)]
    running = [await speaking(owner, " ".join(words), "parrot") for _ in range(2)]
    # Of the two workers' four slots two are free: some of these wait, whatever comes first.
    waiting = [await owner.submit(Query.ask(f"later {at}", "parrot")) for at in range(6)]
    write(tmp_path, CATALOGUE)
    await owner.sysop("reload")
    with pytest.raises(UnknownModel):
        await owner.ask("hello", "parrot")
    assert (await owner.sysop("catalogue"))["ending"] == ["parrot"]
    HeldBackend.let()
    for one in running:
        reply = await one.answer()
        assert (reply.text.split(), reply.attempts) == (words, 1)
    for at, one in enumerate(waiting):
        assert (await one.answer()).text.startswith(f"later {at}")
    await until(lambda: "parrot" not in small.realm.lanes)
    await until(
        lambda: (
            not any(
                served.model == "parrot"
                for worker in small.realm.workers.infos()
                for served in worker.served
            )
        )
    )
    assert (await owner.ask("hello", "echo")).text == "hello"


@pytest.mark.asyncio
async def test_a_model_that_comes_back_in_time_goes_on(
    small: SmallRealm, owner: RealmClient, tmp_path: Path
) -> None:
    running = await speaking(owner, "one two three", "parrot")
    write(tmp_path, CATALOGUE)
    await owner.sysop("reload")
    write(tmp_path, CATALOGUE + PARROT)
    await owner.sysop("reload")
    assert small.realm.lanes["parrot"].retired_at is None
    HeldBackend.let()
    assert (await owner.ask("hello", "parrot")).text.startswith("hello")
    assert (await running.answer()).attempts == 1


@pytest.mark.asyncio
async def test_a_model_with_queries_under_way_keeps_its_modality(
    small: SmallRealm, owner: RealmClient, tmp_path: Path
) -> None:
    running = await speaking(owner, "one two three", "parrot")
    write(tmp_path, CATALOGUE + PARROT.replace('"chat"', '"vision"'))
    with pytest.raises(BadInput, match="give the new model another name"):
        await owner.sysop("reload")
    HeldBackend.let()
    assert (await running.answer()).text == "one two three"


@pytest.mark.asyncio
@pytest.mark.slow
async def test_a_worker_that_drains_ends_what_it_has_and_the_other_takes_the_rest(
    small: SmallRealm, owner: RealmClient
) -> None:
    running = [await speaking(owner, f"word {at}", "parrot") for at in range(4)]
    waiting = [await owner.submit(Query.ask(f"later {at}", "parrot")) for at in range(4)]
    await owner.sysop("workers/worker-0/drain")
    HeldBackend.let()
    for one in [*running, *waiting]:
        assert (await one.answer()).attempts == 1
    states = {info.name: info.state for info in small.realm.workers.infos()}
    assert states == {"worker-0": "draining", "worker-1": "well"}
    await owner.sysop("workers/worker-0/resume")
    assert (await owner.ask("hello", "parrot")).text.startswith("hello")


@pytest.mark.asyncio
async def test_a_worker_that_leaves_and_one_that_joins_lose_no_query(
    small: SmallRealm, owner: RealmClient
) -> None:
    running = [await speaking(owner, f"word {at}", "parrot") for at in range(4)]
    async with small.worker("late"):
        await until(lambda: len(small.realm.workers.infos()) == 3)
        await small.workers[0].close()
        HeldBackend.let()
        replies = [await one.answer() for one in running]
    assert all(reply.text.startswith("word") for reply in replies)
    assert {reply.attempts for reply in replies} <= {1, 2}


def test_a_file_is_taken_over_when_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(CATALOGUE)
    file = CatalogueFile(path, tmp_path)
    file.load()
    assert not file.has_changed()
    path.write_text(CATALOGUE + PARROT)
    assert not file.has_changed()  # perhaps it is still being written
    os.utime(path, (1, 1))
    assert not file.has_changed()
    assert file.has_changed()
    assert "parrot" in file.load().by_name
    assert not file.has_changed()
    path.unlink()
    assert not file.has_changed()
    assert file.has_changed()
    with pytest.raises(OSError, match="catalogue"):
        file.load()
    assert "cannot be read" in file.fault
    assert not file.has_changed()


def test_what_is_no_text_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_bytes(b"\xff\xfe\x00")
    file = CatalogueFile(path, tmp_path)
    with pytest.raises(BadInput, match="UTF-8"):
        file.load()
    assert file.fault


def test_a_mark_that_an_editor_puts_before_the_text_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(CATALOGUE, "utf-8-sig")
    assert CatalogueFile(path, tmp_path).load().models


def test_what_a_pulled_models_file_says_is_watched_as_well(tmp_path: Path) -> None:
    path, pulled = tmp_path / "catalogue.toml", tmp_path / "models.d" / "parrot.toml"
    path.write_text(CATALOGUE)
    pulled.parent.mkdir()
    pulled.write_text(PARROT)
    file = CatalogueFile(path, tmp_path)
    assert file.load().by_name["parrot"].slots == 2
    with pulled.open("r+") as inside:  # the folder stays as it was
        inside.write(PARROT.replace("slots = 2", "slots = 3"))
    assert not file.has_changed()
    assert file.has_changed()
    assert file.load().by_name["parrot"].slots == 3
