"""Backends that tests bring, registered as another package would: by an entry point on the path."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.query import Image, Modality, Query


def register(folder: Path, path: pytest.MonkeyPatch, **backends: type) -> None:
    """Have workers find `backends` by these names, for as long as `path` holds.

    `folder` is where the package that is not there has its metadata.
    """
    info = folder / "plugins_of_tests-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins-of-tests\nVersion: 1\n")
    entries = [f"{name} = {kind.__module__}:{kind.__name__}" for name, kind in backends.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mtor.backends]", *entries]))
    path.syspath_prepend(str(folder))


class MirrorBackend:
    """Gives back the pictures of its question, each with its bytes turned round.

    Its settings: ``fail`` raises when a picture is written, ``hang`` waits then for a cancel,
    ``previews`` are the sizes of pictures shown before.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.IMAGE, Modality.VISION})

    def __init__(self, spec: ModelSpec) -> None:
        self._settings = spec.settings

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass

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


class BusyBackend:
    """Asks the first who come to come back later, after `wait` seconds; answers the others."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._wait: float = spec.settings.get("wait", 1.0)
        self._refusals: int = spec.settings.get("refusals", 1)

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        if self._refusals > 0:
            self._refusals -= 1
            raise BackendFailed("The service is busy.", retry_after_seconds=self._wait)
        yield Delta("at last")
        yield Done(Usage(output_tokens=2))


class DiceBackend:
    """Says a few words, and fails about half of the time, sooner or later."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._dice = random.Random(spec.name)

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        fails_at = self._dice.choice([0, 1, 2, 3, None, None, None, None])
        for number in range(4):
            if number == fails_at:
                raise RuntimeError("the dice said so")
            yield Delta(f"{query.messages[-1].text} ")
        yield Done(Usage(output_tokens=4))
