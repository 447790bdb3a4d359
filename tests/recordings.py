"""Recordings for tests: samples in the formats that people send."""

from __future__ import annotations

import io
import math
from array import array

import av
import numpy as np


def tone(seconds: float, rate: int = 16_000, pitch: float = 440.0) -> np.ndarray:
    """A sine, 16 bits."""
    times = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * math.pi * pitch * times) * 8000).astype(np.int16)


def silence(seconds: float, rate: int = 16_000) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.int16)


def encoded(
    samples: np.ndarray, rate: int = 16_000, form: str = "wav", codec: str = "pcm_s16le"
) -> bytes:
    """One channel of 16 bits as a whole file."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.open()
        resampler = av.AudioResampler(
            format=context.format, layout="mono", rate=rate, frame_size=context.frame_size or None
        )
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def joined(*blocks: np.ndarray) -> np.ndarray:
    whole = array("h")
    for block in blocks:
        whole.frombytes(block.astype(np.int16).tobytes())
    return np.frombuffer(whole, np.int16)
