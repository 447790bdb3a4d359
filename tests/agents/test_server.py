"""Agents use the realm: the real client of ``mcp``, real standard streams, a real realm."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import pytest_asyncio
from mcp import Client
from mcp_types import AudioContent, ImageContent

from mtor_kernel.agents.tools import TOOLS
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.media import mime_of
from tests.agents.hosts import command, host, words
from tests.modalities import MODALITIES
from tests.modalities import picture as png
from tests.modalities import sound as wav
from tests.realms import CATALOGUE, TOKEN, SmallRealm, small_realm

#: Each starts `mtor mcp` as a process of its own.
pytestmark = pytest.mark.slow
MODELS = MODALITIES + CATALOGUE[CATALOGUE.index('[[models]]\nname = "slow"') :]


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    async with small_realm(tmp_path / "realm", catalogue=MODELS) as small:
        yield small


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_of_either_age_lists_the_tools_and_asks(small: SmallRealm, mode: str) -> None:
    async with host(small, mode=mode) as agent:
        listed = (await agent.list_tools()).tools
        assert [tool.name for tool in listed] == list(TOOLS)
        for tool in listed:
            assert tool.description
            assert tool.input_schema["type"] == "object"
            assert tool.input_schema["additionalProperties"] is False
        result = await agent.call_tool("ask", {"prompt": "Hello there", "seed": None})
    assert not result.is_error
    assert words(result) == "Hello there"
    bill = (result.meta or {})["mtor-kernel/query"]
    assert bill["model"] == "echo"
    async with small.client() as realm:
        (query,) = await realm.history()
    assert (query.id, query.stage) == (bill["id"], Stage.SETTLED)


@pytest.mark.asyncio
async def test_pictures_and_sounds_go_both_ways(small: SmallRealm, tmp_path: Path) -> None:
    (tmp_path / "heart.png").write_bytes(png())
    (tmp_path / "talk.wav").write_bytes(wav())
    async with host(small, "--root", str(tmp_path)) as agent:
        drawn = await agent.call_tool("imagine", {"prompt": "a heart", "picture": "heart.png"})
        spoken = await agent.call_tool("speak", {"text": "One. Two."})
        seen = await agent.call_tool("see", {"pictures": [str(tmp_path / "heart.png")]})
        heard = await agent.call_tool("transcribe", {"sound": "talk.wav", "details": True})
    (picture,) = [one for one in drawn.content if isinstance(one, ImageContent)]
    assert mime_of(base64.b64decode(picture.data)) == picture.mime_type == "image/png"
    (sound,) = [one for one in spoken.content if isinstance(one, AudioContent)]
    assert mime_of(base64.b64decode(sound.data)) == sound.mime_type == "audio/wav"
    assert not seen.is_error
    assert words(seen)
    assert not heard.is_error
    assert words(heard)


@pytest.mark.asyncio
async def test_it_tells_how_it_goes_while_it_waits_and_streams(small: SmallRealm) -> None:
    told: list[tuple[float, str]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))

    async with host(small) as agent:
        prompt = " ".join(str(number) for number in range(20))
        result = await agent.call_tool(
            "ask", {"prompt": prompt, "model": "slow"}, progress_callback=hear
        )
    assert words(result).strip() == prompt
    steps = [progress for progress, _ in told]
    assert steps == sorted(set(steps))
    assert any("slow answers" in message for _, message in told)
    assert any(message and prompt.startswith(message) for _, message in told)


@pytest.mark.asyncio
async def test_of_a_drawing_it_tells_how_far_it_is(small: SmallRealm) -> None:
    told: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async with host(small) as agent:
        arguments = {"prompt": "a heart", "model": "painting", "steps": 12}
        await agent.call_tool("imagine", arguments, progress_callback=hear)
    assert [progress for progress, _ in told] == sorted({progress for progress, _ in told})
    known = [progress for progress, total in told if total == 100]
    assert known
    assert max(known) <= 101


@pytest.mark.asyncio
@pytest.mark.parametrize(("tool", "arguments"), [("queue", {}), ("ask", {"prompt": "Hello"})])
async def test_where_no_realm_is_that_is_told_at_once(
    small: SmallRealm, tool: str, arguments: dict[str, str]
) -> None:
    environment = {"MTOR_URL": "http://127.0.0.1:1/", "MTOR_TOKEN": TOKEN}
    async with Client(command(environment)) as agent:
        result = await agent.call_tool(tool, arguments)
    assert result.is_error
    assert words(result).startswith("No realm answers")  # and not: for 60 seconds
    assert result.meta["mtor-kernel/query"]["error"]["code"] == "realm_unreachable"
    assert TOKEN not in result.model_dump_json()


@pytest.mark.asyncio
async def test_a_cancelled_call_cancels_its_query_on_the_worker(small: SmallRealm) -> None:
    started = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if message and "answers" in message:
            started.set()

    async with host(small) as agent, small.client() as realm:
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                arguments = {"prompt": "wait", "model": "stuck"}
                await agent.call_tool("ask", arguments, progress_callback=hear)

            group.start_soon(ask)
            await started.wait()
            group.cancel_scope.cancel()
        await until_stage(small, Stage.CANCELLED)
        # The one slot of the model is free again, and the server still serves.
        assert (await realm.queue()).lanes
        assert words(await agent.call_tool("ask", {"prompt": "still here"})) == "still here"


@pytest.mark.asyncio
async def test_a_host_that_hangs_up_leaves_nothing_running(
    small: SmallRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else this host kills a server that has not ended by itself within two seconds.
    monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 60.0)
    started = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if message and "answers" in message:
            started.set()

    async with anyio.create_task_group() as group:

        async def live() -> None:
            async with host(small) as agent:
                arguments = {"prompt": "wait", "model": "stuck"}
                await agent.call_tool("ask", arguments, progress_callback=hear)

        group.start_soon(live)
        await started.wait()
        group.cancel_scope.cancel()
    await until_stage(small, Stage.CANCELLED)


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_the_queries_of_its_calls(
    small: SmallRealm, number: signal.Signals
) -> None:
    server = command({"MTOR_URL": small.url, "MTOR_TOKEN": TOKEN})
    process = await asyncio.create_subprocess_exec(
        server.command, *server.args, env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    who = {"capabilities": {}, "clientInfo": {"name": "a host", "version": "1"}}
    stuck = {"prompt": "wait", "model": "stuck"}
    for said in (
        {"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", **who}},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": stuck}},
    ):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **said}).encode() + b"\n")
    async with small.client() as realm, asyncio.timeout(100):
        while not await realm.history(status="running"):
            await asyncio.sleep(0.02)
        process.send_signal(number)  # its standard input stays open
        assert await process.wait() == 128 + number
        await until_stage(small, Stage.CANCELLED)


@pytest.mark.asyncio
async def test_calls_at_once_are_answered_each_by_itself(small: SmallRealm) -> None:
    found: dict[int, str] = {}

    async with host(small) as agent, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            asked = {"prompt": f"number {number}", "model": "slow" if number % 2 else "echo"}
            found[number] = words(await agent.call_tool("ask", asked)).strip()

        for number in range(12):
            group.start_soon(ask, number)
    assert all(found[number].startswith(f"number {number}") for number in range(12))


@pytest.mark.asyncio
async def test_a_refusal_of_a_quota_is_an_error_of_the_tool(small: SmallRealm) -> None:
    async with small.client() as realm:
        await realm.sysop("quota", user="owner", quotas={"queries_per_minute": 1})
    async with host(small) as agent:
        assert words(await agent.call_tool("ask", {"prompt": "the first"})) == "the first"
        result = await agent.call_tool("ask", {"prompt": "the second"})
        assert words(await agent.call_tool("models"))
    assert result.is_error
    assert words(result).startswith("You may have 1 query a minute")
    told = result.meta["mtor-kernel/query"]["error"]
    assert (told["code"], told["rule"]) == ("quota_exceeded", "queries_per_minute")


async def until_stage(small: SmallRealm, stage: Stage) -> None:
    """Wait until the latest query stands there."""
    async with small.client() as realm, asyncio.timeout(60):
        while (await realm.history())[0].stage is not stage:
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_the_queue_and_the_models_are_shown_and_cost_nothing(small: SmallRealm) -> None:
    async with host(small) as agent:
        models = await agent.call_tool("models")
        queue = await agent.call_tool("queue")
    assert {"echo", "slow"} <= {one["name"] for one in models.structured_content["models"]}
    assert json.loads(words(queue)) == queue.structured_content
    assert queue.structured_content["admission_open"] is True
    assert queue.structured_content["me"]["user"] == "owner"
    assert queue.structured_content["mine"] == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("ask", {}, "prompt"),
        ("ask", {"prompt": ""}, "length >= 1"),
        ("ask", {"prompt": "x", "model": "nobody"}, "nobody"),
        ("ask", {"prompt": "x", "colour": "red"}, "colour"),
        ("ask", {"prompt": 7}, "prompt"),
        ("ask", {"prompt": "x", "temperature": 9}, "temperature"),
        ("imagine", {"prompt": "x", "width": 1}, "width"),
        ("see", {"pictures": []}, "length >= 1"),
        ("see", {"pictures": ["cat.png"]}, "--root"),
        ("see", {"pictures": ["data:image/png;base64,%%%"]}, "no base64"),
        ("see", {"pictures": ["data:image/png;base64,aGVsbG8="]}, "not a picture"),
        ("see", {"pictures": ["data:image/png,raw"]}, "data:image/png;base64"),
        ("dance", {}, "There is no tool 'dance'"),
    ],
)
async def test_bad_input_is_a_sentence_and_costs_nothing(
    small: SmallRealm, tool: str, arguments: dict[str, object], says: str
) -> None:
    async with host(small) as agent:
        result = await agent.call_tool(tool, arguments)
        assert result.is_error
        assert says in words(result)
        assert len(words(result).splitlines()) == 1
    async with small.client() as realm:
        assert await realm.history() == []


@pytest.mark.asyncio
async def test_a_wrong_credential_is_a_sentence_without_it(small: SmallRealm) -> None:
    wrong = "a-token-that-nobody-knows"
    async with host(small, token=wrong) as agent:
        for tool, arguments in (("ask", {"prompt": "x"}), ("queue", {})):
            result = await agent.call_tool(tool, arguments)
            assert result.is_error
            assert result.meta["mtor-kernel/query"]["error"]["code"] == "unauthenticated"
            shown = result.model_dump_json()
            assert wrong not in shown
            assert TOKEN not in shown
