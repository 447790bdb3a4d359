"""Models that a test leads: a word is said, or a step drawn, when it is let, and not before.

Where a test must see something while an answer comes, a slow model is none of its own: on a busy
machine the test looks when the answer has ended.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dask_workers.backends.echo import EchoBackend
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, Step
from mtor_kernel.protocol.query import Modality, Query
from tests.plugins import register

#: What a catalogue says of them.
LED = """
[[models]]
name = "led"
modality = "chat"
backend = "led"
slots = 2
max_output_tokens = 100000
rates = { output_token_micro = 5 }

[[models]]
name = "led-painter"
modality = "image"
backend = "led"
rates = { image_micro = 5 }
defaults = { width = 64, height = 64 }
"""


class LedBackend(EchoBackend):
    """An echo of which each piece, in a chat each word, comes as soon as the test has let it."""

    _news: ClassVar[threading.Condition] = threading.Condition()
    #: How many more pieces may come, of all queries of all realms.
    _let: ClassVar[float] = 0

    @classmethod
    def let(cls, words: float = 1) -> None:
        """Let so many more words be said, or steps be drawn."""
        with cls._news:
            cls._let += words
            cls._news.notify_all()

    @classmethod
    def hush(cls) -> None:
        """Let no more come."""
        with cls._news:
            cls._let = 0

    @classmethod
    def go_on(cls, message: Mapping[str, Any]) -> bool:
        """Let one more come where a kernel's `message` shows something."""
        if "display" in message["msg_type"]:
            cls.let()
        return False

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        context.on_cancel(lambda: self.let(0))
        chat = self._spec.modality is Modality.CHAT
        for piece in _words(query) if chat else super().stream(query, context):
            if not isinstance(piece, Done) and not self._take_turn(context):
                return
            yield piece

    def _take_turn(self, context: Context) -> bool:
        """Wait until one more may come; tell whether it is still wanted."""
        with self._news:
            self._news.wait_for(lambda: context.cancelled or self._let > 0)
            type(self)._let -= not context.cancelled
        return not context.cancelled


def _words(query: Query) -> Iterator[Delta | Step | Done]:
    words = query.messages[-1].text.split(" ")
    for at, word in enumerate(words):
        yield Delta(f" {word}" if at else word, tokens=1)
    yield Done(Usage(input_tokens=len(words), output_tokens=len(words)))


@contextmanager
def led(folder: Path) -> Iterator[None]:
    """Have workers find the models; in the end all that is left of their answers comes."""
    with pytest.MonkeyPatch.context() as path:
        register(folder / "led", path, led=LedBackend)
        LedBackend.hush()
        try:
            yield
        finally:
            LedBackend.let(math.inf)
