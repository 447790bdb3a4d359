"""``api/blobs``: what does not fit into an n-gram, by its content's hash."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.errors import BadInput, NotFound
from mtor_kernel.protocol.identity import SCOPE_QUERY

if TYPE_CHECKING:
    from pathlib import Path

    from mtor_kernel.storage.blobs import BlobInfo

#: How much of a blob is read and sent at once.
PIECE_BYTES = 256 * 1024
_MIME = re.compile("[a-z]+/[a-z0-9.+-]{1,90}", re.ASCII)
_ID = re.compile("[0-9a-f]{64}", re.ASCII)


class Upload(Gate):
    """``api/blobs``: take one in, piece by piece."""

    scope = SCOPE_QUERY
    _keeping: asyncio.Task[BlobInfo] | None = None

    @property
    def max_body_bytes(self) -> int:
        """The largest blob."""
        return self.gateway.limits.max_blob_bytes

    async def admit(self) -> None:
        """Begin to write before the first piece is there."""
        await super().admit()
        if self.request.method != "POST":
            return
        mime = media_type(self.request.headers.get("Content-Type", ""))
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._keeping = asyncio.create_task(self.take(self._arriving(), mime))
        self._keeping.add_done_callback(_looked_at)

    async def take(self, content: AsyncIterator[bytes], mime: str) -> BlobInfo:
        """Write it down for whoever sends it."""
        return await self.gateway.realm.keep(self.user, content, mime)

    async def keep(self, chunk: bytes) -> None:
        """Hand a piece on; the client is read no faster than the disk writes."""
        if self._keeping is None or self._keeping.done():
            return
        handing = asyncio.ensure_future(self._pieces.put(chunk))
        await asyncio.wait({handing, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        handing.cancel()

    async def post(self) -> None:
        """Answer with its id, which is the SHA-256 of its bytes, when it is on the disk."""
        self.check_size()
        assert self._keeping is not None
        await self.keep(b"")
        info = await self._keeping
        self.set_header("Location", f"{self.request.path}/{info.id}")
        self.reply(info, 201)

    async def _arriving(self) -> AsyncIterator[bytes]:
        while chunk := await self._pieces.get():
            yield chunk

    def on_finish(self) -> None:
        """Stop writing what was refused."""
        self._drop()
        super().on_finish()

    def on_connection_close(self) -> None:
        """Forget what came of it: half a blob is none."""
        self._drop()
        super().on_connection_close()

    def _drop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()


class Download(Gate):
    """``api/blobs/{id}``: a blob of one's own, as a file and never as a page."""

    scope = SCOPE_QUERY

    async def find(self, id: str) -> tuple[Path, str]:
        """Return its file and media type, or raise :class:`NotFound`."""
        if not _ID.fullmatch(id):
            raise NotFound("You have no such blob.")
        return await self.gateway.realm.blobs.open(self.user.name, id)

    async def get(self, id: str) -> None:
        """Send it, piece by piece."""
        path, mime = await self.find(id)
        suffix = mimetypes.guess_extension(mime) or ".bin"
        self.set_header("Content-Type", mime)
        self.set_header("Content-Disposition", f'attachment; filename="{id[:12]}{suffix}"')
        with await asyncio.to_thread(path.open, "rb") as file:
            self.set_header("Content-Length", os.fstat(file.fileno()).st_size)
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                await self.push(piece)


def media_type(header: str) -> str:
    """Return the media type that a header ``Content-Type`` names, without its parameters."""
    mime = header.partition(";")[0].strip().lower()
    if not _MIME.fullmatch(mime):
        raise BadInput("Say what it is in the header Content-Type, such as image/png.")
    return mime


def _looked_at(task: asyncio.Task[BlobInfo]) -> None:
    """Take note of how `task` ended, also where its client did not stay to hear it."""
    _ = task.cancelled() or task.exception()
