"""Pictures and sounds as services send them, and as the realm keeps them."""

from __future__ import annotations

import io
import re
import struct
import wave

_SENTENCE = re.compile(r"[^.!?…\n]+(?:[.!?…]+[\"')\]]*|\n|$)\s*")
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def picture_kind(content: bytes) -> str:
    """Return the media type of a picture by its first bytes; empty where it is none."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for start, mime in _KINDS if content.startswith(start)), "")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, to be spoken one after the other."""
    found = [sentence.strip() for sentence in _SENTENCE.findall(text)]
    return [sentence for sentence in found if sentence] or [text]


def whole_wav(content: bytes) -> tuple[bytes, int]:
    """Return a WAV file with the lengths put right, and its milliseconds.

    Services that stream write the header before they know how long it will be.

    Raises
    ------
    ValueError
        It is no 16-bit WAV file.
    """
    form, frames = _chunks(content)
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if bits != 16 or kind not in (1, 0xFFFE):
        raise ValueError("no 16-bit PCM")
    whole = len(frames) // (2 * channels) * (2 * channels)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames[:whole])
    return out.getvalue(), whole // (2 * channels) * 1000 // rate


def _chunks(content: bytes) -> tuple[bytes, bytes]:
    """Return the form and the frames of a WAV file."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("no WAV file")
    at, form = 12, b""
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"data" and form:
            return form, content[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("no WAV file")
