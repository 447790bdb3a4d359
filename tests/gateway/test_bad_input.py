"""Whatever comes in: a clear answer, never a fault, and the realm serves on."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from mtor_kernel.gateway.base import SWALLOWED_BYTES
from mtor_kernel.protocol.codec import MAX_DEPTH, MAX_FRAME_BYTES
from tests.gateway.helpers import Door, asking

pytestmark = pytest.mark.asyncio(loop_scope="module")

TURN = {"role": "user", "parts": [{"type": "text", "text": "hello"}]}


def query(**fields: Any) -> dict[str, Any]:
    return {"key": "k", "query": {"model": "echo", "messages": [TURN]} | fields}


def with_option(name: str, value: Any) -> dict[str, Any]:
    return query(options={name: value})


def says(*parts: Any) -> dict[str, Any]:
    return query(messages=[{"role": "user", "parts": list(parts)}])


#: Bodies that say nothing sensible, and the codes that they may be answered with.
BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "malformed"),
    "not JSON": (b"hello", "malformed"),
    "half": (b'{"key": "k", "query": {', "malformed"),
    "bytes": (b"\xff\xfe\x00", "malformed"),
    "bad UTF-8": (b'{"key": "\xff"}', "malformed"),
    "a surrogate": (b'{"key": "\\ud800"}', "malformed"),
    "a number": (b"7", "malformed"),
    "null": (b"null", "malformed"),
    "a list": (b"[]", "malformed"),
    "NaN": (b'{"key": "k", "query": NaN}', "malformed"),
    "deep": (b"[" * 100_000, "malformed"),
    "deep objects": (b'{"a":' * (MAX_DEPTH + 1), "malformed"),
    "a digit more than anybody needs": (b"1" * 200_000, "malformed"),
    "nothing in it": (b"{}", "malformed"),
}
#: JSON that is no submission.
SUBMISSIONS: dict[str, tuple[Any, str]] = {
    "an unknown field": (query() | {"price": 0}, "malformed"),
    "an unknown field of the query": (query(user="bob"), "malformed"),
    "an own attempt": (query(attempt=3), "malformed"),
    "a key that is a number": (query() | {"key": 5}, "malformed"),
    "a key with spaces": (query() | {"key": "a b"}, "malformed"),
    "a key without end": (query() | {"key": "k" * 129}, "malformed"),
    "a list as model": (query(model=["echo"]), "malformed"),
    "no model's name": (query(model="Echo!"), "malformed"),
    "an unknown model": (query(model="warp-drive"), "unknown_model"),
    "no messages": (query(messages=[]), "malformed"),
    "too many messages": (query(messages=[TURN] * 1001), "malformed"),
    "a message without parts": (query(messages=[{"role": "user", "parts": []}]), "malformed"),
    "a role of its own": (query(messages=[TURN | {"role": "sysop"}]), "malformed"),
    "the assistant last": (query(messages=[TURN | {"role": "assistant"}]), "bad_input"),
    "an empty prompt": (says({"type": "text", "text": ""}), "bad_input"),
    "a blank prompt": (says({"type": "text", "text": " \n\t"}), "bad_input"),
    "a NUL": (says({"type": "text", "text": "a\0b"}), "bad_input"),
    "a part of no type": (says({"text": "hello"}), "malformed"),
    "an unknown part": (says({"type": "video", "blob": "0" * 64}), "malformed"),
    "a blob of no name": (says({"type": "image", "blob": "../../etc/passwd"}), "malformed"),
    "a picture for a model of words": (says({"type": "image", "blob": "0" * 64}), "bad_input"),
    "an unknown option": (with_option("warp", 9), "malformed"),
    "an option of another modality": (with_option("steps", 9), "unknown_option"),
    "too hot": (with_option("temperature", 2.1), "malformed"),
    "a hot word": (with_option("temperature", "hot"), "malformed"),
    "a true seed": (with_option("seed", True), "malformed"),
    "too great a seed": (with_option("seed", 2**32), "malformed"),
    "no tokens": (with_option("max_tokens", 0), "malformed"),
    "tokens beyond counting": (with_option("max_tokens", 2**63), "malformed"),
    "more tokens than the model has": (with_option("max_tokens", 200_000), "unknown_option"),
    "a class of its own": (query(priority="first"), "malformed"),
    "no time": (query(ttl_seconds=0), "malformed"),
    "all time": (query(ttl_seconds=10**9), "malformed"),
}
STATUSES = {"not_found": 404, "too_large": 413}
POSTS = (
    "api/queries",
    "api/quote",
    "v1/chat/completions",
    "api/sysop/ban",
    "api/sysop/grant",
    "api/sysop/notice",
    "api/sysop/pull",
    "api/sysop/quota",
    "api/sysop/stop-queries",
    "api/sysop/unban",
    "api/sysop/workers/w/load",
)
OWNER = "token-of-the-owner"


async def serves(door: Door) -> None:
    """Fails unless the realm still answers."""
    async with door.http() as http:
        query = (await http.post("api/queries", json=asking())).json()["query"]
        assert "settled" in (await http.get(f"api/queries/{query}/events")).text


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_makes_no_sense(door: Door, path: str, name: str) -> None:
    body, code = BODIES[name]
    async with door.http(OWNER) as http:
        answer = await http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("name", SUBMISSIONS)
async def test_a_submission_that_makes_no_sense(door: Door, name: str) -> None:
    body, code = SUBMISSIONS[name]
    async with door.http() as http:
        answer = await http.post("api/queries", json=body)
        assert answer.status_code == STATUSES.get(code, 400)
        assert answer.json()["error"]["code"] == code
        assert (await http.get("api/me")).json().get("held_micro", 0) == 0


def twisted(body: Any, chance: random.Random) -> Any:
    """A body in which some things are not what they were."""
    strange = (None, True, -1, 2**64, 1.5, "", "\0", "é" * 50, [], {}, [[[]]], {"type": "text"})
    if chance.random() < 0.15:
        return chance.choice(strange)
    if isinstance(body, dict):
        return {name: twisted(value, chance) for name, value in body.items()}
    if isinstance(body, list):
        return [twisted(value, chance) for value in body] * chance.choice((1, 1, 1, 2))
    return body


@pytest.mark.parametrize("path", ["api/queries", "api/quote", "v1/chat/completions"])
async def test_a_twisted_submission_is_no_fault(door: Door, path: str) -> None:
    chance = random.Random(path)  # the same twists in every run
    options = {"temperature": 0.5, "max_tokens": 5, "stop": ["a"], "seed": 1}
    ours = query(options=options)
    theirs = {"model": "echo", "messages": [{"role": "user", "content": "hi"}], **options}
    bodies = {"api/queries": ours, "api/quote": ours["query"], "v1/chat/completions": theirs}
    async with door.http() as http:
        for _ in range(150):
            body = twisted(bodies[path], chance)
            answer = await http.post(path, json=body)
            assert answer.status_code < 500, (body, answer.text)


async def test_the_realm_serves_on_after_all_of_it(door: Door) -> None:
    await serves(door)


async def test_a_prompt_may_be_long_but_not_enormous(door: Door) -> None:
    fits = query(messages=[{"role": "user", "parts": [{"type": "text", "text": "x" * 200_000}]}])
    async with door.http(OWNER) as http:
        answer = await http.post("api/queries", json=fits | {"key": "long"})
        assert answer.status_code == 202
        over = says({"type": "text", "text": "x" * MAX_FRAME_BYTES})
        answer = await http.post("api/queries", json=over)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert error["code"] == "too_large"
        assert error["details"]["limit"] == MAX_FRAME_BYTES


@pytest.mark.parametrize("path", ["api/queries", "api/sysop/pause", "nowhere", "api/me"])
async def test_a_body_without_end_is_cut_off(door: Door, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1000 * SWALLOWED_BYTES:
            sent += 65536
            yield b" " * 65536

    async with door.http(OWNER) as http:
        try:
            answer = await http.post(path, content=endless())
        except httpx.TransportError:
            pass  # cut off before it could read why
        else:
            assert answer.status_code in (404, 405, 413)
    assert sent < 10 * SWALLOWED_BYTES
    await serves(door)


async def test_a_body_announced_as_enormous_is_refused_unread(door: Door) -> None:
    async with door.http(OWNER) as http:
        request = http.build_request("POST", "api/queries", content=b"{}")
        request.headers["Content-Length"] = str(10**12)
        answer = await _headers_only(door, request.headers.raw)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_large"


async def _headers_only(door: Door, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The answer to a POST whose body never comes."""
    where = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    writer.write(b"POST /api/queries HTTP/1.1\r\n" + head + b"\r\n")
    length = 0
    answer = b""
    async with asyncio.timeout(60):
        while not length or len(answer.partition(b"\r\n\r\n")[2]) < length:
            answer += await reader.read(65536)
            for line in answer.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
    writer.close()
    return answer
