"""Pictures and sounds on their way to a realm and back."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtor_kernel.client.given import words
from mtor_kernel.client.http import Http, segment
from mtor_kernel.client.media import Media
from mtor_kernel.client.whereabouts import Whereabouts
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import BadInput

#: How long a blob is taken to lie where it was sent, in seconds. A realm keeps it for much longer.
KEPT_SECONDS = 3600.0
#: What waits for the query that names it, in bytes.
MOST_UNSENT_BYTES = 64 * 1024 * 1024


class Blobs:
    """Sends what a realm does not have, now or with the query that names it."""

    def __init__(self, whereabouts: Whereabouts, http: Http) -> None:
        self._whereabouts = whereabouts
        self._http = http
        #: Until when each blob that was sent is taken to lie where it was sent to.
        self._sent: dict[tuple[Address, str, str], float] = {}
        #: What is to be sent with the query that names it, by blob.
        self._to_send: dict[str, Media] = {}

    async def upload(self, content: bytes | str | Path | Media, mime: str = "") -> str:
        """Keep bytes, or the file at a path, at the realm and return the blob's id."""
        if isinstance(content, Media):
            data, mime = content.content, mime or content.mime
        elif isinstance(content, bytes):
            data = content
        else:
            data = await asyncio.to_thread(_read, Path(content))
            mime = mime or mimetypes.guess_type(content)[0] or ""
        mime = words("mime", mime) or "application/octet-stream"
        if not mime.isascii() or not mime.isprintable():
            raise BadInput(f"mime must be the name of a kind, such as image/png, not {mime!r:.60}.")
        address, now = await self._whereabouts.address(), time.monotonic()
        sent = (address, sha256(data).hexdigest(), mime)
        if self._sent.get(sent, now) > now:
            return sent[1]
        headers = {"Content-Type": mime}
        response = await self._http.fetch("POST", "api/blobs", body=data, headers=headers)
        self._sent = {one: until for one, until in self._sent.items() if until > now}
        self._sent[sent] = now + KEPT_SECONDS
        return str(self._http.decode(response.body, dict[str, Any])["id"])

    async def put_off(self, media: Media, *, forget: bool) -> str:
        """Return the blob of what is sent only with the query that names it.

        `forget` where there will be no such query. What becomes too much is sent now.
        """
        blob = sha256(media.content).hexdigest()
        if not forget:
            self._to_send[blob] = media
            while sum(len(one.content) for one in self._to_send.values()) > MOST_UNSENT_BYTES:
                await self.send([next(iter(self._to_send))])
        return blob

    async def send(self, blobs: Iterable[str]) -> None:
        """Send what of these was put off."""
        for blob in blobs:
            if media := self._to_send.pop(blob, None):
                await self.upload(media)

    async def download(self, blob: str) -> bytes:
        """Return the bytes of a blob."""
        return (await self._http.fetch("GET", f"api/blobs/{segment(blob)}")).body


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"The file {str(path)!r} cannot be read: {why}.") from None
