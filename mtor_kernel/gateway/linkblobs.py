"""``link/blobs``: what the workers' attempts read and write, each for its own query's owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from mtor_kernel.gateway.base import Gate
from mtor_kernel.gateway.blobs import Download, Upload
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.identity import SCOPE_LINK, User
from mtor_kernel.protocol.link import AttemptRef

if TYPE_CHECKING:
    from pathlib import Path

    from mtor_kernel.storage.blobs import BlobInfo


class _ForAttempt(Gate):
    """A request that names the attempt it is for, in its address."""

    ref: AttemptRef

    async def recognise(self) -> User:
        """Return the worker's identity: it is no person, and the realm keeps no account of it."""
        user = await self.gateway.who.identify(self)
        user.require(self.scope)
        self.ref = self._named()
        return user

    def _named(self) -> AttemptRef:
        named = {name: self.words(name) for name in AttemptRef.__struct_fields__}
        try:
            return msgspec.convert(named, AttemptRef, strict=False)
        except msgspec.ValidationError:
            raise BadInput("Name the attempt: ?query=…&attempt=…&epoch=….") from None


class AttemptUpload(_ForAttempt, Upload):
    """``link/blobs``: keep what an attempt has made."""

    scope = SCOPE_LINK

    async def take(self, content: AsyncIterator[bytes], mime: str) -> BlobInfo:
        """Write it down for the owner of the attempt's query."""
        return await self.gateway.realm.attempt_blobs.keep(self.ref, content, mime)


class AttemptDownload(_ForAttempt, Download):
    """``link/blobs/{id}``: a blob that the query of a running attempt names."""

    scope = SCOPE_LINK

    async def find(self, id: str) -> tuple[Path, str]:
        """Return it to whoever works on a query that names it."""
        return await self.gateway.realm.attempt_blobs.open(self.ref, id)
