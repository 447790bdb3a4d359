"""An echo in every modality, under the names that people ask for; and things to send it."""

from __future__ import annotations

import io
import math
import struct
import wave

from PIL import Image

#: Models of every modality that answer at once; ``painting`` and ``talking`` take their time.
MODALITIES = """
[aliases]
chat = ["echo"]
vision = ["seer"]
image = ["painter"]
transcription = ["listener"]
whisper-1 = ["listener"]
speech = ["speaker"]
tts-1 = ["speaker"]
embedding = ["embedder"]

[[models]]
name = "echo"
modality = "chat"
backend = "echo"
slots = 8
rates = { query_micro = 10, input_token_micro = 1, output_token_micro = 2 }

[[models]]
name = "seer"
modality = "vision"
backend = "echo"
slots = 8
rates = { input_token_micro = 1, output_token_micro = 2 }

[[models]]
name = "painter"
modality = "image"
backend = "echo"
slots = 8
rates = { image_micro = 1000, megapixel_step_micro = 100 }
defaults = { width = 64, height = 64, steps = 5 }

[[models]]
name = "painting"
modality = "image"
backend = "echo"
max_steps = 500
slots = 8
rates = { image_micro = 1000, megapixel_step_micro = 100 }
defaults = { width = 64, height = 64, steps = 500 }
settings = { rate = 20.0 }

[[models]]
name = "listener"
modality = "transcription"
backend = "echo"
slots = 8
rates = { audio_second_micro = 10 }

[[models]]
name = "speaker"
modality = "speech"
backend = "echo"
slots = 8
rates = { character_micro = 1 }

[[models]]
name = "talking"
modality = "speech"
backend = "echo"
slots = 8
rates = { character_micro = 1 }
settings = { rate = 20.0 }

[[models]]
name = "embedder"
modality = "embedding"
backend = "echo"
slots = 8
rates = { input_token_micro = 1 }

[[models]]
name = "weather"
modality = "api"
backend = "echo"
slots = 8
rates = { query_micro = 50 }

[[models]]
name = "stuck-painter"
modality = "image"
backend = "echo"
rates = { image_micro = 1000 }
settings = { hang = true }

[[models]]
name = "broken-painter"
modality = "image"
backend = "echo"
rates = { image_micro = 1000 }
settings = { fail = true }
"""


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), colour: str = "red") -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def sound(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """A WAV of one tone."""
    count = round(seconds * rate)
    samples = (round(8000 * math.sin(at * 2 * math.pi * 440 / rate)) for at in range(count))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def seconds_of(content: bytes) -> float:
    """How long a WAV is."""
    with wave.open(io.BytesIO(content)) as file:
        return file.getnframes() / file.getframerate()
