"""What a backend may ask of its worker, with blobs in a dictionary."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from dask_workers.attempts import Attempt
from mtor_kernel.protocol.backend import Backend, Delta, Done, Step
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.protocol.query import Audio, Data, Query


class Desk(Attempt):
    """A real attempt, whose blobs lie in memory."""

    def __init__(self, *blobs: bytes) -> None:
        super().__init__(AttemptRef("0" * 32, 1, 1))
        self.blobs: dict[str, bytes] = {}
        self.mimes: dict[str, str] = {}
        for content in blobs:
            self.write_blob(content, "application/octet-stream")

    def read_blob(self, blob: str) -> bytes:
        try:
            return self.blobs[blob]
        except KeyError:
            raise NotFound(f"There is no blob {blob[:12]}….") from None

    def write_blob(self, content: bytes, mime: str) -> str:
        blob = blob_id(content)
        self.blobs[blob], self.mimes[blob] = content, mime
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
