"""Pictures and sounds that a model has made, fetched when somebody looks."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.media import Wav, joined, mime_of
from mtor_kernel.protocol.query import Audio, Image

#: Pictures that every notebook shows.
SHOWN = ("image/png", "image/jpeg", "image/gif")
#: A picture is shown enlarged up to so many pixels.
SMALL_PIXELS = 320
#: Returns the bytes of a blob.
Fetch = Callable[[str], bytes]


class Received:
    """Something at the realm; its bytes come at the first look and are kept."""

    def __init__(self, blobs: tuple[str, ...], mime: str, fetch: Fetch, reply: Reply) -> None:
        #: Where it lies at the realm.
        self.blobs = blobs
        self.mime = mime
        #: The answer that it belongs to: who made it, and at what cost.
        self.reply = reply
        self._fetch = fetch
        self._content: bytes | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.mime} of {self.reply.model}>"

    @property
    def content(self) -> bytes:
        """Its bytes."""
        if self._content is None:
            self._content = joined([self._fetch(blob) for blob in self.blobs])
        return self._content

    def save(self, path: str | Path) -> Path:
        """Write it to a file and return where."""
        where = Path(path).expanduser()
        where.write_bytes(self.content)
        return where


def opened(content: bytes) -> Any:
    """Return a picture as a Pillow image."""
    try:
        from PIL import Image as Pillow
    except ImportError:
        raise BadInput(
            "Pillow is not installed here: install it with `pip install pillow`, or take the "
            "picture's bytes as .content."
        ) from None
    return Pillow.open(io.BytesIO(content))


class Picture(Received):
    """A picture. A notebook shows it."""

    @property
    def pil(self) -> Any:
        """It as a Pillow image; Pillow must be installed."""
        return opened(self.content)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = {"text/plain": repr(self)}
        shown = mime_of(self.content)  # what it is, whatever it is said to be
        if shown not in SHOWN:
            return plain, {}
        size = shown_size(self.content)
        metadata = {shown: {"width": size[0], "height": size[1]}} if size else {}
        return {shown: base64.b64encode(self.content).decode(), **plain}, metadata


class Sound(Received):
    """A sound. A notebook shows a player."""

    @property
    def seconds(self) -> float | None:
        """How long it is; ``None`` where it is no WAV."""
        try:
            return Wav.of(self.content).seconds
        except BadInput:
            return None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": player(self.content)}


def shown_size(content: bytes) -> tuple[int, int] | None:
    """Return the size at which a small PNG is shown: whole times its own; ``None``: at its own."""
    if not content.startswith(b"\x89PNG") or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    times = SMALL_PIXELS // max(1, width, height)
    return (width * times, height * times) if times > 1 else None


def player(content: bytes) -> str:
    """Return an audio player with the sound inside, as HTML; nothing where it is no sound."""
    mime = mime_of(content)
    if not mime.startswith("audio/"):
        return ""
    data = base64.b64encode(content).decode()
    return f'<audio controls src="data:{mime};base64,{data}"></audio>'


def picture_of(reply: Reply, fetch: Fetch) -> Picture:
    """Return the picture of an answer; raise :class:`BackendFailed` where it has none."""
    for part in reply.parts:
        if isinstance(part, Image):
            return Picture((part.blob,), part.mime, fetch, reply)
    raise BackendFailed(f"{reply.model} answered without a picture: {_said(reply)}")


def sound_of(reply: Reply, fetch: Fetch) -> Sound:
    """Return all sounds of an answer as one; raise :class:`BackendFailed` where it has none."""
    found = [part for part in reply.parts if isinstance(part, Audio)]
    if not found:
        raise BackendFailed(f"{reply.model} answered without a sound: {_said(reply)}")
    return Sound(tuple(part.blob for part in found), found[0].mime, fetch, reply)


def _said(reply: Reply) -> str:
    return reply.text[:200] or "it said nothing."
