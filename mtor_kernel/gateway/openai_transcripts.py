"""``v1/audio/transcriptions``: a recording in, its words out, in the five forms of the dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from mtor_kernel.gateway.openai_asking import Answered, Asked, parts_in
from mtor_kernel.gateway.openai_forms import known_model, options_of
from mtor_kernel.gateway.openai_uploads import FilledForm, Upload
from mtor_kernel.gateway.sse import event
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import BadInput, UnknownOption, WorkerLost
from mtor_kernel.protocol.media import mime_of
from mtor_kernel.protocol.ngram import Chunk, Requeued, Settled
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Message,
    Modality,
    Part,
    Query,
    text_of,
)

_FORMS = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


class Segment(msgspec.Struct, frozen=True):
    """A piece of a recording, and when it was said, in seconds."""

    start: float
    end: float
    text: str


class Transcript(msgspec.Struct, frozen=True):
    """What a model found beside the words; a model that finds nothing else leaves this empty."""

    language: str = ""
    duration: float = 0.0
    segments: tuple[Segment, ...] = ()


class Wanted(msgspec.Struct, frozen=True):
    """What a form asks for."""

    model: str
    form: str
    options: dict[str, Any]
    stream: bool

    @classmethod
    def of(cls, form: FilledForm) -> Wanted:
        """Read a form; raise what it asks for that is not there."""
        written = form.text("response_format") or "json"
        if written not in _FORMS:
            known = ", ".join(_FORMS)
            raise UnknownOption(f"response_format is one of {known}.", param="response_format")
        marks = ("timestamp_granularities", "timestamp_granularities[]")
        if any(b"word" in form.fields.get(name, ()) for name in marks):
            raise UnknownOption(
                "Times are known of segments, and not of words: ask for segment.",
                param="timestamp_granularities",
            )
        stream = form.text("stream").lower() == "true"
        if stream and written not in ("json", "text"):
            raise UnknownOption(f"{written} is not streamed: leave stream out.", param="stream")
        options: dict[str, Any] = {}
        if language := form.text("language"):
            options["language"] = language
        if (temperature := form.number("temperature")) is not None:
            options["temperature"] = temperature
        return cls(known_model(form.text("model")), written, options, stream)


class Transcriptions(Upload):
    """Writes a recording down; a stream says each segment as it is recognised."""

    async def post(self) -> None:
        """Take the recording in, ask, and answer."""
        form = await self.form()
        wanted = Wanted.of(form)
        content = form.file("file")
        mime = mime_of(content)
        if not mime.startswith("audio/"):
            raise BadInput(
                "That is no sound: send a WAV, MP3, Ogg, FLAC, MP4 or WebM file.", param="file"
            )
        options = options_of(wanted.options)
        self.check_model(wanted.model, Modality.TRANSCRIPTION)
        turn = Message("user", (Audio(await self.take_in(content, mime), mime),))
        async with self.ask([Query((turn,), wanted.model, options)]) as asked:
            if wanted.stream:
                await self.stream(self._pass_on(asked))
            else:
                (answer,) = await self.answers(asked)
                self._write(answer, wanted.form)

    def _write(self, answer: Answered, form: str) -> None:
        self.set_header("Content-Type", _FORMS[form])
        text, found = answer.text.strip(), transcript(answer.parts)
        match form:
            case "json":
                self.finish(encode({"text": text, "usage": _usage(answer.end)}))
            case "verbose_json":
                self.finish(encode(verbose(text, found) | {"usage": _usage(answer.end)}))
            case "srt":
                self.finish(srt(found, text))
            case "vtt":
                self.finish(vtt(found, text))
            case _:
                self.finish(text + "\n")

    async def _pass_on(self, asked: Asked) -> None:
        parts: list[Part] = []
        while not self.left:
            ngrams = await self.hear(asked.follower, self.gateway.limits.heartbeat_seconds)
            if not ngrams and self.begun and not self.left:
                await self.beat()
            for ngram in ngrams:
                if isinstance(ngram, Chunk):
                    parts += parts_in(ngram)
                    if ngram.text:
                        await self.tell({"type": "transcript.text.delta", "delta": ngram.text})
                elif isinstance(ngram, Requeued) and text_of(tuple(parts)):
                    raise WorkerLost("The worker was lost in mid-answer: ask again.")
                elif end := self.ended(ngram):
                    whole = text_of(tuple(parts)).strip()
                    done = {"type": "transcript.text.done", "text": whole, "usage": _usage(end)}
                    await self.tell(done)
                    await self.push(event(b"[DONE]"))
                    return


def transcript(parts: tuple[Part, ...]) -> Transcript:
    """Return what an answer says of times and language."""
    for part in parts:
        if isinstance(part, Data):
            try:
                return msgspec.convert(part.value, Transcript, strict=False)
            except msgspec.ValidationError:
                continue
    return Transcript()


def verbose(text: str, found: Transcript) -> dict[str, Any]:
    """Return the form ``verbose_json``; what nobody here knows of a segment is left out."""
    segments = [
        {"id": at, "seek": 0, "start": one.start, "end": one.end, "text": one.text, "tokens": []}
        for at, one in enumerate(found.segments)
    ]
    return {
        "task": "transcribe",
        "language": found.language,
        "duration": found.duration,
        "text": text,
        "segments": segments,
    }


def srt(found: Transcript, text: str) -> str:
    """Return subtitles in SubRip's form."""
    cues = [
        f"{at}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_cue(one.text)}\n"
        for at, one in enumerate(_cues(found, text), start=1)
    ]
    return "\n".join(cues)


def vtt(found: Transcript, text: str) -> str:
    """Return subtitles in WebVTT's form."""
    cues = [
        f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{_cue(one.text)}\n"
        for one in _cues(found, text)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _cues(found: Transcript, text: str) -> tuple[Segment, ...]:
    """Return the segments; all of it as one where the model told none."""
    if found.segments or not text:
        return found.segments
    return (Segment(0.0, found.duration, text),)


def _cue(text: str) -> str:
    """Return words that end no cue and begin no other."""
    return " ".join(text.split()).replace("-->", "→")


def _clock(seconds: float, point: str) -> str:
    """Return a time as subtitles write it.

    >>> _clock(3661.5, ",")
    '01:01:01,500'
    """
    whole = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _usage(end: Settled) -> dict[str, Any]:
    return {"type": "duration", "seconds": -(-end.charge.usage.audio_ms // 1000)}
