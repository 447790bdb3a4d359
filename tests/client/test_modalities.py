"""Every modality, asked by the client of a real realm whose models are echoes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image as Pillow

from mtor_kernel.client import Realm, RealmClient
from mtor_kernel.protocol.errors import BadInput, QueryCancelled, TooLarge
from mtor_kernel.protocol.ngram import Progress
from mtor_kernel.protocol.query import Audio, Image
from tests.modalities import MODALITIES, picture, seconds_of, sound
from tests.realms import TOKEN, SmallRealm, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallRealm]:
    folder = tmp_path_factory.mktemp("realm")
    async with small_realm(folder, catalogue=MODALITIES) as small:
        yield small


@pytest_asyncio.fixture(loop_scope="module")
async def client(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


async def plainly(small: SmallRealm, ask: Any) -> Any:
    """What plain code gets, run in a thread beside the realm's loop."""

    def run() -> Any:
        with Realm(small.url, TOKEN) as realm:
            return ask(realm)

    return await asyncio.to_thread(run)


async def test_a_picture_is_seen_however_it_is_given(client: RealmClient, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    for given in (path, str(path), picture(), Pillow.open(path), np.zeros((40, 60, 3), np.uint8)):
        reply = await client.see(given, "What is it?")
        assert reply.text == "I was sent 1 picture: 60×40 (image/png). You asked: What is it?"
    assert reply.data[0]["pictures"][0]["width"] == 60
    both = await client.see([picture(), picture("JPEG", (9, 9))])
    assert "2 pictures: 60×40 (image/png), 9×9 (image/jpeg)" in both.text


async def test_pictures_go_with_any_question(client: RealmClient) -> None:
    reply = await client.ask("How large?", "vision", attach=[picture()])
    assert reply.text.endswith("You asked: How large?")
    words = [word async for word in client.stream("So?", "vision", attach=[picture()])]
    assert "".join(words).endswith("You asked: So?")


async def test_a_picture_is_drawn_with_previews_on_the_way(client: RealmClient) -> None:
    events: list[Any] = []
    reply = await client.imagine("a heart", "painting", steps=4, on_event=events.append)
    previews = [e.preview for e in events if isinstance(e, Progress) and e.preview]
    assert previews
    assert all(Pillow.open(io.BytesIO(preview)).size == (64, 64) for preview in previews)
    (part,) = reply.parts
    assert isinstance(part, Image)
    assert Pillow.open(io.BytesIO(await client.download(part.blob))).size == (64, 64)
    assert reply.charge.usage.pixel_steps == 64 * 64 * 4


async def test_speech_comes_sentence_by_sentence_and_can_be_heard_again(
    client: RealmClient,
) -> None:
    spoken = await client.say("Good morning. How are you?")
    assert [type(part) for part in spoken.parts] == [Audio, Audio]
    first = spoken.parts[0]
    assert isinstance(first, Audio)
    heard = await client.listen(await client.download(first.blob), language="de")
    assert heard.text.startswith("I heard ")
    assert heard.data[0]["language"] == "de"


async def test_texts_become_vectors(client: RealmClient) -> None:
    one = await client.embed("the sea")
    assert len(one) == 64
    several = await client.embed(["the sea", "the sky"])
    assert several[0] == one != several[1]


async def test_more_texts_than_fit_into_a_query_are_several_queries(client: RealmClient) -> None:
    texts = [f"text {number}" for number in range(300)]
    before = len(await client.history(limit=100))
    vectors = await client.embed(texts)
    assert len(vectors) == 300
    assert vectors[299] == await client.embed("text 299")
    assert len(await client.history(limit=100)) == before + 3


async def test_an_api_answers_with_a_value(client: RealmClient) -> None:
    assert (await client.api("weather", city="Rome", days=3))["parameters"] == {
        "city": "Rome",
        "days": "3",
    }


async def test_what_lies_there_already_is_not_sent_again(
    small: SmallRealm, client: RealmClient
) -> None:
    large = sound(6.0, 16_000)
    first = await client.upload(large, "audio/wav")
    kept = small.realm.blobs
    path, _ = await kept.open("owner", first)
    written = path.stat().st_mtime_ns
    assert await client.upload(large, "audio/wav") == first
    assert path.stat().st_mtime_ns == written


async def test_nothing_is_sent_or_charged_where_one_thing_is_wrong(client: RealmClient) -> None:
    before = await client.history(limit=100)
    for wrong in ("no-such.png", ".", b"hello", 5, sound(), [picture(), "no-such.png"]):
        with pytest.raises(BadInput):
            await client.see(wrong)
    with pytest.raises(TooLarge):
        await client.see(picture() + bytes(10_000_000))
    for texts in ([], "", ["one", ""], [5]):
        with pytest.raises(BadInput):
            await client.embed(texts)  # type: ignore[call-overload]  # what a person may type
    with pytest.raises(BadInput):
        await client.say(" ")
    assert await client.history(limit=100) == before


async def test_plain_code_gets_a_picture_that_a_notebook_shows(
    small: SmallRealm, tmp_path: Path
) -> None:
    def ask(realm: Realm) -> Any:
        events: list[Any] = []
        drawn = realm.imagine("a heart", width=32, height=16, on_event=events.append)
        assert drawn.pil.size == (32, 16)
        assert drawn.save(tmp_path / "heart.png").read_bytes() == drawn.content
        assert drawn.reply.charge.usage.images == 1
        bundle, metadata = drawn._repr_mimebundle_()
        assert metadata["image/png"] == {"width": 320, "height": 160}
        assert set(bundle) == {"image/png", "text/plain"}
        return realm.imagine("a heart", picture=drawn.content), drawn, events

    other, drawn, events = await plainly(small, ask)
    assert other.blobs != drawn.blobs
    assert events


async def test_plain_code_gets_one_sound_of_all_sentences(small: SmallRealm) -> None:
    def ask(realm: Realm) -> Any:
        spoken = realm.say("Good morning. How are you?")
        assert len(spoken.blobs) == 2
        apart = sum(seconds_of(realm.download(blob)) for blob in spoken.blobs)
        assert spoken.seconds == pytest.approx(apart)
        assert "<audio controls" in spoken._repr_mimebundle_()["text/html"]
        return realm.listen(spoken.content).text

    assert (await plainly(small, ask)).startswith("I heard ")


async def test_plain_code_sees_embeds_and_calls(small: SmallRealm) -> None:
    def ask(realm: Realm) -> Any:
        assert realm.see(picture(), "So?").text.endswith("You asked: So?")
        assert realm.ask("So?", "vision", attach=[picture()]).text.endswith("You asked: So?")
        assert "".join(realm.stream("A?", "vision", attach=[picture()])).endswith("A?")
        assert realm.embed(["a", "b"]) == [realm.embed("a"), realm.embed("b")]
        return realm.api("weather", city="Rome")

    assert (await plainly(small, ask))["parameters"] == {"city": "Rome"}


async def test_a_drawing_that_is_cancelled_ends(client: RealmClient) -> None:
    query = await client.prepare("a heart", "painting")
    async with await client.submit(query) as running:
        async for event in running.events():
            if isinstance(event, Progress):
                break
        await running.cancel()
        with pytest.raises(QueryCancelled):
            await running.answer()
