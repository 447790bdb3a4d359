"""What a backend may ask of its worker, and what it says, put in order for tests."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from mtor_kernel.protocol.backend import Backend, Delta, Done, Step
from mtor_kernel.protocol.query import Audio, Data, Query
from tests.dask_workers.contract import ContextDouble


class Desk(ContextDouble):
    """An attempt that has some blobs, and remembers what kind of thing each is."""

    def __init__(self, *blobs: bytes) -> None:
        super().__init__()
        self.mimes: dict[str, str] = {}
        for content in blobs:
            self.write_blob(content, "application/octet-stream")

    def write_blob(self, content: bytes, mime: str) -> str:
        blob = super().write_blob(content, mime)
        self.mimes[blob] = mime
        return blob


class Said(NamedTuple):
    """All that a backend has said to one query."""

    pieces: list[Delta | Step | Done]

    @property
    def text(self) -> str:
        return "".join(one.text for one in self.pieces if isinstance(one, Delta))

    @property
    def data(self) -> list[Data]:
        return [part for part in self._parts if isinstance(part, Data)]

    @property
    def audio(self) -> list[Audio]:
        return [part for part in self._parts if isinstance(part, Audio)]

    @property
    def notes(self) -> list[str]:
        return [one.note for one in self.pieces if isinstance(one, Step)]

    @property
    def done(self) -> Done:
        last = self.pieces[-1]
        assert isinstance(last, Done)
        assert not any(isinstance(one, Done) for one in self.pieces[:-1])
        return last

    @property
    def _parts(self) -> list[object]:
        return [one.part for one in self.pieces if isinstance(one, Delta)]


def ask(backend: Backend, query: Query, desk: Desk | None = None) -> Said:
    """Return all that the backend says."""
    return Said(list(backend.stream(query, desk or Desk())))


def blob_id(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
