"""Any service that speaks OpenAI's dialect: vLLM, llama-server, LocalAI, OpenAI's own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import msgspec

from dask_workers import dialogue
from dask_workers.failures import garbled
from dask_workers.media import picture_kind, sentences, whole_wav
from dask_workers.remote import HOOKS, Call, ServiceSettings, calling, count_tokens, options
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Audio, Data, Image, Modality, Options, Query, Text

#: Pixels of a picture's sides where nobody chose.
_SIDE = 1024

Said = Iterator[Delta | Step | Done]


class Settings(ServiceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the service is, and what it does not do as others do."""

    #: What it calls the limit of output tokens; OpenAI's newer models want the second.
    limit_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    #: Ask for the figures of a stream; off for a service that refuses the question.
    stream_usage: bool = True
    #: More lines for each request's body, as the service documents them.
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class OpenAICompatibleBackend:
    """One model of one service, through the package ``openai``. Answers of any modality but api."""

    modalities: ClassVar[frozenset[Modality]] = frozenset(Modality) - {Modality.API}

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._client: Any = None

    def missing(self) -> str:
        if not self._settings.url:
            return "settings.url is not set: write the service's address, up to /v1."
        return self._settings.missing("openai")

    def load(self) -> None:
        if self._client is not None:
            return
        import openai

        settings = self._settings
        timeout = openai.Timeout(settings.timeout_seconds, connect=settings.connect_seconds)
        http = openai.DefaultHttpxClient(event_hooks=HOOKS, timeout=timeout, follow_redirects=False)
        self._client = openai.OpenAI(
            api_key=settings.key() or "none",
            base_url=settings.url,
            timeout=timeout,
            max_retries=0,
            http_client=http,
        )

    def unload(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def stream(self, query: Query, context: Context) -> Said:
        answer: Callable[[Query, Context, Call], Said] = {
            Modality.IMAGE: self._draw,
            Modality.SPEECH: self._speak,
            Modality.TRANSCRIPTION: self._hear,
            Modality.EMBEDDING: self._embed,
        }.get(self._spec.modality, self._talk)
        with calling(self._spec, context, self._settings) as call:
            yield from answer(query, context, call)

    @property
    def _model(self) -> str:
        return self._settings.model or self._spec.name

    @property
    def _extra(self) -> dict[str, Any] | None:
        return self._settings.extra or None

    def _talk(self, query: Query, context: Context, call: Call) -> Said:
        body = dialogue.body(query, self._spec, context, self._settings.limit_parameter)
        if self._settings.stream_usage:
            body["stream_options"] = {"include_usage": True}
        with call.asking():
            chunks = self._client.chat.completions.create(
                model=self._model, stream=True, extra_body=self._extra, **body
            )
        with chunks:
            yield from dialogue.answer(chunks, query, self._spec)

    def _embed(self, query: Query, context: Context, call: Call) -> Said:
        texts = [part.text for part in query.messages[-1].parts if isinstance(part, Text)]
        with call.asking():
            told = self._client.embeddings.create(
                model=self._model, input=texts, encoding_format="float", extra_body=self._extra
            )
        vectors = sorted(told.data, key=lambda vector: vector.index)
        if len(vectors) != len(texts):
            raise garbled(self._spec.name, f"{len(vectors)} vectors for {len(texts)} texts")
        for vector in vectors:
            numbers = [float(number) for number in vector.embedding]
            yield Delta(part=Data({"embedding": numbers}), tokens=0)
        counted = getattr(told.usage, "prompt_tokens", None)
        guess = sum(count_tokens(text) for text in texts)
        usage = Usage(input_tokens=counted or guess, estimated=not counted)
        yield Done(usage, weights=dialogue.served_by(told))

    def _draw(self, query: Query, context: Context, call: Call) -> Said:
        chosen = options(query, self._spec)
        if any(isinstance(part, Image) for part in query.messages[-1].parts):
            raise BadInput(
                f"The model {self._spec.name} draws from words only: leave the rest out."
            )
        width, height = chosen.width or _SIDE, chosen.height or _SIDE
        with call.asking():
            told = self._client.images.generate(
                model=self._model,
                prompt=query.messages[-1].text,
                size=f"{width}x{height}",
                n=1,
                response_format="b64_json",
                extra_body=_drawing(chosen) | self._settings.extra,
            )
        content = self._bytes(told.data[0].b64_json if told.data else None)
        kind = picture_kind(content)
        if not kind:
            raise garbled(self._spec.name, "no picture")
        yield Delta(part=Image(context.write_blob(content, kind), kind), tokens=0)
        steps = width * height * (chosen.steps or 1)
        yield Done(Usage(images=1, pixel_steps=steps, estimated=True))

    def _bytes(self, encoded: str | None) -> bytes:
        try:
            return base64.b64decode(encoded or "", validate=True)
        except binascii.Error:
            raise garbled(self._spec.name, "no base64") from None

    def _speak(self, query: Query, context: Context, call: Call) -> Said:
        chosen, text = options(query, self._spec), query.messages[-1].text
        spoken = 0
        for sentence in sentences(text):
            with call.asking():
                content = self._client.audio.speech.create(
                    model=self._model,
                    voice=chosen.voice or "alloy",
                    input=sentence,
                    response_format="wav",
                    extra_body=({"speed": chosen.speed} if chosen.speed else {})
                    | self._settings.extra,
                ).read()
            try:
                sound, milliseconds = whole_wav(content)
            except ValueError as error:
                raise garbled(self._spec.name, str(error)) from None
            spoken += milliseconds
            yield Delta(part=Audio(context.write_blob(sound, "audio/wav"), "audio/wav"), tokens=0)
        yield Done(Usage(characters=len(text), audio_ms=spoken))

    def _hear(self, query: Query, context: Context, call: Call) -> Said:
        chosen = options(query, self._spec)
        sounds = [part for part in query.messages[-1].parts if isinstance(part, Audio)]
        if len(sounds) != 1:
            raise BadInput(f"The model {self._spec.name} takes one recording: send exactly one.")
        sound = sounds[0]
        more = {"language": chosen.language, "temperature": chosen.temperature}
        ending = sound.mime.partition("/")[2].removeprefix("x-")
        with call.asking():
            told = self._client.audio.transcriptions.create(
                model=self._model,
                file=(f"recording.{ending}", context.read_blob(sound.blob), sound.mime),
                response_format="verbose_json",
                extra_body=self._extra,
                **{name: value for name, value in more.items() if value is not None},
            )
        segments = [
            {"start": float(one.start), "end": float(one.end), "text": one.text}
            for one in told.segments or ()
        ] or [{"start": 0.0, "end": float(told.duration), "text": told.text}]
        for segment in segments:
            if segment["text"]:
                yield Delta(segment["text"], tokens=count_tokens(segment["text"]))
        found = {
            "language": told.language,
            "duration": float(told.duration),
            "segments": segments,
        }
        yield Delta(part=Data(found), tokens=0)
        yield Done(Usage(audio_ms=round(float(told.duration) * 1000)))


def _drawing(chosen: Options) -> dict[str, Any]:
    """Return what LocalAI and others take besides OpenAI's own lines, where it was chosen."""
    more = {
        "step": chosen.steps,
        "negative_prompt": chosen.negative_prompt,
        "seed": chosen.seed,
        "cfg_scale": chosen.guidance,
    }
    return {name: value for name, value in more.items() if value is not None}
