"""``v1/audio/speech``: words in, a sound out, sentence by sentence as they are spoken."""

from __future__ import annotations

import asyncio
import sys
from array import array
from contextlib import suppress
from typing import Any

import msgspec
from tornado.iostream import StreamClosedError

from mtor_kernel.gateway.openai_asking import Asked, Asking
from mtor_kernel.gateway.openai_forms import options_of
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    RealmError,
    UnknownOption,
    WorkerLost,
)
from mtor_kernel.protocol.media import Wav
from mtor_kernel.protocol.ngram import Chunk, RealmNGram, Requeued
from mtor_kernel.protocol.query import Audio, Message, Modality, Query, Text

#: What ``pcm`` is at OpenAI, and so for its clients: mono, 16 bits, so many samples a second.
PCM_RATE = 24_000
#: OpenAI's own voices. Its clients must name one: here they mean the model's usual voice.
_THEIR_VOICES = frozenset(
    {
        "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx",
        "sage", "shimmer", "verse",
    }
)  # fmt: skip
#: How long the first sentence waits for the end: the length of a short sound is then known.
END_SECONDS = 0.1
_MIMES = {"wav": "audio/wav", "pcm": f"audio/pcm;rate={PCM_RATE};channels=1"}


class SpeechRequest(msgspec.Struct, frozen=True):
    """The body of ``audio/speech``, as far as it means something here."""

    model: str
    input: str
    voice: str | dict[str, Any] | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: str | None = None
    # Not of OpenAI's dialect, and understood as N-GRAM's options of the same names.
    language: str | None = None
    seed: int | None = None

    def query(self) -> Query:
        """Return the query that it asks; raise what is not there."""
        if self.response_format not in (None, *_MIMES):
            raise UnknownOption(
                f"Sounds come as {' or '.join(_MIMES)}: set response_format to one of them.",
                param="response_format",
            )
        if self.stream_format not in (None, "audio"):
            raise UnknownOption(
                "The sound itself is streamed: leave stream_format out.", param="stream_format"
            )
        if isinstance(self.voice, dict):
            raise UnknownOption("voice is the name of one.", param="voice")
        given = {
            name: value
            for name in ("voice", "speed", "language", "seed")
            if (value := getattr(self, name)) not in (None, "")
        }
        if given.get("voice") in _THEIR_VOICES:
            del given["voice"]
        turn = Message("user", (Text(self.input),))
        return decode(encode(Query((turn,), self.model, options_of(given))), Query)


class Speech(Asking):
    """Speaks. The head of a WAV that is still being spoken says that its length is not known."""

    #: The form of the first sentence, when it was sent.
    _form: tuple[int, int, int] | None = None

    async def post(self) -> None:
        """Ask, and pass the sentences on."""
        request = self.said(SpeechRequest)
        self.check_model(request.model, Modality.SPEECH)
        async with self.ask([request.query()]) as asked:
            try:
                await self._pass_on(asked, request.response_format or "wav")
            except RealmError:
                if self._form is None:
                    raise
                # What was sent can't be taken back: a sound that lacks its end must not look whole.
                with suppress(StreamClosedError):
                    self.detach().close()

    async def _pass_on(self, asked: Asked, form: str) -> None:
        while not self.left:
            ngrams = await self._news(asked)
            sentences = [await self._sentence(ngram) for ngram in ngrams]
            spoken = [sentence for sentence in sentences if sentence is not None]
            ended = any([self.ended(ngram) is not None for ngram in ngrams])  # noqa: C419 - all are heard
            if spoken:
                await self._send(spoken, form, whole=ended and self._form is None)
            if ended:
                if self._form is None:
                    raise BackendFailed("The model answered without a sound: ask again.")
                self.finish()
                return

    async def _news(self, asked: Asked) -> list[RealmNGram]:
        """Return what is new; with a first and only sentence the end, too, which is near."""
        ngrams = await self.hear(asked.follower, None)
        if self._form is None and any(isinstance(ngram, Chunk) for ngram in ngrams):
            ngrams += await self.hear(asked.follower, END_SECONDS)
        return ngrams

    async def _sentence(self, ngram: RealmNGram) -> Wav | None:
        if isinstance(ngram, Requeued) and self._form is not None:
            raise WorkerLost("The worker was lost in mid-answer: ask again.")
        if isinstance(ngram, Chunk) and isinstance(ngram.part, Audio):
            try:
                return Wav.of(await self.content(ngram.part.blob))
            except BadInput:
                raise BackendFailed("The model's sound is no WAV: ask the sysop.") from None
        return None

    async def _send(self, sentences: list[Wav], form: str, *, whole: bool) -> None:
        first = sentences[0]
        if self._form is None:
            self._form = first.form
            self.set_header("Content-Type", _MIMES[form])
            size = sum(len(sentence.frames) for sentence in sentences) if whole else None
            self.write(first.head(size) if form == "wav" else b"")
        if any(sentence.form != self._form for sentence in sentences):
            raise BackendFailed("The model changed its rate in mid-answer: ask again.")
        for sentence in sentences:
            frames = sentence.frames
            if form == "pcm":
                frames = await asyncio.to_thread(resampled, sentence)
            await self.push(frames)


def resampled(wav: Wav, rate: int = PCM_RATE) -> bytes:
    """Return mono samples of 16 bits at another rate, the nearest two weighed.

    Raises
    ------
    BackendFailed
        It is not mono of 16 bits, as every backend promises.
    """
    if (wav.channels, wav.width) != (1, 2):
        raise BackendFailed("The model's sound is not mono of 16 bits: ask for wav.")
    if wav.rate == rate:
        return wav.frames
    samples = array("h", wav.frames)
    if sys.byteorder == "big":
        samples.byteswap()
    out = array("h")
    samples.append(samples[-1] if samples else 0)
    for at in range((len(samples) - 1) * rate // wav.rate):
        place, rest = divmod(at * wav.rate, rate)
        before, after = samples[place], samples[place + 1]
        out.append(before + (after - before) * rest // rate)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()
