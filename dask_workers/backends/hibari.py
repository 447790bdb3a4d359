"""Hibari, a small English voice in an ordinary package, on the CPU."""

from __future__ import annotations

import importlib.util
import logging
import re
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dask_workers.spoken import speak, text_to_say
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import Unavailable, UnknownOption
from mtor_kernel.protocol.query import Modality, Options, Query

log = logging.getLogger(__name__)

#: The library has no name for numbers of more digits than this.
_LONG_NUMBER = re.compile(r"\d{16,}")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose voice, and how much of it."""

    #: The voice of a query that names none; it must be one that the package brings.
    voice: str = "heart"
    #: Threads that compute. One makes speech many times faster than it is spoken.
    n_threads: Annotated[int, Meta(ge=1)] = 1
    data_dir: str = ""


class HibariBackend:
    """Says English. Each sentence is a WAV of its own: 24,000 samples a second, 16 bits, mono."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.SPEECH})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._voices: dict[str, Any] = {}

    def missing(self) -> str:
        if importlib.util.find_spec("hibari") is None:
            return "The package hibari-tts is not installed: pip install 'mtor-kernel[builtin]'."
        return ""

    def load(self) -> None:
        if self._voices:
            return
        if self.missing():
            raise Unavailable(self.missing())
        from hibari import Hibari

        voices = {}
        for name in _bundled():
            voices[name] = Hibari(voice=name, threads=self._settings.n_threads)
            voices[name]("Ready.")  # only the first words load its dictionaries
        self._voices = voices

    def unload(self) -> None:
        self._voices = {}

    def weights(self) -> str:
        """Return the package that has the voices, and its version."""
        return f"hibari-tts {version('hibari-tts')}"

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        voice = self._voice(query.options)
        text = text_to_say(query, self._spec.max_characters)
        speed = query.options.speed or self._spec.defaults.speed or 1.0
        seed = query.options.seed if query.options.seed is not None else self._spec.defaults.seed
        yield from speak(
            text, context, lambda piece: _say(voice, piece, speed, seed), voice.sample_rate
        )

    def _voice(self, options: Options) -> Any:
        language = options.language or "en"
        if language.lower().partition("-")[0] != "en":
            raise UnknownOption(f"{self._spec.name} speaks English only: leave the language out.")
        name = options.voice or self._spec.defaults.voice or self._settings.voice
        if not self._voices:
            raise Unavailable(f"{self._spec.name} is not in memory: ask again.")
        if name not in self._voices:
            names = ", ".join(sorted(self._voices))
            raise UnknownOption(f"{self._spec.name} has no voice {name!r}; it has: {names}.")
        return self._voices[name]


def _bundled() -> list[str]:
    """Return the voices that lie in the package; the library would download any other."""
    from hibari.voices import VOICES

    return [name for name, voice in VOICES.items() if voice.get("bundled")]


def _say(voice: Any, piece: str, speed: float, seed: int | None) -> bytes:
    piece = _LONG_NUMBER.sub(lambda number: " ".join(number.group()), piece)
    try:
        return _sound(voice, piece, speed, seed)
    except Exception as error:  # noqa: BLE001 - it stumbles over rare characters, in many ways
        log.info("hibari raised %r and is given plain letters", error)
        return _sound(voice, _plain(piece), speed, seed)


def _sound(voice: Any, piece: str, speed: float, seed: int | None) -> bytes:
    import numpy as np

    # What the library takes for several sentences is joined again.
    waves = list(voice.stream(piece, speed, seed))
    if not waves:
        return b""
    samples = np.clip(np.concatenate(waves), -1.0, 1.0) * 32767.0
    return bytes(samples.astype("<i2").tobytes())


def _plain(piece: str) -> str:
    """Return the ASCII of a text, letters without their accents."""
    return unicodedata.normalize("NFKD", piece).encode("ascii", "ignore").decode()
