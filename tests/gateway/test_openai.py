"""OpenAI's own client, unchanged, against the gateway."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai import OpenAI

from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.quota import Quotas
from tests import plugins
from tests.gateway.helpers import ANN, BAD, BOB, FUNDS, GUEST, SOON, Door, open_door
from tests.plugins import HELD, HeldBackend
from tests.realms import CATALOGUE, LINK_TOKEN, OWNER, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILING = """
[[models]]
name = "broken"
modality = "chat"
backend = "echo"
rates = { free = true }
settings = { fail = true }

[[models]]
name = "breaking"
modality = "chat"
backend = "held"
rates = { free = true }
settings = { fails = 9 }

[[models]]
name = "faltering"
modality = "chat"
backend = "held"
rates = { free = true }
settings = { fails = 1, delay = 600.0 }

[[models]]
name = "stumbling"
modality = "chat"
backend = "echo"
rates = { free = true }
settings = { chunks = 20, rate = 50.0, fail = true, fail_after = 5, fail_first = 1 }

[[models]]
name = "sees"
modality = "vision"
backend = "echo"
rates = { output_token_micro = 5 }
"""
PROMPT = "".join(f"word{at} " for at in range(20))
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("realm")
    limits = Limits(patience_seconds=0.1, heartbeat_seconds=0.1)
    catalogue = CATALOGUE + HELD + FAILING
    with plugins.held(folder / "plugins", math.inf):
        async with (
            small_realm(folder, catalogue=catalogue, config=FUNDS, max_attempts=1) as small,
            open_door(small, limits=limits) as door,
        ):
            yield door


def says(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def stage(door: Door, query: str, token: str = ANN) -> str:
    """The stage of a query once it has ended."""
    async with door.http(token) as http, asyncio.timeout(SOON):
        await http.get(f"api/queries/{query}/events")
        return str((await http.get(f"api/queries/{query}")).json()["stage"])


async def latest(door: Door, token: str = ANN, *, other_than: str = "") -> str:
    """The id of a person's latest query, once it is another one."""
    async with door.http(token) as http, asyncio.timeout(SOON):
        while True:
            items = (await http.get("api/queries", params={"limit": 1})).json().get("items", [])
            if items and items[0]["id"] != other_than:
                return str(items[0]["id"])
            await asyncio.sleep(0.02)


async def test_models_are_listed_and_found(door: Door) -> None:
    ai = door.openai()
    names = {model.id async for model in ai.models.list()}
    assert names >= {"echo", "slow", "chat"}
    assert (await ai.models.retrieve("echo")).id == "echo"
    with pytest.raises(openai.NotFoundError):
        await ai.models.retrieve("warp/drive")


async def test_a_question_is_answered(door: Door) -> None:
    done = await door.openai().chat.completions.create(model="echo", messages=says("to be"))
    choice = done.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "to be")
    assert choice.finish_reason == "stop"
    assert done.model == "echo"
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (2, 2)
    query = done.id.removeprefix("chatcmpl-")
    assert await stage(door, query) == "settled"


async def test_an_alias_answers_as_the_model_that_it_stands_for(door: Door) -> None:
    done = await door.openai().chat.completions.create(model="chat", messages=says("hi"))
    assert done.model == "echo"


async def test_the_synchronous_client_works_as_well(door: Door) -> None:
    def ask() -> str | None:
        with OpenAI(base_url=door.url + "v1", api_key=ANN) as ai:
            return (
                ai.chat.completions.create(model="echo", messages=says("hi"))
                .choices[0]
                .message.content
            )

    assert await asyncio.to_thread(ask) == "hi"


