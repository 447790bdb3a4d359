"""Says back what it was asked, at the pace and with the faults that its settings name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from dask_workers.backends.echo.answers import ANSWERS, Asked
from dask_workers.backends.echo.settings import Settings
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.query import Modality, Query


class EchoBackend:
    """The simplest backend, in every modality. A word is a token.

    The same question gets the same answer: pictures, sounds and vectors are made of the prompt.
    Its settings are those of :class:`~dask_workers.backends.echo.settings.Settings`.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset(ANSWERS)

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

    def files(self) -> list[Path]:
        """Return the file that stands for its weights, if there is one."""
        return [Path(self._settings.weights)] if self._settings.weights else []

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        answer = ANSWERS[self._spec.modality](Asked(query, self._spec, self._settings, context))
        fault = self._next_fault()
        pace = _Pace(self._settings, context)
        for count, piece in enumerate(answer):
            if fault and (count == self._settings.fail_after or isinstance(piece, Done)):
                break
            if not isinstance(piece, Done) and not pace.wait(count):
                return
            yield piece
        if fault:
            self._go_wrong(context)

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
