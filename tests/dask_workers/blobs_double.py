"""What a backend may ask of a worker, with its blobs in a dictionary."""

from __future__ import annotations

import hashlib

from dask_workers.attempts import Attempt
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.ngram import AttemptRef


class BlobsDouble(Attempt):
    """An attempt that keeps its blobs itself: both a query's and an answer's."""

    def __init__(self) -> None:
        super().__init__(AttemptRef("0" * 32, 1, 1))
        self.blobs: dict[str, bytes] = {}

    def read_blob(self, blob: str) -> bytes:
        if blob not in self.blobs:
            raise NotFound(f"There is no blob {blob[:12]}.")
        return self.blobs[blob]

    def write_blob(self, content: bytes, mime: str) -> str:
        blob = hashlib.sha256(content).hexdigest()
        self.blobs[blob] = content
        return blob