@pytest.mark.usefixtures("held")
async def test_an_answer_is_streamed_with_its_usage(door: Door) -> None:
    stream = await door.openai().chat.completions.create(
        model="held", messages=says(PROMPT), stream=True, stream_options={"include_usage": True}
    )
    pieces = []
    async for piece in stream:
        pieces.append(piece)
        # No word is said before the last one has come.
        HeldBackend.let(len(pieces))
    deltas = [piece.choices[0].delta for piece in pieces if piece.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == PROMPT
    assert len([delta for delta in deltas if delta.content]) > 3
    assert pieces[-2].choices[0].finish_reason == "stop"
    assert pieces[-1].choices == []
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens == 20
    assert len({piece.id for piece in pieces}) == 1


async def test_without_asking_for_usage_there_is_none(door: Door) -> None:
    stream = await door.openai().chat.completions.create(
        model="echo", messages=says("hi"), stream=True
    )
    pieces = [piece async for piece in stream]
    assert all(piece.usage is None for piece in pieces)
    assert pieces[-1].choices[0].finish_reason == "stop"


async def test_limits_and_stops_are_kept(door: Door) -> None:
    ai = door.openai()
    short = await ai.chat.completions.create(model="slow", messages=says(PROMPT), max_tokens=3)
    assert short.choices[0].finish_reason == "length"
    assert (short.choices[0].message.content or "").split() == ["word0", "word1", "word2"]
    stopped = await ai.chat.completions.create(model="slow", messages=says(PROMPT), stop="word2")
    assert "word2" not in (stopped.choices[0].message.content or "")


async def test_a_conversation_with_a_picture(door: Door) -> None:
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    picture = {"type": "image_url", "image_url": {"url": url}}
    asked: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
    ]
    done = await door.openai().chat.completions.create(model="sees", messages=asked)
    said = done.choices[0].message.content
    assert said is not None
    assert said.endswith("You asked: What is it?")
    with pytest.raises(openai.BadRequestError, match="takes no picture: ask sees"):
        await door.openai().chat.completions.create(model="echo", messages=asked)
    async with door.http() as http:
        blob = await http.get("api/blobs/" + hashlib.sha256(PIXEL).hexdigest())
    assert blob.content == PIXEL


