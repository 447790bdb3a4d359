"""OpenAI's own client in every modality but words, against echoes behind the gateway."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from PIL import Image

from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.media import Wav
from mtor_kernel.protocol.quota import Quotas
from tests.gateway.helpers import (
    ANN,
    BAD,
    BOB,
    CARL,
    FUNDS,
    GUEST,
    SOON,
    Door,
    open_door,
    openai_of,
)
from tests.modalities import MODALITIES, picture, seconds_of, sound
from tests.realms import LINK_TOKEN, OWNER, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("realm")
    limits = Limits(patience_seconds=0.1, heartbeat_seconds=0.1, max_openai_upload_bytes=2_000_000)
    async with (
        small_realm(folder, catalogue=MODALITIES, config=FUNDS, max_attempts=1) as small,
        open_door(small, limits=limits) as door,
    ):
        yield door


@pytest_asyncio.fixture(loop_scope="module")
async def ai(door: Door) -> AsyncIterator[AsyncOpenAI]:
    async with openai_of(door.url) as ai:
        yield ai


async def stages(door: Door, token: str = ANN) -> list[str]:
    """The stages of all queries of a person so far, once all have ended."""
    async with door.http(token) as http, asyncio.timeout(SOON):
        while True:
            items = (await http.get("api/queries", params={"limit": 200})).json().get("items", [])
            found = [item["stage"] for item in items]
            if not {"queued", "running"} & set(found):
                return found
            await asyncio.sleep(0.02)


async def under_way(door: Door, count: int) -> None:
    async with asyncio.timeout(SOON):
        while len(door.small.realm.lanes.places) < count:
            await asyncio.sleep(0.01)


# Embeddings.


async def test_texts_become_vectors_in_both_encodings(ai: AsyncOpenAI) -> None:
    # The client asks for base64 by default, and decodes it.
    done = await ai.embeddings.create(model="embedding", input=["the sea", "the sky"])
    plain = await ai.embeddings.create(
        model="embedding", input=["the sea", "the sky"], encoding_format="float"
    )
    assert [one.index for one in done.data] == [0, 1]
    for mine, theirs in zip(done.data, plain.data, strict=True):
        assert mine.embedding == pytest.approx(theirs.embedding, abs=1e-6)
        assert len(mine.embedding) == 64
    assert done.data[0].embedding != done.data[1].embedding
    assert done.model == "embedder"
    assert (done.usage.prompt_tokens, done.usage.total_tokens) == (4, 4)
    single = await ai.embeddings.create(model="embedding", input="the sea")
    assert single.data[0].embedding == done.data[0].embedding


async def test_base64_is_of_little_endian_floats(door: Door) -> None:
    body = {"model": "embedding", "input": "the sea", "encoding_format": "base64"}
    async with door.http() as http:
        (one,) = (await http.post("v1/embeddings", json=body)).json()["data"]
    assert len(struct.unpack("<64f", base64.b64decode(one["embedding"]))) == 64


async def test_a_thousand_texts_are_one_request(ai: AsyncOpenAI, door: Door) -> None:
    before = len(await stages(door))
    done = await ai.embeddings.create(model="embedding", input=[f"text {n}" for n in range(600)])
    assert [one.index for one in done.data] == list(range(600))
    alone = await ai.embeddings.create(model="embedding", input="text 599")
    assert alone.data[0].embedding == done.data[599].embedding
    assert len(await stages(door)) == before + 4


@pytest.mark.parametrize(
    ("how", "param"),
    [
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["a", None]}, "input"),
        ({"input": "a", "dimensions": 8}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "model": "chat"}, "model"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_name(
    ai: AsyncOpenAI, how: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as failed:
        await ai.embeddings.create(**{"model": "embedding"} | how)
    assert failed.value.param == param


# Images.


async def test_a_picture_is_drawn(ai: AsyncOpenAI) -> None:
    done = await ai.images.generate(prompt="a heart", model="image", size="96x32")
    assert done.data is not None
    content = base64.b64decode(done.data[0].b64_json or "")
    assert Image.open(io.BytesIO(content)).size == (96, 32)
    # A model need not be named.
    again = await ai.images.generate(prompt="a heart", size="96x32", response_format="b64_json")
    assert again.data == done.data


async def test_several_pictures_with_a_seed_differ_and_can_be_had_again(ai: AsyncOpenAI) -> None:
    drawn = [
        await ai.images.generate(prompt="a heart", model="image", n=3, extra_body={"seed": 5})
        for _ in range(2)
    ]
    assert drawn[0].data == drawn[1].data
    assert len({one.b64_json for one in drawn[0].data or ()}) == 3


async def test_a_picture_sharpens_in_a_stream(ai: AsyncOpenAI) -> None:
    stream = await ai.images.generate(
        prompt="a heart", model="painting", stream=True, partial_images=2, extra_body={"steps": 8}
    )
    events: list[Any] = [event async for event in stream]
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert len({event.b64_json for event in events}) == 3
    plain = await ai.images.generate(prompt="a heart", model="painting", extra_body={"steps": 8})
    assert (plain.data or ())[0].b64_json == events[-1].b64_json


async def test_an_edit_is_streamed_and_a_failure_before_it_has_its_status(ai: AsyncOpenAI) -> None:
    stream = await ai.images.edit(image=picture(), prompt="a heart", model="image", stream=True)
    assert [event.type async for event in stream] == ["image_edit.completed"]
    with pytest.raises(openai.InternalServerError):
        await ai.images.generate(prompt="a", model="broken-painter", stream=True)


async def test_a_picture_is_edited(ai: AsyncOpenAI) -> None:
    done = await ai.images.edit(image=("photo.png", picture()), prompt="a heart", model="image")
    plain = await ai.images.generate(prompt="a heart", model="image")
    assert (done.data or ())[0] != (plain.data or ())[0]


@pytest.mark.parametrize(
    ("how", "param"),
    [
        ({"response_format": "url"}, "response_format"),
        ({"n": 5}, "n"),
        ({"n": 0}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "9999x9999"}, "width"),
        ({"output_format": "webp"}, "output_format"),
        ({"prompt": ""}, None),
        ({"model": "chat"}, "model"),
        ({"stream": True, "n": 2}, "n"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"extra_body": {"steps": 0}}, "steps"),
    ],
)
async def test_a_picture_that_cannot_be_had_is_refused_by_name(
    ai: AsyncOpenAI, how: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as failed:
        await ai.images.generate(**{"prompt": "a heart", "model": "image"} | how)
    assert failed.value.param == param


async def test_an_edit_without_a_picture_or_with_a_mask_is_refused(ai: AsyncOpenAI) -> None:
    for image, mask in (("photo.png", b"no picture"), ("photo.png", b"")), (picture(), picture()):
        how: dict[str, Any] = {"image": image, "prompt": "a heart", "model": "image"}
        if mask == picture():
            how["mask"] = mask
        with pytest.raises(openai.BadRequestError):
            await ai.images.edit(**how)


async def test_a_backend_that_fails_is_an_error_of_the_server(ai: AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        await ai.images.generate(prompt="a heart", model="broken-painter")
    assert failed.value.code == "backend_failed"


# Transcriptions.


async def test_a_recording_is_written_down_in_every_form(ai: AsyncOpenAI) -> None:
    listen = ai.audio.transcriptions.create
    given: dict[str, Any] = {"model": "whisper-1", "file": ("talk.wav", sound(3))}
    plain = await listen(**given)
    assert plain.text.startswith("I heard 3.0 seconds.")
    text: Any = await listen(**given, response_format="text")
    assert text.strip() == plain.text
    srt: Any = await listen(**given, response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:02,000\nI heard")
    assert "\n\n2\n00:00:02,000 --> 00:00:03,000\n" in srt
    vtt: Any = await listen(**given, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nI heard")
    verbose = await listen(
        **given, language="de", response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (verbose.language, verbose.duration) == ("de", 3.0)
    assert verbose.segments is not None
    assert [(one.start, one.end) for one in verbose.segments] == [(0.0, 2.0), (2.0, 3.0)]
    assert "".join(one.text for one in verbose.segments).startswith("I heard")


async def test_a_transcript_is_streamed(ai: AsyncOpenAI) -> None:
    stream = await ai.audio.transcriptions.create(
        model="whisper-1", file=("talk.wav", sound(5)), stream=True
    )
    events = [event async for event in stream]
    assert [event.type for event in events][-1] == "transcript.text.done"
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == events[-1].text  # type: ignore[union-attr]  # the last has a text
    assert len(deltas) >= 1


@pytest.mark.parametrize(
    ("how", "param"),
    [
        ({"file": ("talk.wav", b"")}, "file"),
        ({"file": ("talk.wav", b"not a sound")}, "file"),
        ({"file": ("photo.png", picture())}, "file"),
        ({"model": "chat"}, "model"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"temperature": 7}, "temperature"),
        ({"extra_body": {"temperature": "warm"}}, "temperature"),
        ({"language": "x" * 30}, "language"),
    ],
)
async def test_a_recording_that_cannot_be_heard_is_refused_by_name(
    ai: AsyncOpenAI, how: dict[str, Any], param: str
) -> None:
    given: dict[str, Any] = {"model": "whisper-1", "file": ("talk.wav", sound(0.1))} | how
    with pytest.raises(openai.BadRequestError) as failed:
        await ai.audio.transcriptions.create(**given)
    assert failed.value.param == param


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x--"),
        (FORM, b""),
        (FORM, b"--x\r\n\r\n--x--"),
        (FORM, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\na\r\n--x--\r\n'),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\r\n--x--\r\n'),
        (FORM, b"--x\r\n" * 10_000 + b"--x--"),
        ('multipart/form-data; boundary=""', b"--x--"),
        ("multipart/form-data; boundary=\u00e9", b"--x--"),
    ],
)
@pytest.mark.parametrize("path", ["audio/transcriptions", "images/edits"])
async def test_what_is_no_form_is_refused_and_breaks_nothing(
    door: Door, path: str, kind: str, body: bytes
) -> None:
    async with door.http() as http:
        headers = {"Content-Type": kind.encode("latin-1")}
        answer = await http.post(f"v1/{path}", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(door: Door) -> None:
    async with door.http() as http:
        files = {"file": ("talk.wav", b"x" * 2_100_000)}
        answer = await http.post(
            "v1/audio/transcriptions", data={"model": "whisper-1"}, files=files
        )
    assert answer.status_code == 400
    assert "2,000,000" in answer.json()["error"]["message"]


# Speech.


async def test_words_are_spoken_as_one_wav(ai: AsyncOpenAI) -> None:
    done = await ai.audio.speech.create(
        model="tts-1", voice="alloy", input="Good morning. How are you?", response_format="wav"
    )
    taken = Wav.of(done.content)
    assert taken.form == (1, 2, 16_000)
    assert taken.seconds > 1
    faster = await ai.audio.speech.create(
        model="tts-1",
        voice="alloy",
        input="Good morning. How are you?",
        response_format="wav",
        speed=2.0,
    )
    assert Wav.of(faster.content).seconds == pytest.approx(taken.seconds / 2, rel=0.05)


async def test_a_wav_that_is_whole_at_once_says_its_length(ai: AsyncOpenAI) -> None:
    # The end is waited for only for a moment, in which a busy machine may not bring it.
    async with asyncio.timeout(60):
        told = math.inf
        while told > 3600:  # what is said where the length is not known
            done = await ai.audio.speech.create(
                model="speech", voice="x", input="Yes.", response_format="wav"
            )
            told = seconds_of(done.content)
    assert told == pytest.approx(Wav.of(done.content).seconds)


async def test_pcm_has_the_rate_that_clients_expect(ai: AsyncOpenAI) -> None:
    given: dict[str, Any] = {"model": "speech", "voice": "x", "input": "Good morning."}
    wav = Wav.of((await ai.audio.speech.create(**given, response_format="wav")).content)
    pcm = await ai.audio.speech.create(**given, response_format="pcm")
    assert pcm.response.headers["Content-Type"].startswith("audio/pcm")
    assert len(pcm.content) / 2 / 24_000 == pytest.approx(wav.seconds, abs=0.01)


async def test_sentences_are_heard_before_the_last_is_spoken(ai: AsyncOpenAI, door: Door) -> None:
    text = "One. " * 200
    async with ai.audio.speech.with_streaming_response.create(
        model="talking", voice="x", input=text, response_format="wav"
    ) as response:
        async for piece in response.iter_bytes():
            assert piece.startswith(b"RIFF")
            assert door.small.realm.lanes.places
            break
    assert (await stages(door))[0] == "cancelled"


@pytest.mark.parametrize(
    ("how", "param"),
    [
        ({"response_format": "mp3"}, "response_format"),
        ({"response_format": "opus"}, "response_format"),
        ({"input": " "}, None),
        ({"speed": 9}, "speed"),
        ({"voice": {"id": "x"}}, "voice"),
        ({"model": "chat"}, "model"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
async def test_speech_that_cannot_be_had_is_refused_by_name(
    ai: AsyncOpenAI, how: dict[str, Any], param: str | None
) -> None:
    given: dict[str, Any] = {"model": "speech", "voice": "x", "input": "Hello."}
    with pytest.raises(openai.BadRequestError) as failed:
        await ai.audio.speech.create(**given | how)
    assert failed.value.param == param


# Vision.


async def test_a_picture_goes_with_a_question(ai: AsyncOpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    content: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    done = await ai.chat.completions.create(
        model="vision", messages=[{"role": "user", "content": content}]
    )
    said = "I was sent 1 picture: 60×40 (image/png). You asked: What is it?"
    assert done.choices[0].message.content == said
    stream = await ai.chat.completions.create(
        model="vision", messages=[{"role": "user", "content": content}], stream=True
    )
    words = [piece.choices[0].delta.content or "" async for piece in stream if piece.choices]
    assert "".join(words) == said


@pytest.mark.parametrize("url", ["https://example.org/cat.png", "file:///etc/passwd", "cat.png"])
async def test_a_picture_elsewhere_is_never_fetched(ai: AsyncOpenAI, url: str) -> None:
    content: Any = [{"type": "image_url", "image_url": {"url": url}}]
    with pytest.raises(openai.BadRequestError, match="fetches nothing"):
        await ai.chat.completions.create(
            model="vision", messages=[{"role": "user", "content": content}]
        )


async def test_a_model_that_draws_does_not_chat(ai: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="painter does image"):
        await ai.chat.completions.create(
            model="painter", messages=[{"role": "user", "content": "hi"}]
        )


# All of them.


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("embeddings", {"json": {"model": "embedding", "input": "a"}}),
    ("images/generations", {"json": {"model": "image", "prompt": "a"}}),
    ("audio/speech", {"json": {"model": "speech", "input": "a", "voice": "x"}}),
    (
        "images/edits",
        {"data": {"model": "image", "prompt": "a"}, "files": {"image": ("a.png", picture())}},
    ),
    (
        "audio/transcriptions",
        {"data": {"model": "whisper-1"}, "files": {"file": ("a.wav", sound(0.1))}},
    ),
]


@pytest.mark.parametrize(("path", "how"), REQUESTS, ids=[path for path, _ in REQUESTS])
@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (BAD, 401, "invalid_api_key"),
        (LINK_TOKEN, 403, "forbidden"),
        (GUEST, 429, "insufficient_quota"),
    ],
)
async def test_nobody_gets_past_the_door_or_the_ledger(
    door: Door, path: str, how: dict[str, Any], token: str, status: int, code: str
) -> None:
    async with door.http(token) as http:
        answer = await http.post(f"v1/{path}", **how)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(("path", "how"), REQUESTS, ids=[path for path, _ in REQUESTS])
async def test_an_answer_is_charged_and_remembered(
    door: Door, path: str, how: dict[str, Any]
) -> None:
    async with door.http(BOB) as http:
        answer = await http.post(f"v1/{path}", **how)
        assert answer.status_code == 200, answer.text
        query = (await http.get("api/queries/" + answer.headers["X-MTOR-Query"])).json()
    assert query["stage"] == "settled"
    assert query["charge"]["amount_micro"] > 0


@pytest.mark.parametrize(("path", "how"), REQUESTS, ids=[path for path, _ in REQUESTS])
async def test_a_model_that_is_not_there_is_not_found(
    door: Door, path: str, how: dict[str, Any]
) -> None:
    fields = "json" if "json" in how else "data"
    async with door.http() as http:
        answer = await http.post(f"v1/{path}", **how | {fields: how[fields] | {"model": "warp"}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", [path for path, how in REQUESTS if "json" in how])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff", b'{"model": 5}', b"null"])
async def test_what_is_no_request_is_refused_and_breaks_nothing(
    door: Door, path: str, body: bytes
) -> None:
    async with door.http() as http:
        answer = await http.post(f"v1/{path}", content=body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_who_leaves_cancels_all_that_was_asked(ai: AsyncOpenAI, door: Door) -> None:
    before = len(await stages(door))
    waiting = asyncio.create_task(ai.images.generate(prompt="a", model="stuck-painter", n=3))
    await under_way(door, 3)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    found = await stages(door)
    assert found[: len(found) - before] == ["cancelled"] * 3


async def test_one_failure_cancels_the_others(ai: AsyncOpenAI, door: Door) -> None:
    with pytest.raises(openai.InternalServerError):
        await ai.images.generate(prompt="a", model="broken-painter", n=4)
    assert set((await stages(door))[:4]) <= {"failed", "cancelled"}


async def test_what_cannot_be_admitted_whole_is_taken_back(door: Door) -> None:
    sysop = door.small.realm.sysop
    async with door.http(CARL) as http:
        await http.get("api/me")
    await sysop.quota(OWNER, "carl", Quotas(queries_per_minute=2))
    try:
        async with openai_of(door.url, CARL) as ai:
            with pytest.raises(openai.RateLimitError):
                await ai.images.generate(prompt="a", model="stuck-painter", n=3)
    finally:
        await sysop.quota(OWNER, "carl", None)
    assert await stages(door, CARL) == ["cancelled"] * 2


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
_FIELDS = st.sampled_from(
    ["model", "input", "prompt", "n", "size", "seed", "steps", "voice", "speed", "encoding_format"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from([path for path, how in REQUESTS if "json" in how]),
    fields=st.dictionaries(_FIELDS, _VALUES, max_size=4),
)
async def test_no_request_whatever_breaks_the_realm(
    door: Door, path: str, fields: dict[str, Any]
) -> None:
    whole = next(how["json"] for known, how in REQUESTS if known == path)
    body = json.dumps(whole | fields).encode("utf-8", "surrogatepass")
    async with door.http() as http:
        answer = await http.post(f"v1/{path}", content=body)
    assert answer.status_code < 500, (body, answer.text)


async def test_a_key_sent_again_joins_the_first_queries(door: Door) -> None:
    before = len(await stages(door))
    async with door.http() as http:
        answers: list[httpx.Response] = [
            await http.post(
                "v1/images/generations",
                json={"prompt": "a", "n": 2},
                headers={"Idempotency-Key": "the-same-two"},
            )
            for _ in range(2)
        ]
    assert answers[0].json()["data"] == answers[1].json()["data"]
    assert len(await stages(door)) == before + 2
