"""What all voices share: a text in sentences, each sentence a WAV of its own."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Callable, Iterator

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done
from mtor_kernel.protocol.errors import BadInput, TooLarge
from mtor_kernel.protocol.query import Audio, Query, Text

#: Characters said in one go at most: a cancel waits for these, and so does the first sound.
MOST_CHARACTERS = 300
#: Bytes of a sample, 16 bits of one channel.
SAMPLE_BYTES = 2

_END = re.compile(r"(?<=[.!?…])[\"\u201d\u2019')\]]*\s+|\s*\n\s*")
#: A full stop after these ends no sentence; nor does one after a single capital, as in a name.
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\"\u201c'\u2018])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Capt|Lt|vs|cf|etc|No|e\.g|i\.e)\.$"
)
_CLAUSE = re.compile(r"[,;:—–]\s+|\s[—–-]\s")


def text_to_say(query: Query, most: int) -> str:
    """Return the text of a query for speech.

    Raises
    ------
    BadInput
        There are pictures or sounds in it.
    TooLarge
        It has more than `most` characters.
    """
    parts = query.messages[-1].parts
    if not all(isinstance(part, Text) for part in parts):
        raise BadInput("A voice says words only: leave pictures and sounds out.")
    text = query.messages[-1].text.strip()
    if len(text) > most:
        raise TooLarge(
            f"The text has {len(text):,} characters and this voice says at most {most:,} in one "
            "query: send it in parts.",
            limit=most,
            used=len(text),
        )
    return text


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of `text`; one that is too long for one go in several pieces."""
    start = 0
    for end in _END.finditer(text):
        piece = text[start : end.end()].rstrip()
        if "\n" not in end.group() and _ABBREVIATED.search(piece):
            continue
        start = end.end()
        yield from _short(piece)
    yield from _short(text[start:].strip())


def _short(piece: str) -> Iterator[str]:
    """Cut at the last pause, or else at the last blank, or else anywhere."""
    while len(piece) > MOST_CHARACTERS:
        head = piece[:MOST_CHARACTERS]
        pauses = [found.end() for found in _CLAUSE.finditer(head)]
        cut = pauses[-1] if pauses else head.rfind(" ") + 1 or MOST_CHARACTERS
        yield piece[:cut].rstrip()
        piece = piece[cut:].lstrip()
    if piece:
        yield piece


def speak(
    text: str, context: Context, say: Callable[[str], bytes], rate: int
) -> Iterator[Delta | Done]:
    """Yield the sound of each sentence as it is ready, then the usage.

    Parameters
    ----------
    say
        Returns the samples of a sentence: 16 bits, one channel, none where it has no sound.
    rate
        Samples a second.

    Raises
    ------
    BadInput
        Nothing in the text has a sound.
    """

    def stopped() -> bool:
        return context.cancelled  # at any time, from another thread

    samples = 0
    for sentence in sentences(text):
        if stopped():
            return
        sound = say(sentence)
        if stopped():
            return
        if not sound:
            continue
        samples += len(sound) // SAMPLE_BYTES
        blob = context.write_blob(wav(sound, rate), "audio/wav")
        yield Delta(part=Audio(blob, "audio/wav"), tokens=0)
    if not samples:
        raise BadInput("There is nothing in it that this voice can say: write words.")
    yield Done(Usage(audio_ms=round(samples * 1000 / rate), characters=len(text)))


def wav(samples: bytes, rate: int) -> bytes:
    """Return a whole WAV file of 16-bit samples of one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(SAMPLE_BYTES)
        sound.setframerate(rate)
        sound.writeframes(samples)
    return file.getvalue()
