"""What a backend must show to be held to the contract: a case for each modality that it has.

A case stands in the list ``CASES`` of a module in ``tests/dask_workers/cases``; `test_backends.py`
finds it there.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import re
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import msgspec

from dask_workers.attempts import Attempt
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Image,
    Message,
    Modality,
    Options,
    Query,
    Text,
)
from tests.dask_workers import cases
from tests.dask_workers.services.service import Service

Said = list[Delta | Step | Done]

#: What an answer is made of, in its order: t(ext), d(ata), i(mage), a(udio), D(one).
SHAPES = {
    Modality.CHAT: "t+D",
    Modality.VISION: "t+d?D",
    Modality.IMAGE: "i+D",
    Modality.TRANSCRIPTION: "t*dD",
    Modality.SPEECH: "a+D",
    Modality.EMBEDDING: "d+D",
    Modality.API: "td?D",
}
#: The figures of a usage that must not be zero.
FIGURES = {
    Modality.CHAT: ("input_tokens", "output_tokens"),
    Modality.VISION: ("input_tokens", "output_tokens"),
    Modality.IMAGE: ("images", "pixel_steps"),
    Modality.TRANSCRIPTION: ("audio_ms",),
    Modality.SPEECH: ("characters", "audio_ms"),
    Modality.EMBEDDING: ("input_tokens",),
    Modality.API: (),
}
STORY = "Tell a very long story about the sea."
_LETTERS = {Text: "t", Data: "d", Image: "i", Audio: "a"}


class ContextDouble(Attempt):
    """An attempt whose blobs are a dict."""

    def __init__(self) -> None:
        super().__init__(AttemptRef("0" * 32, 1, 1))
        self.blobs: dict[str, bytes] = {}
        self._storing = threading.Lock()

    def read_blob(self, blob: str) -> bytes:
        try:
            return self.blobs[blob]
        except KeyError:
            raise NotFound("There is no such blob.") from None

    def write_blob(self, content: bytes, mime: str) -> str:
        name = hashlib.sha256(content).hexdigest()
        with self._storing:
            self.blobs[name] = content
        return name


#: Makes a question of the case's kind: the prompt, a place for blobs, options.
Question = Callable[[str, Context, Options], Query]


def ask_in_words(prompt: str, context: Context, options: Options) -> Query:
    return Query((Message("user", (Text(prompt),)),), options=options)


def ask_about_a_picture(prompt: str, context: Context, options: Options) -> Query:
    picture = Image(context.write_blob(png(), "image/png"), "image/png")
    return Query((Message("user", (picture, Text(prompt))),), options=options)


def ask_what_is_said(prompt: str, context: Context, options: Options) -> Query:
    sound = Audio(context.write_blob(wav(), "audio/wav"), "audio/wav")
    return Query((Message("user", (sound,)),), options=options)


def ask_for_vectors(prompt: str, context: Context, options: Options) -> Query:
    texts = (Text(prompt), Text("a red apple"), Text("some fruit"))
    return Query((Message("user", texts),), options=options)


QUESTIONS: dict[Modality, Question] = {
    Modality.CHAT: ask_in_words,
    Modality.VISION: ask_about_a_picture,
    Modality.IMAGE: ask_in_words,
    Modality.TRANSCRIPTION: ask_what_is_said,
    Modality.SPEECH: ask_in_words,
    Modality.EMBEDDING: ask_for_vectors,
    Modality.API: ask_in_words,
}


@dataclass(frozen=True)
class Case:
    """One backend in one modality, and how the suite gets at it."""

    #: What the tests are called: backend and modality.
    name: str
    #: The model's entry. Where there is a `service`, its URL is put into ``settings["url"]``.
    spec: ModelSpec
    #: Plays the service that a remote backend talks to; ``None`` for one that computes by itself.
    service: type[Service] | None = None
    #: Makes the question; ``None``: the usual one of its modality.
    question: Question | None = None
    #: Whether it answers as a language model does: to limits, stop words and seeds.
    talks: bool | None = None
    #: Whether an answer comes in several pieces, between which it can break.
    streams: bool = True
    #: Whether a URL with a user and a password is taken.
    userinfo: bool = True
    #: A fixture that must be there first, such as pulled weights.
    needs: str = ""
    slow: bool = False

    @property
    def is_language_model(self) -> bool:
        if self.talks is not None:
            return self.talks
        return self.spec.modality in (Modality.CHAT, Modality.VISION)

    def at(self, url: str, **settings: object) -> ModelSpec:
        """Return the entry for a service at `url`, with some settings changed."""
        there = {"url": url + self.spec.settings.get("url", "")} if self.service else {}
        return msgspec.structs.replace(
            self.spec, settings={**self.spec.settings, **there, **settings}
        )

    def query(self, prompt: str, context: Context, **options: object) -> Query:
        made = msgspec.convert(options, Options)
        question = self.question or QUESTIONS[self.spec.modality]
        return msgspec.structs.replace(question(prompt, context, made), model=self.spec.name)


@cache
def every_case() -> tuple[Case, ...]:
    """Return the cases of all modules in ``tests/dask_workers/cases``."""
    modules = [module.name for module in pkgutil.iter_modules(cases.__path__)]
    found = [importlib.import_module(f"{cases.__name__}.{name}").CASES for name in modules]
    return tuple(case for group in found for case in group)


def shape_of(said: Said) -> str:
    """Return an answer's shape in the letters of :data:`SHAPES`; steps may stand anywhere."""
    letters = []
    for one in said:
        if isinstance(one, Done):
            letters.append("D")
        elif isinstance(one, Delta):
            letters.append("t" if one.text else "")
            letters.append(_LETTERS[type(one.part)] if one.part is not None else "")
    return "".join(letters)


def is_shaped(said: Said, modality: Modality) -> bool:
    return re.fullmatch(SHAPES[modality], shape_of(said)) is not None


def text_of(said: Said) -> str:
    return "".join(one.text for one in said if isinstance(one, Delta))


def png(width: int = 8, height: int = 8) -> bytes:
    """A red picture."""
    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def wav(seconds: float = 1.0, rate: int = 16000) -> bytes:
    """Silence, as a mono 16-bit WAV file."""
    body = b"\0\0" * int(seconds * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(body), b"WAVE")
        + form
        + struct.pack("<4sI", b"data", len(body))
        + body
    )
