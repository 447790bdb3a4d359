"""Sounds without a library: a tone for each word, and what there is to hear in a recording."""

from __future__ import annotations

import io
import math
import sys
import wave
import zlib
from array import array
from typing import NamedTuple

#: Samples a second of what it speaks.
RATE = 16_000
#: How long a letter sounds, in seconds, and the pause after a word.
LETTER_SECONDS = 0.04
PAUSE_SECONDS = 0.05
#: Length of a segment of a recording, in seconds.
SEGMENT_SECONDS = 2.0
#: A recording that is no WAV is taken to have so many bytes a second.
GUESSED_BYTES_A_SECOND = 4_000
#: Below this share of full loudness it is silence.
_SILENCE = 0.01
#: Samples that are looked at in a segment.
_LOOKED_AT = 4_000


class Heard(NamedTuple):
    """A recording, as far as it can be told without recognising words."""

    seconds: float
    #: Whether the length is a guess.
    guessed: bool
    #: What each segment is: ``sound`` or ``silence``.
    segments: list[str]


def spoken(sentence: str, speed: float = 1.0) -> tuple[bytes, int]:
    """Return a sentence as a WAV of tones, and its length in milliseconds."""
    samples = array("h")
    for word in sentence.split() or ["?"]:
        pitch = 220 + zlib.crc32(word.encode()) % 660
        count = round(RATE * LETTER_SECONDS * len(word) / speed)
        turn = 2 * math.pi * pitch / RATE
        samples.extend(round(9_000 * math.sin(turn * at)) for at in range(count))
        samples.extend([0] * round(RATE * PAUSE_SECONDS / speed))
    if sys.byteorder == "big":
        samples.byteswap()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue(), round(1000 * len(samples) / RATE)


def heard(content: bytes) -> Heard:
    """Return what there is to hear in a recording; of what is no WAV the length is guessed."""
    try:
        with wave.open(io.BytesIO(content)) as sound:
            return _listen(sound)
    except (wave.Error, EOFError):
        seconds = len(content) / GUESSED_BYTES_A_SECOND
        return Heard(seconds, True, ["sound"] * max(1, math.ceil(seconds / SEGMENT_SECONDS)))


def _listen(sound: wave.Wave_read) -> Heard:
    rate, frames = sound.getframerate() or 1, sound.getnframes()
    segments = [
        _kind(sound.readframes(round(rate * SEGMENT_SECONDS)), sound.getsampwidth())
        for _ in range(max(1, math.ceil(frames / rate / SEGMENT_SECONDS)))
    ]
    return Heard(frames / rate, False, segments)


def _kind(frames: bytes, width: int) -> str:
    if width != 2:
        return "sound"
    samples = array("h", frames[: len(frames) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    some = samples[:: max(1, len(samples) // _LOOKED_AT)]
    loudest = max(map(abs, some), default=0)
    return "sound" if loudest > _SILENCE * 2**15 else "silence"
