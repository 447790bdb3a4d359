"""The same over HTTP: on loopback only, and only for who has the token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mtor_kernel.agents.serving import serve_http
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import BadInput, Unavailable
from mtor_kernel.protocol.lifecycle import Stage
from tests.agents.hosts import words
from tests.agents.test_server import until_stage
from tests.realms import TOKEN, SmallRealm, small_realm

BEARER = "a-token-for-the-tools"
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[SmallRealm]:
    async with small_realm(tmp_path / "realm") as small:
        yield small


@pytest_asyncio.fixture
async def url(small: SmallRealm, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where the tools of the small realm are served."""
    monkeypatch.setenv("MTOR_MCP_TOKEN", BEARER)
    told: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(
        serve_http(lambda: Address(small.url, TOKEN), 0, (), told.put_nowait)
    )
    try:
        yield await asyncio.wait_for(told.get(), 60)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def agent(url: str, mode: str) -> Client:
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {BEARER}"}, timeout=60)
    return Client(streamable_http_client(url, http_client=http), mode=mode)


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_has_the_token_asks(url: str, mode: str) -> None:
    async with agent(url, mode) as host:
        assert words(await host.call_tool("ask", {"prompt": "over HTTP"})) == "over HTTP"


@pytest.mark.asyncio
async def test_a_cancelled_call_cancels_its_query(url: str, small: SmallRealm) -> None:
    started = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        if message and "answers" in message:
            started.set()

    async with agent(url, "auto") as host:
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                arguments = {"prompt": "wait", "model": "stuck"}
                await host.call_tool("ask", arguments, progress_callback=hear)

            group.start_soon(ask)
            await started.wait()
            group.cancel_scope.cancel()
        await until_stage(small, Stage.CANCELLED)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer another-token-altogether"},
        {"Authorization": BEARER},
        {"Authorization": f"Basic {BEARER}"},
        {"Authorization": f"Bearer {TOKEN}"},
    ],
)
async def test_nobody_else_is_heard(url: str, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        for where in (url, url.removesuffix("mcp")):
            answer = await client.post(where, json=HELLO, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "unauthenticated"
            assert BEARER not in answer.text


@pytest.mark.asyncio
async def test_a_page_of_another_site_is_refused_even_with_the_token(url: str) -> None:
    """A browser that was led to a name which means loopback now."""
    token = {"Authorization": f"Bearer {BEARER}"}
    async with httpx.AsyncClient(timeout=60) as client:
        for other in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            answer = await client.post(url, json=HELLO, headers=token | other)
            assert answer.status_code in (403, 421)


@pytest.mark.asyncio
@pytest.mark.parametrize("token", ["", "short", "line\nbreak-in-the-token", "schlüssel-schlüssel"])
async def test_without_a_good_token_it_does_not_start(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_MCP_TOKEN", token)
    with pytest.raises(BadInput, match="MTOR_MCP_TOKEN") as caught:
        await serve_http(lambda: Address("http://127.0.0.1:1/", TOKEN), 0)
    assert not token or token not in caught.value.message


@pytest.mark.asyncio
@pytest.mark.parametrize("port", [70_000, -1])
async def test_a_port_that_cannot_be_had_is_a_sentence(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTOR_MCP_TOKEN", BEARER)
    with pytest.raises(Unavailable, match="cannot be had"):
        await serve_http(lambda: Address("http://127.0.0.1:1/", TOKEN), port)


def test_without_the_package_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['mcp'] = None; from mtor_kernel.cli import main; "
    ran = subprocess.run(
        [sys.executable, "-c", program + "sys.exit(main(['mcp']))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "pip install 'mtor-kernel[mcp]'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_command_says_where_it_serves_and_ends_on_an_interrupt(small: SmallRealm) -> None:
    environment = os.environ | {"MTOR_MCP_TOKEN": BEARER, "MTOR_URL": small.url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mtor_kernel.cli", "mcp", "--http", "0"),
        env=environment | {"MTOR_TOKEN": TOKEN},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    told = (await process.stderr.readline()).decode()
    where = re.search(r"http://127\.0\.0\.1:\d+/mcp", told)
    assert where is not None
    assert BEARER not in told

    async def ask() -> None:
        async with agent(where[0], "auto") as host:
            await host.call_tool("ask", {"prompt": "wait", "model": "stuck"})

    asking = asyncio.create_task(ask())
    async with small.client() as realm, asyncio.timeout(100):
        while not await realm.history(status="running"):
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        await process.stderr.read()
        assert await process.wait() == 130
        await until_stage(small, Stage.CANCELLED)
    with contextlib.suppress(Exception):  # whatever a host is told whose server has gone
        await asking
