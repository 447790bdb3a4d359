"""What a catalogue may say of an echo."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it echoes, and how it goes wrong on demand."""

    #: Pieces of a chat's answer. 1: the last message as it stands. More: that many of its words, in
    #: turn, or drawn by the query's ``seed``.
    chunks: Annotated[int, Meta(ge=1)] = 1
    #: Pieces a second (words, steps of a picture, sentences); ``None``: as fast as they are taken.
    rate: Annotated[float, Meta(gt=0)] | None = None
    #: Answered in place of the last message.
    text: str = ""
    #: Numbers of a vector.
    dimensions: Annotated[int, Meta(ge=1, le=4096)] = 64
    #: Seconds before the first piece.
    delay: Annotated[float, Meta(ge=0)] = 0.0
    #: Raise an error, or a :class:`MemoryError`, after `fail_after` pieces.
    fail: bool = False
    memory_error: bool = False
    fail_after: Annotated[int, Meta(ge=0)] = 0
    #: How many queries fail so before the following ones are answered; ``None``: every one.
    fail_first: Annotated[int, Meta(ge=0)] | None = None
    #: Say nothing more after `fail_after` pieces, until it is cancelled.
    hang: bool = False
    #: Raise an error when it is loaded.
    fail_load: bool = False
    #: Why this machine cannot serve it.
    missing: str = ""
    #: A file that stands for its weights.
    weights: str = ""
    data_dir: str = ""
