"""What an attempt may read and write of blobs: what its query names, for its query's owner.

A worker names the attempt it works on. One that is not under way (stale, somebody else's guess, of
no query at all) and a blob that the query does not name are refused alike, so that nothing can be
learned from the refusal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mtor_kernel.protocol.codec import decode
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.attempts import Attempt
from mtor_kernel.realm.people import People
from mtor_kernel.storage import references
from mtor_kernel.storage.blobs import BlobInfo, Blobs


class AttemptBlobs:
    """The workers' way to the blobs.

    Parameters
    ----------
    current
        Returns the attempt of a query that counts now.
    """

    def __init__(
        self, blobs: Blobs, people: People, current: Callable[[str], Attempt | None]
    ) -> None:
        self._blobs = blobs
        self._people = people
        self._current = current

    async def open(self, ref: AttemptRef, id: str) -> tuple[Path, str]:
        """Return the file and media type of a blob that the query of an attempt names.

        Raises
        ------
        NotFound
            That attempt is not under way, or its query names no such blob.
        """
        attempt = self._running(ref)
        if id not in decode(attempt.body, Query).blobs:
            raise references.not_for_this_attempt()
        try:
            return await self._blobs.open(attempt.stream.user, id)
        except NotFound:
            raise references.not_for_this_attempt() from None

    async def keep(
        self, ref: AttemptRef, content: bytes | AsyncIterator[bytes], mime: str
    ) -> BlobInfo:
        """Keep a blob for the owner of an attempt's query, within the owner's quota.

        Until the query ends the blob is one that the query names; after that, if the answer names
        it.

        Raises
        ------
        NotFound
            That attempt is not under way, or is not any more when the blob is there.
        QuotaExceeded, TooLarge, StorageFull
            As :meth:`Blobs.put` raises them.
        """
        owner = self._running(ref).stream.user
        quota = self._people.quotas(self._people.last_seen(owner)).blob_bytes
        return await self._blobs.put(
            owner,
            content,
            mime,
            quota=quota,
            # In the transaction that keeps it: the store alone knows what a later one has done.
            note=lambda db, blob: references.refer_written(db, ref, blob),
        )

    def _running(self, ref: AttemptRef) -> Attempt:
        attempt = self._current(ref.query)
        if attempt is None or attempt.ref != ref or attempt.verdict is not None:
            raise references.not_for_this_attempt()
        return attempt
