"""Pictures without a library: one drawn from words, and the size of one that is given."""

from __future__ import annotations

import colorsys
import hashlib
import random
import struct
import zlib
from collections.abc import Iterator

#: Cells of a drawing along each side; its left half is mirrored.
CELLS = 8
#: Pixels of a preview along its longer side.
PREVIEW_PIXELS = 64
_COLOURS = 4
_PNG = b"\x89PNG\r\n\x1a\n"
#: JPEG markers of a frame's head, which has the size.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


class Drawing:
    """An emblem of what it was drawn from: the same words, the same drawing."""

    def __init__(self, source: bytes) -> None:
        self._digest = hashlib.sha256(source).digest()
        draw = random.Random(self._digest)  # noqa: S311 - no secret hangs on it
        half = [[draw.randrange(_COLOURS) for _ in range(CELLS // 2)] for _ in range(CELLS)]
        self._cells = [row + row[::-1] for row in half]
        hue = draw.random()
        self._palette = b"".join(_colour(hue + draw.random() / 3, at) for at in range(_COLOURS))

    def at(self, fraction: float, width: int, height: int) -> bytes:
        """Return it as a PNG, so far drawn: of 0 it is noise, of 1 it is whole."""
        draw = random.Random(self._digest + struct.pack("f", fraction))  # noqa: S311 - as above
        cells = [
            [cell if draw.random() < fraction else draw.randrange(_COLOURS) for cell in row]
            for row in self._cells
        ]
        return _png(cells, self._palette, width, height)

    def preview(self, fraction: float, width: int, height: int) -> bytes:
        """Return a small form of :meth:`at`."""
        scale = min(1.0, PREVIEW_PIXELS / max(width, height))
        return self.at(fraction, max(1, round(width * scale)), max(1, round(height * scale)))


def size_of(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, JPEG, GIF or WebP picture; ``None`` if it is none.

    >>> size_of(Drawing(b"a heart").at(1, 30, 20)), size_of(b"a heart")
    ((30, 20), None)
    """
    if content.startswith(_PNG) and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
    elif content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
    elif content.startswith(b"\xff\xd8"):
        return next(_jpeg_sizes(content), None)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp_size(content)
    else:
        return None
    return width, height


def _colour(hue: float, at: int) -> bytes:
    parts = colorsys.hls_to_rgb(hue % 1.0, 0.25 + 0.2 * at, 0.7)
    return bytes(round(255 * part) for part in parts)


def _png(cells: list[list[int]], palette: bytes, width: int, height: int) -> bytes:
    """Return cells as an indexed PNG of any size."""
    rows = [b"\0" + bytes(row[x * CELLS // width] for x in range(width)) for row in cells]
    lines = b"".join(rows[y * CELLS // height] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            _PNG,
            _png_chunk(b"IHDR", head),
            _png_chunk(b"PLTE", palette),
            _png_chunk(b"IDAT", zlib.compress(lines, 6)),
            _png_chunk(b"IEND", b""),
        )
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _jpeg_sizes(content: bytes) -> Iterator[tuple[int, int]]:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            yield width, height
        at += 2 + length


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind, body = content[12:16], content[20:]
    if kind == b"VP8X" and len(body) >= 10:
        return (
            1 + int.from_bytes(body[4:7], "little"),
            1 + int.from_bytes(body[7:10], "little"),
        )
    if kind == b"VP8 " and len(body) >= 10:
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
