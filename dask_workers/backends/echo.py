"""Says back what it was asked: for tests, benchmarks and a first look at a realm."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.query import Modality, Options, Query

_WORD = re.compile(r"\s*\S+\s*")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it echoes, and how it goes wrong on demand."""

    #: Pieces of the answer. 1: the last message as it stands. More: that many of its words, in
    #: turn, or drawn by the query's ``seed``.
    chunks: Annotated[int, Meta(ge=1)] = 1
    #: Pieces a second; ``None``: as fast as they are taken.
    rate: Annotated[float, Meta(gt=0)] | None = None
    #: Answered in place of the last message.
    text: str = ""
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
    data_dir: str = ""


class EchoBackend:
    """The simplest backend. A word is a token."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._failures = 0
        self._counting = threading.Lock()

    def missing(self) -> str:
        return self._settings.missing

    def load(self) -> None:
        if self._settings.fail_load:
            raise RuntimeError("told to fail when loaded")

    def unload(self) -> None:
        pass

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        pieces, finish_reason = self._answer(query)
        fault = self._next_fault()
        pace = _Pace(self._settings, context)
        said = 0
        for count, piece in enumerate(pieces):
            if fault and count == self._settings.fail_after:
                break
            if not pace.wait(count):
                return
            words = len(piece.split())
            said += words
            yield Delta(piece, tokens=words)
        if fault:
            self._go_wrong(context)
            return
        asked = sum(len(message.text.split()) for message in query.messages)
        yield Done(Usage(input_tokens=asked, output_tokens=said), finish_reason)

    def _answer(self, query: Query) -> tuple[list[str], str]:
        """Return the pieces, and why they end where they end."""
        settings, options = self._settings, query.options
        text = settings.text or query.messages[-1].text
        words = _words(text, settings.chunks, options) if settings.chunks > 1 else [text]
        limit = options.max_tokens or self._spec.default_max_tokens
        return _cut(words, options.stop, limit)

    def _next_fault(self) -> bool:
        settings = self._settings
        if not (settings.fail or settings.memory_error or settings.hang):
            return False
        with self._counting:
            self._failures += 1
            return settings.fail_first is None or self._failures <= settings.fail_first

    def _go_wrong(self, context: Context) -> None:
        if self._settings.memory_error:
            raise MemoryError("told to run out of memory")
        if self._settings.fail:
            raise RuntimeError("told to fail")
        cancelled = threading.Event()
        context.on_cancel(cancelled.set)
        cancelled.wait()


class _Pace:
    """Waits for each piece's time, or for a cancel."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._start = time.monotonic() + settings.delay
        self._step = 1 / settings.rate if settings.rate else 0.0
        self._free = not settings.delay and not settings.rate
        self._cancelled = threading.Event()
        if not self._free:
            context.on_cancel(self._cancelled.set)

    def wait(self, count: int) -> bool:
        """Wait until piece `count` is due; tell whether it is still wanted."""
        if self._free:
            return True
        left = self._start + count * self._step - time.monotonic()
        return not self._cancelled.wait(max(0.0, left))


def _words(text: str, count: int, options: Options) -> list[str]:
    """Return `count` words of `text`, each with a space after it, the same for the same seed."""
    words = text.split() or [text]
    if options.seed is None:
        return [words[i % len(words)] + " " for i in range(count)]
    draw = random.Random(f"{options.seed}:{text}")  # noqa: S311 - no secret hangs on it
    return [draw.choice(words) + " " for _ in range(count)]


def _cut(pieces: list[str], stop: tuple[str, ...], limit: int) -> tuple[list[str], str]:
    """End the answer before the first stop word, and at `limit` words."""
    text = "".join(pieces)
    end = min((found for word in stop if (found := text.find(word)) >= 0), default=len(text))
    reason = "stop"
    words = list(_WORD.finditer(text, 0, end))
    if len(words) > limit:
        end, reason = words[limit - 1].end(), "length"
    kept: list[str] = []
    for piece in pieces:
        if end <= 0:
            break
        kept.append(piece[:end])
        end -= len(piece)
    return kept, reason
