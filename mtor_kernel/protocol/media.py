"""What bytes are: pictures and sounds by how they begin, and WAV files taken apart and joined."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterable

import msgspec

from mtor_kernel.protocol.errors import BadInput

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "audio/webm"),
)
#: Brands of MP4 that are pictures no backend reads.
_STILLS = (b"heic", b"heix", b"mif1", b"avif")
#: Said for a length in a WAV's head that is not known yet.
UNKNOWN_BYTES = 0xFFFFFFFF


def mime_of(content: bytes) -> str:
    """Return the media type that bytes begin like; empty for what is neither picture nor sound.

    >>> mime_of(b"GIF89a..."), mime_of(b"hello")
    ('image/gif', '')
    """
    head = content[:16]
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "" if head[8:12] in _STILLS else "audio/mp4"
    return next((mime for start, mime in _STARTS if head.startswith(start)), "")


class Wav(msgspec.Struct, frozen=True):
    """A WAV file taken apart."""

    channels: int
    #: Bytes of one sample of one channel.
    width: int
    #: Frames a second.
    rate: int
    frames: bytes

    @classmethod
    def of(cls, content: bytes) -> Wav:
        """Take a file apart; raise :class:`BadInput` where it is no WAV of plain samples."""
        try:
            with wave.open(io.BytesIO(content)) as file:
                frames = file.readframes(file.getnframes())
                return cls(file.getnchannels(), file.getsampwidth(), file.getframerate(), frames)
        except (wave.Error, EOFError, struct.error) as error:
            raise BadInput(f"That is no WAV file that can be read: {error}.") from None

    @property
    def form(self) -> tuple[int, int, int]:
        """What must be alike for two to be joined."""
        return self.channels, self.width, self.rate

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.frames) / max(1, self.channels * self.width * self.rate)

    def head(self, size: int | None = None) -> bytes:
        """Return the head of a file with `size` bytes of frames; ``None``: not known yet."""
        block = self.channels * self.width
        data = UNKNOWN_BYTES if size is None else size
        return b"".join(
            (
                struct.pack("<4sI4s", b"RIFF", min(data + 36, UNKNOWN_BYTES), b"WAVE"),
                struct.pack("<4sIHH", b"fmt ", 16, 1, self.channels),
                struct.pack("<IIHH", self.rate, self.rate * block, block, 8 * self.width),
                struct.pack("<4sI", b"data", data),
            )
        )


def joined(sounds: Iterable[bytes]) -> bytes:
    """Return WAV files of one form as one; a single file is returned as it is.

    Raises
    ------
    BadInput
        They have not one form, or are no WAV files.
    """
    several = list(sounds)
    if len(several) == 1:
        return several[0]
    found = [Wav.of(content) for content in several]
    if len({wav.form for wav in found}) != 1:
        raise BadInput("These sounds cannot be joined: their rates or channels differ.")
    frames = b"".join(wav.frames for wav in found)
    return found[0].head(len(frames)) + frames
