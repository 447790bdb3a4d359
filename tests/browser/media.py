"""What the browser's false microphone and camera give: spoken words, a card with a word on it."""

import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: What Chromium takes for its false microphone.
RATE = 48_000


@cache
def _voice() -> Any:
    """The built-in voice, loaded once."""
    from hibari import Hibari

    return Hibari(voice="heart", threads=1)


def speak(path: Path, text: str, *, pause_seconds: float) -> None:
    """Write `text`, spoken by the built-in voice, between silence."""
    from hibari import SAMPLE_RATE

    words = _voice()(text)
    before, after = (np.zeros(int(SAMPLE_RATE * s), np.float32) for s in (0.6, pause_seconds))
    samples = np.repeat(np.concatenate([before, words, after]), RATE // SAMPLE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 30_000).astype("<i2").tobytes())


def seconds_of(path: Path) -> float:
    """Return how long a sound is."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def show(path: Path, word: str) -> None:
    """Write a film of a white card with `word` on it, in the form that Chromium takes."""
    size = (640, 480)
    card = Image.new("RGB", size, "white")
    font = ImageFont.load_default(96)
    ImageDraw.Draw(card).text((320, 240), word, "black", font, anchor="mm")
    light, blue, red = (np.asarray(plane) for plane in card.convert("YCbCr").split())
    frame = b"FRAME\n" + b"".join(
        plane.tobytes() for plane in (light, blue[::2, ::2], red[::2, ::2])
    )
    head = b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % size
    path.write_bytes(head + 20 * frame)
