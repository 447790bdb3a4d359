"""Say and listen through a whole realm, with the models that MTOR brings."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from dask_workers.weights import pull
from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import BadInput, TooLarge, UnknownOption
from mtor_kernel.protocol.ngram import Cancelled, Chunk
from mtor_kernel.protocol.query import Audio, Message, Query, Text
from tests.realms import TOKEN, SmallRealm, small_realm
from tests.voice import SENTENCES, STORY
from tests.wer import word_error_rate

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallRealm]:
    for name in ("minilm", "whisper-tiny-en"):
        await asyncio.to_thread(pull, name)
    catalogue = (files("mtor_kernel.realm") / "catalogue.toml").read_text("utf-8")
    folder = tmp_path_factory.mktemp("realm")
    async with small_realm(folder, catalogue=catalogue.replace("preload = true", "")) as small:
        yield small


@pytest_asyncio.fixture(loop_scope="module")
async def client(small: SmallRealm) -> AsyncIterator[RealmClient]:
    async with small.client() as client:
        yield client


async def joined(client: RealmClient, parts: Any) -> bytes:
    """All sounds of an answer as one file."""
    sounds = [await client.download(part.blob) for part in parts if isinstance(part, Audio)]
    file = io.BytesIO()
    with wave.open(file, "wb") as whole:
        for sound in sounds:
            with wave.open(io.BytesIO(sound)) as one:
                if not whole.getnframes():
                    whole.setparams(one.getparams())
                whole.writeframes(one.readframes(one.getnframes()))
    return file.getvalue()


async def test_what_the_realm_says_the_realm_understands(client: RealmClient) -> None:
    said = await client.say(STORY, seed=1)
    assert said.model == "hibari"
    assert len(said.parts) == len(SENTENCES)
    assert said.charge.usage.characters == len(STORY)
    # The entry's card: 10 a query, and 1 a character.
    assert said.charge.amount_micro == 10 + len(STORY)

    heard = await client.listen(await joined(client, said.parts))
    assert heard.model == "whisper-tiny-en"
    assert word_error_rate(STORY, heard.text) < 0.15
    (found,) = heard.data
    assert found["language"] == "en"
    assert found["duration"] == pytest.approx(said.charge.usage.audio_ms / 1000, abs=0.1)
    assert heard.charge.usage.audio_ms == pytest.approx(said.charge.usage.audio_ms, abs=100)
    assert heard.charge.amount_micro == 10 + -(-heard.charge.usage.audio_ms * 10 // 1000)


async def test_the_first_sentence_is_heard_before_the_last_is_made(client: RealmClient) -> None:
    query = Query.ask(STORY, "speech")
    running = await client.submit(query)
    sounds = [
        event.part.blob
        async for event in running.events()
        if isinstance(event, Chunk) and isinstance(event.part, Audio)
    ]
    assert len(sounds) == len(SENTENCES)
    assert len(await client.download(sounds[0])) > 10_000


async def test_an_openai_client_says_listens_and_embeds(small: SmallRealm) -> None:
    asked = AsyncOpenAI(base_url=f"{small.url}v1", api_key=TOKEN, max_retries=0)
    async with asked as openai:
        sound = await openai.audio.speech.create(
            model="tts-1", voice="alloy", input=STORY, response_format="wav"
        )
        file = ("story.wav", sound.content, "audio/wav")
        heard = await openai.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json"
        )
        assert word_error_rate(STORY, heard.text) < 0.15
        assert heard.segments
        assert heard.segments[-1].end <= float(heard.duration)
        found = await openai.embeddings.create(model="embedding", input=list(SENTENCES))
        assert [len(one.embedding) for one in found.data] == [384] * len(SENTENCES)


async def test_vectors_of_many_texts_come_in_one_answer(client: RealmClient) -> None:
    texts = [f"{sentence} ({number})" for number in range(10) for sentence in SENTENCES]
    vectors = np.array(await client.embed(texts))
    assert vectors.shape == (len(texts), 384)
    likeness = vectors @ vectors.T
    assert likeness.diagonal() == pytest.approx(1, abs=1e-4)
    assert likeness[0, 12] > 0.8 > 0.5 > likeness[0, 1]


async def test_the_most_texts_that_a_query_can_carry_come_back(client: RealmClient) -> None:
    message = Message("user", tuple(Text(f"text {number}") for number in range(256)))
    running = await client.submit(Query((message,), "embedding"))
    reply = await running.answer()
    assert [len(value["embedding"]) for value in reply.data] == [384] * 256


async def test_what_is_no_recording_and_no_option_is_refused_and_charged_nothing(
    client: RealmClient,
) -> None:
    before = (await client.me()).balance_micro
    blob = await client.upload(b"RIFF\0\0\0\0WAVE" + b"\0" * 1000, "audio/wav")
    broken = Query((Message("user", (Audio(blob),)),), "transcription")
    with pytest.raises(BadInput, match=r"recording|sound"):
        await (await client.submit(broken)).answer()
    with pytest.raises(UnknownOption, match="no voice 'emma'"):
        await client.say("Hello.", voice="emma")
    with pytest.raises(TooLarge, match="4,096"):
        await client.say("word " * 1000)
    assert (await client.me()).balance_micro == before


async def test_a_recording_is_cancelled_while_it_is_heard(client: RealmClient) -> None:
    long = await client.say(" ".join([STORY] * 4), seed=2)
    # So long that a busy machine, too, cancels before the last piece of it was heard.
    blob = await client.upload(await joined(client, long.parts * 3), "audio/wav")
    running = await client.submit(Query((Message("user", (Audio(blob),)),), "transcription"))
    heard_first, event = False, None
    async for event in running.events():
        if isinstance(event, Chunk) and not heard_first:
            heard_first = True
            await running.cancel()
    assert isinstance(event, Cancelled)
    heard = await client.listen(await joined(client, long.parts[:1]))
    assert "harbor" in heard.text
