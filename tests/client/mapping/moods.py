"""A backend that gives back its prompt, unless a word in it puts it in a mood."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Modality, Query
from tests.plugins import ReadyBackend

#: More than a worker takes for the rows of one query.
LONG_SECONDS = 0.3


def _filled_in(query: Query) -> str:
    asked = next(turn.text for turn in query.messages if turn.role == "user")
    mended = "not fit" in query.messages[-1].text
    fits = "lost" not in asked and ("loose" not in asked or mended)
    return msgspec.json.encode({"label": asked}).decode() if fits else "Dear Sir"


class MoodBackend(ReadyBackend):
    """Refuses what is ``rude``, breaks on what is ``ill``, and falls silent at ``hush``.

    It takes its time for what is ``long``. Asked for a form, it keeps to it, except for what is
    ``loose``, before it is told so, and what is ``lost``, ever.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})
    #: What it was asked, and how often, by all queries of all realms.
    asked: ClassVar[Counter[str]] = Counter()
    #: Released: it speaks again, for good.
    speaks: ClassVar[threading.Event] = threading.Event()

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        told = query.messages[-1].text
        self.asked[told] += 1
        if "rude" in told:
            raise BadInput("Say that again, politely.")
        if "ill" in told:
            raise BackendFailed("It broke.")
        if "hush" in told and not self.speaks.is_set():
            silence = threading.Event()
            context.on_cancel(silence.set)
            while not (silence.is_set() or self.speaks.wait(0.01)):
                pass  # until it is cancelled, or speaks
        if "long" in told:
            cut = threading.Event()
            context.on_cancel(cut.set)
            cut.wait(LONG_SECONDS)
        if not context.cancelled:
            yield Delta(told if query.options.json_schema is None else _filled_in(query))
            yield Done(Usage(input_tokens=1, output_tokens=1))
