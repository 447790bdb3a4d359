"""Backends that tests bring, registered as another package would: by an entry point on the path."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
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
