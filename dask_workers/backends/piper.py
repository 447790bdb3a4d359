"""Piper: natural voices of many languages, each a file that the operator brings.

The engine is under the GPL, so it is run as a program where the operator has installed it. The
text goes in by its standard input, so nothing in it can be an argument.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from dask_workers.program import Program
from dask_workers.spoken import speak, text_to_say
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Options, Query


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which program says it, in whose voice."""

    #: A voice: an ``.onnx`` file, with its ``.onnx.json`` beside it.
    path: str = ""
    #: Piper's name, or its path.
    program: str = "piper"
    #: The longest that one sentence may take to compute; the program loads the voice each time.
    timeout_seconds: Annotated[float, Meta(gt=0)] = 60.0
    data_dir: str = ""


class _Audio(msgspec.Struct, frozen=True):
    sample_rate: int


class _Language(msgspec.Struct, frozen=True):
    code: str = ""


class Voice(msgspec.Struct, frozen=True):
    """What is used of the file that describes a voice."""

    audio: _Audio
    language: _Language = _Language()
    speaker_id_map: dict[str, int] = {}


class PiperBackend:
    """Says a text in one Piper voice. Each sentence is a WAV of its own."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.SPEECH})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._path = Path(self._settings.path).expanduser()
        self._about: Voice | None = None

    def missing(self) -> str:
        if shutil.which(self._settings.program) is None:
            return (
                f"There is no program {self._settings.program}: install Piper, for instance with "
                "pipx install piper-tts, or set settings.program."
            )
        if not self._settings.path:
            return "Piper needs a voice: set settings.path to an .onnx file."
        for path in (self._path, self._description):
            if not path.is_file():
                return f"There is no file {path}: a Piper voice is an .onnx and an .onnx.json file."
        return ""

    def load(self) -> None:
        if self._about is not None:
            return
        if self.missing():
            raise Unavailable(self.missing())
        try:
            self._about = msgspec.json.decode(self._description.read_bytes(), type=Voice)
        except msgspec.DecodeError:
            raise BackendFailed(f"{self._description} describes no Piper voice.") from None

    def unload(self) -> None:
        self._about = None

    def files(self) -> list[Path]:
        """Return the voice and its description."""
        return [self._path, self._description]

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        about = self._about
        if about is None:
            raise Unavailable(f"{self._spec.name} is not ready: ask again.")
        arguments = self._arguments(query.options, about)
        text = text_to_say(query, self._spec.max_characters)
        program = Program(context, self._settings.timeout_seconds)

        def say(sentence: str) -> bytes:
            # A line is a text to the program, and its end the end of it.
            line = " ".join(sentence.split()) + "\n"
            return program.run(arguments, line.encode(errors="replace"))

        yield from speak(text, context, say, about.audio.sample_rate)

    @property
    def _description(self) -> Path:
        return self._path.with_name(self._path.name + ".json")

    def _arguments(self, options: Options, about: Voice) -> list[str]:
        speaks = about.language.code.lower().replace("_", "-")
        asked = (options.language or "").lower().replace("_", "-")
        if asked and asked.partition("-")[0] != speaks.partition("-")[0]:
            raise UnknownOption(
                f"{self._spec.name} speaks {speaks or 'one language'} only: leave language out."
            )
        usual = self._spec.defaults
        speed = options.speed or usual.speed or 1.0
        arguments = [self._settings.program, "--model", str(self._path), "--output-raw"]
        arguments += ["--length-scale", f"{1 / speed:.3f}"]
        name = options.voice or usual.voice
        if name:
            if name not in about.speaker_id_map:
                names = ", ".join(sorted(about.speaker_id_map)) or "none by name"
                raise UnknownOption(f"{self._spec.name} has no voice {name!r}; it has: {names}.")
            arguments += ["--speaker", str(about.speaker_id_map[name])]
        return arguments
