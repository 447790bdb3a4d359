"""Models that Hugging Face serves: by its inference providers, or an endpoint of one's own."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar

import msgspec

from dask_workers import dialogue
from dask_workers.failures import garbled
from dask_workers.media import whole_wav
from dask_workers.remote import (
    Call,
    ServiceSettings,
    calling,
    count_tokens,
    on_request,
    on_response,
    options,
)
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Audio, Data, Image, Modality, Query, Text

Said = Iterator[Delta | Step | Done]

#: Pixels of a picture's sides where nobody chose.
_SIDE = 512
#: Bytes of a second of sound where nothing tells its length: 128 kbit/s.
_BYTES_A_SECOND = 16_000


class Settings(ServiceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who computes it: a provider, or an endpoint at `url`, which needs none."""

    key_env: str = "HF_TOKEN"
    provider: str = "auto"
    #: Ask for the times of what is heard; off for an endpoint that refuses the question.
    timestamps: bool = True


class HuggingFaceBackend:
    """One model of the Hub or of an endpoint, through the package ``huggingface_hub``."""

    modalities: ClassVar[frozenset[Modality]] = frozenset(
        {
            Modality.CHAT,
            Modality.VISION,
            Modality.IMAGE,
            Modality.TRANSCRIPTION,
            Modality.EMBEDDING,
        }
    )

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)

    def missing(self) -> str:
        needs = {Modality.IMAGE: "PIL", Modality.EMBEDDING: "numpy"}.get(self._spec.modality)
        if needs and importlib.util.find_spec(needs) is None:
            return "A package is not installed that it needs: pip install 'mtor-kernel[remote]'."
        return self._settings.missing("huggingface_hub")

    def load(self) -> None:
        """Import the package, which takes a while."""
        _session()

    def unload(self) -> None:
        pass

    def stream(self, query: Query, context: Context) -> Said:
        answer: Callable[[Any, Query, Context, Call], Said] = {
            Modality.IMAGE: self._draw,
            Modality.TRANSCRIPTION: self._hear,
            Modality.EMBEDDING: self._embed,
        }.get(self._spec.modality, self._talk)
        with (
            closing(self._connect()) as client,
            calling(self._spec, context, self._settings) as call,
        ):
            yield from answer(client, query, context, call)

    @property
    def _model(self) -> str:
        return self._settings.model or self._spec.name

    def _connect(self) -> Any:
        from huggingface_hub import InferenceClient

        _session()
        settings = self._settings
        place: dict[str, Any] = (
            {"base_url": settings.url}
            if settings.url
            else {"model": self._model, "provider": settings.provider}
        )
        silence = settings.timeout_seconds
        # To connect, to read, to write, and to wait for a connection: as httpx takes them.
        timeout: Any = (settings.connect_seconds, silence, silence, silence)
        # Any word, so that it does not take a token that somebody left on this machine.
        key = settings.key() or "none"
        return InferenceClient(**place, api_key=key, timeout=timeout)

    def _talk(self, client: Any, query: Query, context: Context, call: Call) -> Said:
        body = dialogue.body(query, self._spec, context)
        with call.asking():
            chunks = client.chat_completion(
                model=self._model, stream=True, stream_options={"include_usage": True}, **body
            )
        yield from dialogue.answer(chunks, query, self._spec)

    def _embed(self, client: Any, query: Query, context: Context, call: Call) -> Said:
        texts = [part.text for part in query.messages[-1].parts if isinstance(part, Text)]
        with call.asking():
            vectors = client.feature_extraction(texts)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            shape = "×".join(map(str, vectors.shape))
            raise garbled(self._spec.name, f"{shape} numbers for {len(texts)} texts")
        for vector in vectors:
            yield Delta(part=Data({"embedding": [float(number) for number in vector]}), tokens=0)
        yield Done(Usage(input_tokens=sum(map(count_tokens, texts)), estimated=True))

    def _draw(self, client: Any, query: Query, context: Context, call: Call) -> Said:
        chosen = options(query, self._spec)
        if any(isinstance(part, Image) for part in query.messages[-1].parts):
            raise BadInput(
                f"The model {self._spec.name} draws from words only: leave the rest out."
            )
        with call.asking():
            picture = client.text_to_image(
                query.messages[-1].text,
                negative_prompt=chosen.negative_prompt,
                width=chosen.width or _SIDE,
                height=chosen.height or _SIDE,
                num_inference_steps=chosen.steps,
                guidance_scale=chosen.guidance,
                seed=chosen.seed,
            )
        file = io.BytesIO()
        picture.save(file, "PNG")
        blob = context.write_blob(file.getvalue(), "image/png")
        yield Delta(part=Image(blob, "image/png"), tokens=0)
        steps = picture.width * picture.height * (chosen.steps or 1)
        yield Done(Usage(images=1, pixel_steps=steps, estimated=True))

    def _hear(self, client: Any, query: Query, context: Context, call: Call) -> Said:
        sounds = [part for part in query.messages[-1].parts if isinstance(part, Audio)]
        if len(sounds) != 1:
            raise BadInput(f"The model {self._spec.name} takes one recording: send exactly one.")
        content = context.read_blob(sounds[0].blob)
        more = {"parameters": {"return_timestamps": True}} if self._settings.timestamps else None
        with call.asking():
            told = client.automatic_speech_recognition(content, extra_body=more)
        segments = [_segment(chunk) for chunk in told.chunks or ()]
        milliseconds, estimated = _length(content, segments)
        segments = segments or [{"start": 0.0, "end": milliseconds / 1000, "text": told.text}]
        for segment in segments:
            if segment["text"]:
                yield Delta(segment["text"], tokens=count_tokens(segment["text"]))
        found = {
            "language": options(query, self._spec).language or "",
            "duration": milliseconds / 1000,
            "segments": segments,
        }
        yield Delta(part=Data(found), tokens=0)
        yield Done(Usage(audio_ms=milliseconds, estimated=estimated))


def _session() -> Any:
    """Have the package's one HTTP client tell of its requests, so that they can be cancelled.

    It makes a new one now and then.
    """
    from huggingface_hub import get_session

    session = get_session()
    hooks = session.event_hooks
    if on_request not in hooks["request"]:
        session.event_hooks = {
            "request": [*hooks["request"], on_request],
            "response": [*hooks["response"], on_response],
        }
    return session


def _segment(chunk: Any) -> dict[str, Any]:
    start, end = (*chunk.timestamp, None, None)[:2]
    return {"start": float(start or 0.0), "end": float(end or start or 0.0), "text": chunk.text}


def _length(content: bytes, segments: list[dict[str, Any]]) -> tuple[int, bool]:
    """Return the milliseconds of a recording, and whether they are a guess."""
    try:
        return whole_wav(content)[1], False
    except ValueError:
        last = max((segment["end"] for segment in segments), default=0.0)
        return round(1000 * (last or len(content) / _BYTES_A_SECOND)) or 1, True
