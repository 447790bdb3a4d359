"""What a query has used that was cancelled half-way: what was published of its answer, estimated.

The backend never came to say. A figure is never above what the whole answer would have had at
worst, and nothing is counted of what was not shown.
"""

from __future__ import annotations

import math
import re

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import (
    Audio,
    Data,
    Image,
    Modality,
    Part,
    Query,
    Text,
    answered,
    text_of,
)
from mtor_kernel.scheduling import pricing

#: What people say in a second, in words and in characters.
WORDS_A_SECOND = 2.5
CHARACTERS_A_SECOND = 15
#: Bytes to a token, in the usual text.
BYTES_A_TOKEN = 4

_SENTENCE = re.compile(r"[.!?…]+(?=\s|$)|\n+")


def published(query: Query, spec: ModelSpec, parts: tuple[Part, ...], tokens: int) -> Usage:
    """Return what the published `parts` of an answer took.

    Parameters
    ----------
    tokens
        Output tokens in them, as the worker counted.
    """
    most = pricing.worst_case(query, spec)
    used = Usage(output_tokens=tokens)
    match spec.modality:
        case Modality.IMAGE:
            drawn = _count(parts, Image)
            used = Usage(images=drawn, pixel_steps=drawn * most.pixel_steps)
        case Modality.TRANSCRIPTION:
            used = Usage(audio_ms=round(1000 * len(text_of(parts).split()) / WORDS_A_SECOND))
        case Modality.SPEECH:
            used = _spoken(query, _count(parts, Audio))
        case Modality.EMBEDDING:
            read = "".join(_read(query, parts))
            used = Usage(input_tokens=math.ceil(len(read.encode()) / BYTES_A_TOKEN))
    figures = pricing.FIGURES[spec.modality]
    kept = {name: min(getattr(used, name), getattr(most, name)) for name in figures}
    rows = len(answered(parts)) if query.rows else 1
    return msgspec.structs.replace(Usage(rows=rows, estimated=True), **kept)


def _read(query: Query, parts: tuple[Part, ...]) -> list[str]:
    """Return the texts that have their vectors."""
    if query.rows:
        return [query.rows[row].text for row in answered(parts) if row < len(query.rows)]
    texts = [part.text for part in query.messages[-1].parts if isinstance(part, Text)]
    return texts[: _count(parts, Data)]


def _spoken(query: Query, sentences: int) -> Usage:
    """Return what so many sentences of the text took to speak."""
    text = query.messages[-1].text
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    said = ends[sentences - 1] if 0 < sentences <= len(ends) else len(text) * (sentences > 0)
    return Usage(characters=said, audio_ms=round(1000 * said / CHARACTERS_A_SECOND))


def _count(parts: tuple[Part, ...], kind: type[Part]) -> int:
    return sum(isinstance(part, kind) for part in parts)