@pytest.mark.parametrize(
    ("token", "model", "how", "kind", "code"),
    [
        (BAD, "echo", {}, openai.AuthenticationError, "invalid_api_key"),
        (LINK_TOKEN, "echo", {}, openai.PermissionDeniedError, "forbidden"),
        (ANN, "warp-drive", {}, openai.NotFoundError, "model_not_found"),
        (ANN, "GPT-4", {}, openai.NotFoundError, "model_not_found"),
        (ANN, "echo", {"temperature": 3}, openai.BadRequestError, "unknown_option"),
        (ANN, "echo", {"max_tokens": 0}, openai.BadRequestError, "unknown_option"),
        (ANN, "echo", {"n": 2}, openai.BadRequestError, "unknown_option"),
        (ANN, "echo", {"tools": [{"type": "x"}]}, openai.BadRequestError, "unknown_option"),
        (ANN, "echo", {"messages": []}, openai.BadRequestError, "bad_input"),
        (ANN, "echo", {"messages": says("")}, openai.BadRequestError, "bad_input"),
        (ANN, "echo", {"messages": says("a\0b")}, openai.BadRequestError, "bad_input"),
        (
            ANN,
            "echo",
            {"messages": says("x" * 300_000)},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        (GUEST, "echo", {}, openai.RateLimitError, "insufficient_quota"),
        (ANN, "broken", {}, openai.InternalServerError, "backend_failed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_error_is_of_the_class_that_clients_expect(
    door: Door,
    stream: bool,
    token: str,
    model: str,
    how: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str,
) -> None:
    given: dict[str, Any] = {"messages": says("hi")} | how
    # One with patience: an error that comes late is an event of the stream, without a status.
    async with open_door(door.small) as patient:
        with pytest.raises(kind) as failed:
            await patient.openai(token).chat.completions.create(model=model, stream=stream, **given)
    assert failed.value.code == code
    assert failed.value.body["message"]


async def test_a_quota_is_a_rate_limit(door: Door) -> None:
    sysop = door.small.realm.sysop
    async with door.http(BOB) as http:
        await http.get("api/me")
    await sysop.quota(OWNER, "bob", Quotas(queries_per_minute=0))
    try:
        with pytest.raises(openai.RateLimitError) as failed:
            await door.openai(BOB).chat.completions.create(model="echo", messages=says("hi"))
        assert failed.value.code == "rate_limit_exceeded"
    finally:
        await sysop.quota(OWNER, "bob", None)


@pytest.mark.usefixtures("held")
async def test_an_error_in_mid_stream_is_an_event_of_it(door: Door) -> None:
    stream = await door.openai().chat.completions.create(
        model="breaking", messages=says(PROMPT), stream=True
    )
    words: list[str] = []
    with pytest.raises(openai.APIError):
        await read(stream, words)
    assert "".join(words) == PROMPT.removesuffix("word19 ")


async def read(stream: openai.AsyncStream[Any], words: list[str]) -> None:
    """Collect the words of a stream as they come, and let it go on once there is one."""
    async for piece in stream:
        if piece.choices[0].delta.content:
            words.append(piece.choices[0].delta.content)
            HeldBackend.let()


@pytest.mark.usefixtures("door", "held")
async def test_two_attempts_are_never_spliced(tmp_path: Path) -> None:
    async with (
        small_realm(tmp_path, catalogue=CATALOGUE + FAILING, config=FUNDS) as small,
        open_door(small) as again,
    ):
        words: list[str] = []
        stream = await again.openai().chat.completions.create(
            model="faltering", messages=says(PROMPT), stream=True
        )
        with pytest.raises(openai.APIError, match="ask again"):
            await read(stream, words)
        assert PROMPT.startswith("".join(words))
        query = stream.response.headers["X-MTOR-Query"]
        assert await stage(again, query) == "cancelled"
        whole = await again.openai().chat.completions.create(
            model="stumbling", messages=says(PROMPT)
        )
        assert whole.choices[0].message.content == PROMPT


@pytest.mark.parametrize("path", ["responses", "images/variations", "nowhere", ""])
async def test_what_is_not_there_says_so_in_the_dialect(door: Door, path: str) -> None:
    async with door.http() as http:
        answer = await http.post(f"v1/{path}", json={})
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_who_leaves_a_stream_cancels_the_query(door: Door) -> None:
    stream = await door.openai().chat.completions.create(
        model="stuck", messages=says("for ever"), stream=True
    )
    query = stream.response.headers["X-MTOR-Query"]
    await stream.close()
    assert await stage(door, query) == "cancelled"


async def test_who_leaves_without_an_answer_cancels_the_query(door: Door) -> None:
    before = await latest(door)
    waiting = asyncio.create_task(
        door.openai().chat.completions.create(model="stuck", messages=says("for ever"))
    )
    query = await latest(door, other_than=before)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await stage(door, query) == "cancelled"


async def test_a_cancel_from_elsewhere_ends_the_wait(door: Door) -> None:
    before = await latest(door)
    waiting = asyncio.create_task(
        door.openai().chat.completions.create(model="stuck", messages=says("for ever"))
    )
    query = await latest(door, other_than=before)
    async with door.http() as http:
        await http.delete(f"api/queries/{query}")
    with pytest.raises(openai.APIStatusError) as failed:
        await waiting
    assert (failed.value.status_code, failed.value.code) == (499, "cancelled")


async def test_a_silence_is_filled_with_comments(door: Door) -> None:
    body = {"model": "stuck", "messages": says("for ever"), "stream": True}
    async with (
        door.http() as http,
        http.stream("POST", "v1/chat/completions", json=body) as response,
    ):
        lines: list[str] = []
        async for line in response.aiter_lines():
            lines.append(line)
            if lines.count(": waiting") == 3:
                break
    assert lines[0].startswith("data: ")


async def test_a_key_sent_again_joins_the_first_query(door: Door) -> None:
    headers = {"Idempotency-Key": "the-same"}
    ids = {
        (
            await door.openai().chat.completions.create(
                model="echo", messages=says("once"), extra_headers=headers
            )
        ).id
        for _ in range(2)
    }
    assert len(ids) == 1


async def test_a_picture_of_megabytes_passes_and_more_does_not(door: Door) -> None:
    def body(size: int) -> dict[str, Any]:
        url = "data:image/png;base64," + base64.b64encode(PIXEL + bytes(size)).decode()
        part = {"type": "image_url", "image_url": {"url": url}}
        text = {"type": "text", "text": "hi"}
        return {"model": "sees", "messages": [{"role": "user", "content": [text, part]}]}

    async with door.http() as http:
        fits = await http.post("v1/chat/completions", json=body(4_000_000))
        assert fits.status_code == 200, fits.text
        over: httpx.Response = await http.post("v1/chat/completions", json=body(7_000_000))
        assert over.status_code == 400
        assert over.json()["error"]["code"] == "context_length_exceeded"
