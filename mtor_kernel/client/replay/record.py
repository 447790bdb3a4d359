"""What is recorded: one line of JSON for each answer, sealed by a checksum of its own."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import msgspec

from mtor_kernel.protocol.ngram import Failed, Settled
from mtor_kernel.protocol.query import Part, Query
from mtor_kernel.protocol.views import ModelInfo

_SEAL = re.compile(rb',"seal":"([0-9a-f]{64})"\}')
#: How long a line's seal is, in bytes.
_SEAL_BYTES = len(b',"seal":""}') + 64


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cell that asked, as far as it is known."""

    #: Its id in the notebook; empty where the front end does not tell.
    id: str = ""
    #: Its execution count.
    number: int = 0
    #: How it begins.
    line: str = ""

    def __str__(self) -> str:
        told = f"In [{self.number}]" if self.number else "A cell"
        return f"{told} ({self.line})" if self.line else told


class Record(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="answer"):
    """One question and how it ended."""

    #: :func:`question_of` the query.
    question: str
    #: Which of several equal questions it was, from 1.
    number: int
    query: Query
    end: Settled | Failed
    #: The answer; pictures and sounds by the hash of their content.
    parts: tuple[Part, ...] = ()
    #: The key that the asker chose; empty where none was chosen.
    key: str = ""
    #: Whether an earlier submission with the same key had asked it already.
    repeated: bool = False
    cell: Cell = Cell()
    #: When it was recorded, in seconds since the epoch.
    at: float = 0.0


class Models(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="models"):
    """The models that there were: a long conversation is cut to what its model can hold."""

    models: tuple[ModelInfo, ...]


class Took(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="took"):
    """What a camera or a microphone has taken."""

    #: ``camera`` or ``microphone``.
    device: str
    #: Which of its uses it was, from 1.
    number: int
    #: The hash of its content, and what it is.
    blob: str
    mime: str
    cell: Cell = Cell()
    #: When it was recorded, in seconds since the epoch.
    at: float = 0.0


Line = Record | Models | Took

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def question_of(query: Query) -> str:
    """Return the hash of what is asked: messages, model, options, rows; media by their content.

    How long it may take, in which class it waits and what its rows are called is no part of it.
    """
    asked: tuple[Any, ...] = (query.messages, query.model, query.options)
    if query.rows:
        asked = (*asked, [row.text for row in query.rows])
    return sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def seal(line: Line) -> bytes:
    """Return a record as the line that is written, with its checksum at the end."""
    body = msgspec.json.encode(line)
    return body[:-1] + b',"seal":"' + sha256(body).hexdigest().encode() + b'"}\n'


def unseal(line: bytes) -> Line:
    """Return what a line records.

    Raises
    ------
    ValueError
        It is not as it was written.
    """
    text = line.rstrip(b"\r\n")
    body, found = text[:-_SEAL_BYTES] + b"}", _SEAL.fullmatch(text[-_SEAL_BYTES:])
    if found is None or sha256(body).hexdigest().encode() != found[1]:
        raise ValueError("it was changed after it was written")
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it was written by another version ({error})") from None
