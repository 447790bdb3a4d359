"""An echo's answer in each modality: its pieces in order, and last of all what it used."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dask_workers.backends.echo.pictures import Drawing, size_of
from dask_workers.backends.echo.settings import Settings
from dask_workers.backends.echo.sounds import SEGMENT_SECONDS, heard, spoken
from dask_workers.backends.echo.words import cut, pieces_of, sentences_of, words_of
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Audio, Data, Image, Modality, Options, Query, Text

#: A picture is so large, and drawn in so many steps, where neither query nor catalogue says it.
PIXELS = 128
STEPS = 8

Pieces = Iterator[Delta | Step | Done]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what is needed to answer it."""

    query: Query
    spec: ModelSpec
    settings: Settings
    context: Context

    @property
    def prompt(self) -> str:
        """The words of the last turn, or what the settings put in their place."""
        return self.settings.text or self.query.messages[-1].text

    @property
    def options(self) -> Options:
        """The query's own options."""
        return self.query.options

    @property
    def limit(self) -> int:
        """The longest answer, in words."""
        return self.options.max_tokens or self.spec.default_max_tokens

    @property
    def pictures(self) -> list[Image]:
        """Every picture of the conversation."""
        turns = self.query.messages
        return [part for turn in turns for part in turn.parts if isinstance(part, Image)]

    def said(self, text: str) -> list[str]:
        """Return words as pieces: one, or one a word where there is a pace to keep."""
        return pieces_of(text) if self.settings.rate else [text]


def chat(asked: Asked) -> Pieces:
    """Say the last message back."""
    settings, text = asked.settings, asked.prompt
    words = words_of(text, settings.chunks, asked.options) if settings.chunks > 1 else [text]
    yield from _words(asked, words)


def vision(asked: Asked) -> Pieces:
    """Say how large the pictures are, and what was asked of them."""
    found = [_picture(asked, image) for image in asked.pictures]
    if not found:
        raise BadInput("There is no picture: send one with the question.")
    sizes = ", ".join(f"{one['width']}×{one['height']} ({one['mime']})" for one in found)
    count = "1 picture" if len(found) == 1 else f"{len(found)} pictures"
    text = f"I was sent {count}: {sizes}. You asked: {asked.prompt}"
    *words, done = _words(asked, asked.said(text))
    yield from words
    yield Delta(part=Data({"pictures": found}), tokens=0)
    yield done


def image(asked: Asked) -> Pieces:
    """Draw an emblem of the prompt, step by step."""
    given, usual = asked.options, asked.spec.defaults
    width = given.width or usual.width or PIXELS
    height = given.height or usual.height or PIXELS
    steps = given.steps or usual.steps or STEPS
    source = f"{asked.prompt}\0{given.seed}\0{given.negative_prompt}".encode()
    for one in asked.pictures:
        _picture(asked, one)
        source += one.blob.encode()
    drawing = Drawing(source)
    for step in range(1, steps):
        fraction = step / steps
        note = f"step {step} of {steps}"
        yield Step(fraction, note, drawing.preview(fraction, width, height))
    blob = asked.context.write_blob(drawing.at(1, width, height), "image/png")
    yield Delta(part=Image(blob, "image/png"), tokens=0)
    yield Done(Usage(images=1, pixel_steps=width * height * steps))


def transcription(asked: Asked) -> Pieces:
    """Say how long the recording is, and where there is something to hear in it."""
    sounds = [part for part in asked.query.messages[-1].parts if isinstance(part, Audio)]
    if not sounds:
        raise BadInput("There is no recording: send one.")
    content = asked.context.read_blob(sounds[0].blob)
    if not content:
        raise BadInput("The recording is empty: send one with sound in it.")
    found = heard(content)
    about = "about " if found.guessed else ""
    segments = []
    for at, kind in enumerate(found.segments):
        start = at * SEGMENT_SECONDS
        end = min(found.seconds, start + SEGMENT_SECONDS)
        text = f"From {start:.1f} to {end:.1f} seconds: {kind}."
        if at == 0:
            text = f"I heard {about}{found.seconds:.1f} seconds. {text}"
        segments.append({"start": start, "end": end, "text": text})
        yield Delta(text if at == 0 else f" {text}")
    language = asked.options.language or "en"
    value = {"language": language, "duration": found.seconds, "segments": segments}
    yield Delta(part=Data(value), tokens=0)
    yield Done(Usage(audio_ms=round(1000 * found.seconds), estimated=found.guessed))


def speech(asked: Asked) -> Pieces:
    """Sing a tone for each word, a recording for each sentence."""
    speed = asked.options.speed or asked.spec.defaults.speed or 1.0
    total = 0
    for sentence in sentences_of(asked.prompt):
        content, milliseconds = spoken(sentence, speed)
        total += milliseconds
        blob = asked.context.write_blob(content, "audio/wav")
        yield Delta(part=Audio(blob, "audio/wav"), tokens=0)
    yield Done(Usage(characters=len(asked.prompt), audio_ms=total))


def embedding(asked: Asked) -> Pieces:
    """Give each text the sum of its words' directions: texts with common words lie closer."""
    texts = [part.text for part in asked.query.messages[-1].parts if isinstance(part, Text)]
    for text in texts:
        vector = direction(text, asked.settings.dimensions)
        yield Delta(part=Data({"embedding": vector}), tokens=0)
    yield Done(Usage(input_tokens=sum(len(text.split()) for text in texts)))


def api(asked: Asked) -> Pieces:
    """Say the parameters back."""
    given = dict(sorted((asked.options.parameters or {}).items()))
    lines = [f"{name} = {value}" for name, value in given.items()]
    yield Delta("\n".join(lines) or "no parameters")
    yield Delta(part=Data({"parameters": given, "text": asked.query.messages[-1].text}), tokens=0)
    yield Done(Usage())


#: How each modality is answered.
ANSWERS: dict[Modality, Callable[[Asked], Pieces]] = {
    Modality.CHAT: chat,
    Modality.VISION: vision,
    Modality.IMAGE: image,
    Modality.TRANSCRIPTION: transcription,
    Modality.SPEECH: speech,
    Modality.EMBEDDING: embedding,
    Modality.API: api,
}


def direction(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 for `text`, the same at all times and on all machines."""
    total = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        draw = random.Random(word)  # noqa: S311 - no secret hangs on it
        total = [one + draw.uniform(-1, 1) for one in total]
    length = math.hypot(*total) or 1.0
    return [one / length for one in total]


def _words(asked: Asked, pieces: list[str]) -> Pieces:
    """Yield pieces up to the limit, and what they took."""
    kept, reason = cut(pieces, asked.options.stop, asked.limit)
    said = 0
    for piece in kept:
        count = len(piece.split())
        said += count
        yield Delta(piece, tokens=count)
    given = sum(len(message.text.split()) for message in asked.query.messages)
    yield Done(Usage(input_tokens=given, output_tokens=said), reason)


def _picture(asked: Asked, image: Image) -> dict[str, str | int]:
    content = asked.context.read_blob(image.blob)
    size = size_of(content)
    if size is None:
        raise BadInput("That is no picture: send a PNG, JPEG, GIF or WebP.")
    return {"mime": image.mime, "width": size[0], "height": size[1], "bytes": len(content)}
