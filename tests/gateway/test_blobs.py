"""Pictures and sounds, in and out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mtor_kernel.gateway.blobs import media_type
from mtor_kernel.gateway.shared import Limits
from mtor_kernel.protocol.errors import BadInput
from tests.gateway.helpers import ANN, BOB, Door, open_door

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = {"Content-Type": "image/png"}


@pytest.mark.parametrize("size", [1, 65536, 3_000_000])
async def test_what_is_put_comes_back(door: Door, size: int) -> None:
    content = os.urandom(size)
    async with door.http() as http:
        put = await http.post("api/blobs", content=content, headers=PNG)
        assert put.status_code == 201
        assert put.json() == {
            "id": hashlib.sha256(content).hexdigest(),
            "size": size,
            "mime": "image/png",
        }
        got = await http.get(put.headers["Location"])
        assert got.content == content
        assert got.headers["Content-Type"] == "image/png"
        assert got.headers["Content-Length"] == str(size)


async def test_it_may_come_in_pieces_of_unknown_number(door: Door) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(100):
            yield b"%03d" % at * 1000

    async with door.http() as http:
        put = await http.post("api/blobs", content=pieces(), headers=PNG)
        assert (put.status_code, put.json()["size"]) == (201, 300_000)


async def test_it_is_a_file_and_never_a_page(door: Door) -> None:
    async with door.http() as http:
        page = {"Content-Type": "text/html; charset=utf-8"}
        put = await http.post("api/blobs", content=b"<script>", headers=page)
        got = await http.get(f"api/blobs/{put.json()['id']}")
    assert got.headers["Content-Disposition"].startswith("attachment; filename=")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in got.headers["Content-Security-Policy"]


async def test_anothers_blob_is_as_unknown_as_none(door: Door) -> None:
    async with door.http(ANN) as anns, door.http(BOB) as bobs:
        blob = (await anns.post("api/blobs", content=b"private", headers=PNG)).json()["id"]
        for name in (blob, "0" * 64, "x", "..", "%2e%2e%2fetc%2fpasswd", "%00"):
            assert (await bobs.get(f"api/blobs/{name}")).status_code == 404


@pytest.mark.parametrize("kind", ["", "picture", "image/", "/png", "image/p ng", "x" * 200 + "/y"])
async def test_without_a_type_it_is_refused(door: Door, kind: str) -> None:
    async with door.http() as http:
        put = await http.post("api/blobs", content=b"x", headers={"Content-Type": kind})
    assert put.status_code == 400


async def test_a_type_loses_its_parameters() -> None:
    assert media_type("Image/PNG; q=1") == "image/png"
    with pytest.raises(BadInput):
        media_type("image")


@pytest.mark.parametrize("chunked", [True, False])
async def test_one_that_is_too_large_is_refused(door: Door, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    limits = Limits(max_blob_bytes=10_000)
    async with open_door(door.small, limits=limits) as small, small.http() as http:
        content = pieces() if chunked else b"x" * 20_000
        put = await http.post("api/blobs", content=content, headers=PNG)
        assert put.status_code == 413
        assert put.json()["error"]["details"]["limit"] == 10_000
        assert (await http.post("api/blobs", content=b"x" * 10_000, headers=PNG)).status_code == 201


async def test_half_a_blob_is_none(door: Door) -> None:
    class Gone(Exception):
        """The client is."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise Gone

    async with door.http() as http:
        with pytest.raises(Gone):
            await http.post("api/blobs", content=pieces(), headers=PNG)
        whole = await http.post("api/blobs", content=b"half and half", headers=PNG)
        assert whole.status_code == 201
        missing = await http.get("api/blobs/" + hashlib.sha256(b"half").hexdigest())
        assert missing.status_code == 404
    kept = {file.name for file in Path(door.small.realm.data_dir, "blobs").rglob("*")}
    assert hashlib.sha256(b"half").hexdigest() not in kept


async def test_an_empty_one_is_one_too(door: Door) -> None:
    async with door.http() as http:
        put = await http.post("api/blobs", content=b"", headers=PNG)
        assert put.status_code in (201, 400)
        if put.status_code == 201:
            assert (await http.get(f"api/blobs/{put.json()['id']}")).content == b""
