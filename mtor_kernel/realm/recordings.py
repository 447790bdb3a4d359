"""How long is a recording? Told from its first bytes, where it is a WAV file."""

from __future__ import annotations

import math
import wave
from pathlib import Path

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import TooLarge
from mtor_kernel.protocol.query import Modality


def seconds_of(path: Path) -> float | None:
    """Return for how long a recording plays; ``None`` where only decoding it would tell.

    Reads a few bytes. A file that was cut off is as long as what there is of it.
    """
    try:
        with wave.open(str(path), "rb") as file:
            frame = file.getsampwidth() * file.getnchannels()
            frames = min(file.getnframes(), path.stat().st_size // frame)
            return frames / file.getframerate()
    except (wave.Error, EOFError, OSError, ZeroDivisionError):
        return None


def check_length(seconds: float | None, spec: ModelSpec) -> None:
    """Raise :class:`TooLarge` where a recording is longer than a model hears."""
    if spec.modality is not Modality.TRANSCRIPTION or seconds is None:
        return
    if seconds > spec.max_audio_seconds:
        length = math.ceil(seconds)
        raise TooLarge(
            f"The recording is {length:,} s long, and {spec.name} hears "
            f"{spec.max_audio_seconds:,} s at most: cut it into pieces.",
            limit=spec.max_audio_seconds,
            used=length,
        )
