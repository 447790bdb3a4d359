"""eSpeak NG: more than a hundred languages, by a robot.

It is under the GPL, so it is run as a program where the operator has installed it, and never
linked. The text goes in by its standard input, so nothing in it can be an argument.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from dask_workers.program import Program
from dask_workers.spoken import speak, text_to_say
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Options, Query

#: Words a minute at speed 1, and the slowest and fastest that it can say.
_WORDS, _SLOWEST, _FASTEST = 175, 80, 450
#: A man's or a woman's timbre after a language: ``en-us+f3``.
_VARIANT = re.compile(r"[fm][1-8]")
#: What every version says, at this rate; its header cannot know the length of what follows.
RATE = 22_050
_HEADER_BYTES = 44
_LIST_SECONDS = 10


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the program is, and how it speaks."""

    #: Its name, or its path.
    program: str = "espeak-ng"
    #: A language, or one and a timbre (``de+f3``), for a query that names none.
    voice: str = "en-us"
    #: The longest that one sentence may take to compute.
    timeout_seconds: Annotated[float, Meta(gt=0)] = 30.0
    data_dir: str = ""


class EspeakBackend:
    """Says a text in any of eSpeak's languages. Each sentence is a WAV of its own."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.SPEECH})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._languages: frozenset[str] = frozenset()

    def missing(self) -> str:
        if shutil.which(self._settings.program) is None:
            return (
                f"There is no program {self._settings.program}: install eSpeak NG, for instance "
                "with apt install espeak-ng, or set settings.program."
            )
        return ""

    def load(self) -> None:
        if self._languages:
            return
        if self.missing():
            raise Unavailable(self.missing())
        try:
            listed = subprocess.run(
                [self._settings.program, "--voices"],
                capture_output=True,
                text=True,
                check=True,
                timeout=_LIST_SECONDS,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            raise BackendFailed(
                f"The program {self._settings.program} does not list its voices: is it eSpeak NG?"
            ) from None
        rows = [line.split() for line in listed.splitlines()[1:]]
        self._languages = frozenset(row[1].lower() for row in rows if len(row) > 1)

    def unload(self) -> None:
        self._languages = frozenset()

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        voice = self._voice(query.options)
        text = text_to_say(query, self._spec.max_characters)
        speed = query.options.speed or self._spec.defaults.speed or 1.0
        words = round(max(_SLOWEST, min(_FASTEST, _WORDS * speed)))
        arguments = [self._settings.program, "-v", voice, "-s", str(words), "-b", "1"]
        arguments += ["--stdin", "--stdout", "--"]
        program = Program(context, self._settings.timeout_seconds)

        def say(sentence: str) -> bytes:
            sound = program.run(arguments, sentence.encode(errors="replace"))
            return _samples(sound) if sound else b""

        yield from speak(text, context, say, RATE)

    def _voice(self, options: Options) -> str:
        """Return the argument that names the voice: made only of what the program itself lists."""
        if not self._languages:
            raise Unavailable(f"{self._spec.name} is not ready: ask again.")
        usual = self._spec.defaults
        asked = options.voice or options.language or usual.voice or usual.language
        language, plus, variant = (asked or self._settings.voice).lower().partition("+")
        bare = {known.partition("-")[0] for known in self._languages}
        if language not in self._languages | bare:
            raise UnknownOption(
                f"{self._spec.name} has no voice {asked!r}. It speaks: "
                f"{', '.join(sorted(bare))}; some with a country, such as en-us."
            )
        if plus and not _VARIANT.fullmatch(variant):
            raise UnknownOption(
                f"{self._spec.name} has no timbre {variant!r}: choose m1 to m8 or f1 to f5."
            )
        return f"{language}{plus}{variant}"


def _samples(sound: bytes) -> bytes:
    """Return the samples of a WAV as the program streams it."""
    kind, form, channels, rate, _, _, bits = struct.unpack_from("<4s16xHHIIHH", sound)
    if kind != b"RIFF" or (form, channels, rate, bits) != (1, 1, RATE, 16):
        raise BackendFailed("The program's sound is not in the form that eSpeak NG writes.")
    return sound[_HEADER_BYTES:]
