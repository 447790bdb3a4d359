"""A backend for measuring: pieces at a pace, each with the time at which it was made.

Workers find it by the entry point group ``mtor.backends``, as they find any other package's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec
from mtor_kernel.protocol.query import Modality, Query

#: Pads a stamp to the length of a few words.
_WORDS = " is when this was said"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much it says, how fast."""

    chunks: int
    rate: float
    data_dir: str = ""


def stamp() -> str:
    """Return a piece that says when it was made, on the machine's monotonic clock."""
    return f"{time.monotonic_ns()}{_WORDS}\n"


def ages(text: str, now: int) -> list[float]:
    """Return how many seconds ago, at `now` (nanoseconds), each piece of `text` was made."""
    return [(now - int(line.partition(" ")[0])) / 1e9 for line in text.splitlines()]


class StampedBackend:
    """Says what time it is, `rate` times a second."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self._settings = msgspec.convert(spec.settings, Settings)

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Done]:
        settings, begun = self._settings, time.monotonic()
        for count in range(settings.chunks):
            time.sleep(max(0.0, begun + count / settings.rate - time.monotonic()))
            yield Delta(stamp())
        yield Done(Usage(output_tokens=settings.chunks))
