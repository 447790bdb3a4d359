"""Lines of a host that are no messages."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agents.hosts import command
from tests.realms import TOKEN, SmallRealm, small_realm

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"},
    },
}


@asynccontextmanager
async def server(small: SmallRealm) -> AsyncIterator[Process]:
    """The server, as a process with pipes; it ends when its input does."""
    told = command({"MTOR_URL": small.url, "MTOR_TOKEN": TOKEN})
    environment = {**os.environ, **(told.env or {})}
    process = await asyncio.create_subprocess_exec(
        told.command, *told.args, stdin=PIPE, stdout=PIPE, env=environment
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


async def answer(process: Process, line: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + b"\n")
    async with asyncio.timeout(60):
        return json.loads(await process.stdout.readline())


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_line_that_is_no_message_is_answered_and_the_next_one_too(tmp_path: Path) -> None:
    async with small_realm(tmp_path) as small, server(small) as process:
        for line in (b"hello", b"", b"{", b'{"jsonrpc": "2.0"', b"\xff\xfe", b"\x00", b'"' * 4096):
            told = await answer(process, line)
            assert (told["id"], told["error"]["code"]) == (None, -32700), line
            assert "no JSON" in told["error"]["message"]
        for line in (b"5", b"[]", b"{}", b'{"jsonrpc": "1.0", "id": [1], "method": "x"}'):
            told = await answer(process, line)
            assert (told["id"], told["error"]["code"]) == (None, -32600), line
        named = await answer(process, b'{"jsonrpc": "2.0", "id": 7}')
        assert (named["id"], named["error"]["code"]) == (7, -32600)
        welcome = await answer(process, json.dumps(HELLO).encode())
        assert welcome["result"]["serverInfo"]["name"] == "mtor"
