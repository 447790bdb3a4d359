"""Speech to text by faster-whisper: OpenAI's Whisper on CTranslate2, on the CPU or on CUDA."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta

from dask_workers.heard import RATE, Piece, decode, pieces
from dask_workers.places import locate
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput, Unavailable, UnknownOption
from mtor_kernel.protocol.query import Audio, Data, Modality, Query

_NEEDED = (
    ("model.bin",),
    ("config.json",),
    ("tokenizer.json",),  # without it the library would fetch one from the network
    ("vocabulary.txt", "vocabulary.json"),
)
#: Tried in turn where what was heard makes no sense; the library's own list is twice as long.
_TEMPERATURES = (0.0, 0.4, 0.8)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model, where it computes, and how much it hears."""

    #: A folder with a Whisper model in CTranslate2's form, of any size, in place of the weights.
    path: str = ""
    weights: str = "whisper-tiny-en"
    data_dir: str = ""
    #: ``auto``: CUDA where there is a GPU that CTranslate2 can use.
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: CTranslate2's name, such as ``int8_float16``; empty: int8 on the CPU, float16 on CUDA.
    compute_type: str = ""
    #: Threads that compute, on the CPU.
    n_threads: Annotated[int, Meta(ge=1)] = 1
    #: Ways to go on that are followed at once: more are slower, and a little better.
    beam_size: Annotated[int, Meta(ge=1, le=20)] = 1
    #: Tell the time of each word too; takes longer.
    words: bool = False


class Heard(NamedTuple):
    """What was recognised in one piece."""

    segments: list[Any]
    language: str


class WhisperBackend:
    """Writes down what is said in a recording. Segments come as they are recognised.

    A piece of up to 30 seconds is computed in one go, which nothing can stop. So it is computed in
    a thread of its own: a cancel leaves it there to end by itself, and is done at once.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.TRANSCRIPTION})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._model: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def missing(self) -> str:
        if importlib.util.find_spec("faster_whisper") is None:
            return "The package faster-whisper is not installed: pip install 'mtor-kernel[speech]'."
        place = self._place()
        return place if isinstance(place, str) else ""

    def load(self) -> None:
        if self._model is not None:
            return
        place = self._place()
        if isinstance(place, str):
            raise Unavailable(place)
        self._model = self._open(place)
        self._pool = ThreadPoolExecutor(self._spec.slots, thread_name_prefix="mtor-whisper")

    def unload(self) -> None:
        self._model = None
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def files(self) -> list[Path]:
        """Return the folder of its model."""
        place = self._place()
        return [place] if isinstance(place, Path) else []

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        model, pool = self._model, self._pool
        if model is None or pool is None:
            raise Unavailable(f"{self._spec.name} is not in memory: ask again.")
        language = self._language(query, model)
        recording = context.read_blob(_recording(query))
        samples = decode(recording, self._spec.max_audio_seconds, lambda: context.cancelled)
        duration = len(samples) / RATE
        segments: list[dict[str, Any]] = []
        patience = _Patience(context)
        hear = partial(self._hear, model, self._temperatures(query))
        for piece in pieces(samples):
            found = patience.result(pool.submit(hear, piece, language))
            if found is None:
                return
            language = language or found.language
            for segment in found.segments:
                text = segment.text.strip()
                if text:
                    yield Delta(f" {text}" if segments else text, tokens=0)
                    segments.append(_told(segment, text, piece))
            yield Step(piece.end / duration)
        if not segments:
            yield Step(1.0, f"No speech was heard in {duration:.1f} seconds of sound.")
        value = {"language": language or "", "duration": round(duration, 3), "segments": segments}
        yield Delta(part=Data(value), tokens=0)
        yield Done(Usage(audio_ms=round(duration * 1000)))

    def _place(self) -> Path | str:
        settings = self._settings
        return locate(settings.path, settings.weights, settings.data_dir, _NEEDED)

    def _open(self, folder: Path) -> Any:
        import ctranslate2
        from faster_whisper import WhisperModel

        settings, device = self._settings, self._settings.device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        try:
            return WhisperModel(
                str(folder),
                device=device,
                compute_type=settings.compute_type or ("float16" if device == "cuda" else "int8"),
                cpu_threads=settings.n_threads,
                num_workers=self._spec.slots,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            _raise_memory(error)
            raise BackendFailed(
                f"{self._spec.name} could not be loaded on {device}: the files are no Whisper "
                "model in CTranslate2's form, or this machine cannot compute as it is set."
            ) from error

    def _language(self, query: Query, model: Any) -> str | None:
        """Return the language to hear, or ``None`` to find it out."""
        asked = query.options.language or self._spec.defaults.language
        if not asked:
            return None if model.model.is_multilingual else "en"
        language = asked.lower().replace("_", "-").partition("-")[0]
        if language not in model.supported_languages:
            heard = (
                "many languages, but not" if model.model.is_multilingual else "English only, not"
            )
            raise UnknownOption(f"{self._spec.name} hears {heard} {asked!r}: leave language out.")
        return language

    def _temperatures(self, query: Query) -> list[float]:
        asked = query.options.temperature
        if asked is None:
            asked = self._spec.defaults.temperature
        return list(_TEMPERATURES) if asked is None else [asked]

    def _hear(
        self, model: Any, temperatures: list[float], piece: Piece, language: str | None
    ) -> Heard:
        segments, info = model.transcribe(
            piece.samples,
            language=language,
            beam_size=self._settings.beam_size,
            temperature=temperatures,
            condition_on_previous_text=False,  # a mistake would go on from piece to piece
            word_timestamps=self._settings.words,
        )
        return Heard(list(segments), info.language)


def _recording(query: Query) -> str:
    match query.messages[-1].parts:
        case (Audio(blob=blob),):
            return blob
    raise BadInput("Send one recording, and nothing else: there is no use for words or pictures.")


class _Patience:
    """Waits for what is computed, and no longer than the query is wanted."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._news = threading.Event()
        context.on_cancel(self._news.set)

    def result(self, computing: Future[Heard]) -> Heard | None:
        """Return what was computed; ``None`` as soon as the query is cancelled."""
        computing.add_done_callback(lambda _: self._news.set())
        while not self._context.cancelled:
            if computing.done():
                return _heard(computing)
            self._news.wait()
            self._news.clear()
        computing.cancel()
        return None


def _heard(computed: Future[Heard]) -> Heard:
    try:
        return computed.result()
    except RuntimeError as error:
        _raise_memory(error)
        raise


def _raise_memory(error: Exception) -> None:
    """Say in Python's words that a GPU is full, so that the worker frees the model."""
    if "out of memory" in str(error).lower():
        raise MemoryError(str(error)) from error


def _told(segment: Any, text: str, piece: Piece) -> dict[str, Any]:
    """Return a segment as the answer has it, with its times in the recording."""
    told = _times(segment, piece) | {"text": text}
    if segment.words:
        told["words"] = [
            _times(word, piece) | {"text": word.word.strip()} for word in segment.words
        ]
    return told


def _times(one: Any, piece: Piece) -> dict[str, Any]:
    length = len(piece.samples) / RATE
    start = piece.original(min(one.start, length))
    end = piece.original(min(one.end, length), ends=True)
    return {"start": round(start, 3), "end": round(max(start, end), 3)}
