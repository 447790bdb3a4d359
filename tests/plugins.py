"""Backends that tests bring, registered as another package would: by an entry point on the path."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, NotFound
from mtor_kernel.protocol.query import Image, Modality, Query

ROOT = Path(__file__).parents[1]


def register(folder: Path, path: pytest.MonkeyPatch, **backends: type) -> None:
    """Have workers find `backends` by these names, for as long as `path` holds.

    `folder` is where the package that is not there has its metadata.
    """
    # Of two packages of one name only that which is found first would be looked at.
    name = "-".join(["plugins-of-tests", *backends])
    info = folder / f"{name.replace('-', '_')}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    entries = [f"{name} = {kind.__module__}:{kind.__name__}" for name, kind in backends.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mtor.backends]", *entries]))
    path.syspath_prepend(str(folder))


class ReadyBackend:
    """What any of them is beside its answers: on every machine, and in memory, from the start."""

    def __init__(self, spec: ModelSpec) -> None:
        pass

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass


class MirrorBackend(ReadyBackend):
    """Gives back the pictures of its question, each with its bytes turned round.

    Its settings: ``fail`` raises when a picture is written, ``hang`` waits then for a cancel,
    ``previews`` are the sizes of pictures shown before.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.IMAGE, Modality.VISION})

    def __init__(self, spec: ModelSpec) -> None:
        self._settings = spec.settings

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        for number, size in enumerate(self._settings.get("previews", [])):
            yield Step(number / 100, f"preview {number}", bytes([number % 256]) * size)
        for part in query.messages[-1].parts:
            if isinstance(part, Image):
                content = context.read_blob(part.blob)[::-1]
                yield Delta(part=Image(context.write_blob(content, "image/png")))
                self._go_wrong(context)
                if context.cancelled:
                    return
        yield Done(Usage(images=1, pixel_steps=1))

    def _go_wrong(self, context: Context) -> None:
        if self._settings.get("fail"):
            raise RuntimeError("told to fail")
        if self._settings.get("hang"):
            cancelled = threading.Event()
            context.on_cancel(cancelled.set)
            cancelled.wait()


class BusyBackend(ReadyBackend):
    """Asks the first who come to come back later, after `wait` seconds; answers the others."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._wait: float = spec.settings.get("wait", 1.0)
        self._refusals: int = spec.settings.get("refusals", 1)

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        if self._refusals > 0:
            self._refusals -= 1
            raise BackendFailed("The service is busy.", retry_after_seconds=self._wait)
        yield Delta("at last")
        yield Done(Usage(output_tokens=2))


class DiceBackend(ReadyBackend):
    """Says a few words, and fails about half of the time, sooner or later."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._dice = random.Random(spec.name)

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        fails_at = self._dice.choice([0, 1, 2, 3, None, None, None, None])
        for number in range(4):
            if number == fails_at:
                raise RuntimeError("the dice said so")
            yield Delta(f"{query.messages[-1].text} ")
        yield Done(Usage(output_tokens=4))


class OrdersBackend(ReadyBackend):
    """Does as it is told: ``fail`` and ``hang`` do so, ``nap`` takes a hundredth of a second.

    Whatever else is asked is said back.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        told = query.messages[-1].text
        cancelled = threading.Event()
        context.on_cancel(cancelled.set)
        if told.startswith("fail"):
            raise NotFound("There is no such thing.")
        if told.startswith("hang"):
            yield Delta("hm")
            cancelled.wait()
            return
        if told.startswith("nap"):
            cancelled.wait(0.01)
        yield Delta(told)
        yield Done(Usage(output_tokens=1))


class HeldBackend(ReadyBackend):
    """Says back what it is asked, word by word, and no answer goes further than its test lets it.

    What a test finds running runs until the test goes on, however slow the machine. By :meth:`let`,
    or in another process by its settings: until the file ``gate`` is there an answer has as many
    words as ``words`` says. Other settings: ``fails`` is how many attempts fail in the place of
    their last word, and an answer takes ``delay`` seconds more.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})
    _news: ClassVar[threading.Condition] = threading.Condition()
    _words: ClassVar[float] = math.inf

    def __init__(self, spec: ModelSpec) -> None:
        settings = spec.settings
        self._gate: str = settings.get("gate", "")
        self._first: int = settings.get("words", 1)
        self._fails: int = settings.get("fails", 0)
        self._delay: float = settings.get("delay", 0.0)

    @classmethod
    def let(cls, words: float = math.inf) -> None:
        """Let each answer have so many words; without a number each comes to its end."""
        with cls._news:
            cls._words = words
            cls._news.notify_all()

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        context.on_cancel(self._look)
        words = re.findall(r"\S+\s*", query.messages[-1].text)
        with self._news:
            fails, self._fails = self._fails > 0, self._fails - 1
        for said, word in enumerate(words, 1):
            with self._news:
                while not (context.cancelled or self._lets(said)):
                    self._news.wait(0.02 if self._gate else None)
            if context.cancelled:
                return
            if fails and said == len(words):
                raise RuntimeError("told to fail")
            yield Delta(word)
        with self._news:
            self._news.wait_for(lambda: context.cancelled, self._delay)
        yield Done(Usage(output_tokens=len(words)))

    def _lets(self, said: int) -> bool:
        if self._gate:
            return said <= self._first or Path(self._gate).exists()
        return said <= self._words

    def _look(self) -> None:
        with self._news:
            self._news.notify_all()


def held_model(name: str = "held", slots: int = 2, **settings: object) -> str:
    """Return a model of :class:`HeldBackend` for a catalogue."""
    told = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return f"""
[[models]]
name = "{name}"
modality = "chat"
backend = "held"
slots = {slots}
rates = {{ output_token_micro = 5 }}
settings = {{ {told} }}
"""


HELD = held_model()


@contextlib.contextmanager
def held(folder: Path, words: float = 1) -> Iterator[None]:
    """Have workers find :class:`HeldBackend`, and each of its answers have so many words."""
    with pytest.MonkeyPatch.context() as path:
        register(folder, path, held=HeldBackend)
        # Also those that run in processes of their own.
        path.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]), os.pathsep)
        HeldBackend.let(words)
        yield
