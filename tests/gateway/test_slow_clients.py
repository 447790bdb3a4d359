"""A client that does not read costs little, delays nobody, and is cut off."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import pytest_asyncio

from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.ngram import SUBPROTOCOL, Admitted, ClientNGram, Hello, Resume, Settled
from tests.gateway.helpers import ANN, BOB, FUNDS, SOON, Door, asking, open_door
from tests.realms import small_realm

PIECES, PIECE = 1000, 12_000
STALLED, OTHERS = 16, 20
CATALOGUE = f"""
[[models]]
name = "flood"
modality = "chat"
backend = "echo"
slots = 2
context_tokens = 10000000
default_max_tokens = 100000
max_output_tokens = 100000
rates = {{ free = true }}
settings = {{ chunks = {PIECES}, text = "{"x" * PIECE}" }}

[[models]]
name = "paced"
modality = "chat"
backend = "echo"
slots = 64
rates = {{ free = true }}
settings = {{ chunks = 20, rate = 50.0 }}
"""
MIB = 1024 * 1024


@pytest_asyncio.fixture
async def flooded(tmp_path: Path) -> AsyncIterator[Door]:
    """A gateway for those who read."""
    async with (
        small_realm(tmp_path, catalogue=CATALOGUE, config=FUNDS) as small,
        open_door(small) as door,
    ):
        yield door


@pytest_asyncio.fixture
async def hasty(flooded: Door) -> AsyncIterator[Door]:
    """Another one of the same realm that soon loses patience: on a slow machine with anybody."""
    async with open_door(flooded.small, limits=Limits(slow_seconds=1.0)) as door:
        yield door


class Stalled:
    """A connection with the smallest buffers that never reads."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @classmethod
    async def connect(cls, door: Door) -> Stalled:
        where = urlsplit(door.url)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, (where.hostname, where.port))
        _, writer = await asyncio.open_connection(sock=raw, limit=1024)
        return cls(writer)

    def upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            f"GET /ngram HTTP/1.1\r\nHost: realm\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {ANN}\r\n\r\n".encode()
        )

    def say(self, ngram: ClientNGram) -> None:
        frame = encode(ngram)
        assert len(frame) < 126
        self._writer.write(bytes([0x81, 0x80 | len(frame), 0, 0, 0, 0]) + frame)

    def get(self, path: str) -> None:
        self._writer.write(
            f"GET /{path} HTTP/1.1\r\nHost: realm\r\nAuthorization: Bearer {ANN}\r\n\r\n".encode()
        )

    def close(self) -> None:
        self._writer.close()


async def flood(door: Door) -> str:
    """Submit the query whose answer is larger than any buffer."""
    async with door.http() as http:
        answer = await http.post("api/queries", json=asking("go", "flood"))
    return str(answer.json()["query"])


async def drain(door: Door, query: str) -> int:
    """Read a whole answer and return how long it was."""
    talk = await door.socket()
    await talk.say(Resume(query))
    size = sum(len(getattr(ngram, "text", "")) for ngram in await talk.story(query))
    talk.close()
    return size


async def stream(door: Door) -> None:
    """Ask a paced query and read its answer to the end."""
    talk = await door.socket(BOB)
    await talk.ask("some words of no matter", "paced")
    await talk.until(Admitted)
    await talk.until(Settled)
    talk.close()


async def cut_off(door: Door, count: int) -> None:
    """Wait until so many clients were cut off."""
    await counted(door, f"mtor_slow_clients_total {float(count)}")


async def counted(door: Door, line: str) -> None:
    """Wait until the gateway's figures say so."""
    async with asyncio.timeout(SOON):
        while line.encode() not in door.gateway.counters.text():
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_sockets_that_do_not_read_cost_little_and_delay_nobody(
    flooded: Door, hasty: Door
) -> None:
    memory = psutil.Process().memory_info
    query = await flood(flooded)
    for _ in range(2):  # as it comes, and as it is stored: what that takes is not counted below
        assert await drain(flooded, query) >= PIECES * PIECE
    before = memory().rss
    query = await flood(flooded)
    stalled = [await Stalled.connect(hasty) for _ in range(STALLED)]
    for one in stalled:
        one.upgrade()
        one.say(Hello())
        one.say(Resume(query))
    async with asyncio.timeout(SOON):
        await asyncio.gather(*(stream(flooded) for _ in range(OTHERS)))
        assert await drain(flooded, query) >= PIECES * PIECE
    # Unread answers in buffers would be STALLED times one.
    assert memory().rss - before < 0.4 * STALLED * PIECES * PIECE
    await cut_off(hasty, STALLED)
    # Not by their own doing: they read and answer nothing.
    await counted(hasty, 'mtor_sockets{kind="client"} 0.0')
    for one in stalled:
        one.close()
    async with asyncio.timeout(SOON):
        while flooded.small.realm.readers.followers:
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_event_streams_and_downloads_that_are_not_read_are_cut_off(
    flooded: Door, hasty: Door
) -> None:
    query = await flood(flooded)
    async with flooded.http() as http:
        blob = await http.post(
            "api/blobs", content=b"x" * 20 * MIB, headers={"Content-Type": "image/png"}
        )
        one, two = await Stalled.connect(hasty), await Stalled.connect(hasty)
        one.get(f"api/queries/{query}/events")
        two.get(f"api/blobs/{blob.json()['id']}")
        await cut_off(hasty, 2)
        one.close()
        two.close()
        assert (await http.get("api/me")).status_code == 200
    async with asyncio.timeout(SOON):
        while flooded.small.realm.readers.followers:
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_one_that_sends_and_never_reads_is_no_longer_read_from(flooded: Door) -> None:
    one = await Stalled.connect(flooded)
    one.upgrade()
    one.say(Hello())
    query = await flood(flooded)
    one.say(Resume(query))
    for _ in range(20_000):
        one.say(Resume("0" * 32))
    async with asyncio.timeout(SOON):
        await stream(flooded)
    one.close()
