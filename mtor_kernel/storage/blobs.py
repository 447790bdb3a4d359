"""Pictures, sounds and other bytes: files named by their SHA-256, beside the database.

Two people who put the same bytes share one file, and neither can tell. A blob is seen by those who
put it and nobody else, and each pays for it in quota.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam, func

from mtor_kernel.protocol.account import Count
from mtor_kernel.protocol.errors import (
    BadInput,
    NotFound,
    QuotaExceeded,
    StorageFull,
    TooLarge,
    Unavailable,
)
from mtor_kernel.protocol.query import Mime
from mtor_kernel.storage import blobmark
from mtor_kernel.storage.schema import blob, query, query_blob
from mtor_kernel.storage.store import Store

#: The largest blob unless it is said otherwise.
MAX_BLOB_BYTES = 64 * 1024 * 1024
#: How long a blob that no query names is kept, in seconds.
TTL_SECONDS = 86_400.0
#: Files that one sweep looks up at once.
_SWEEP = 500

#: Writes down, in the transaction that keeps a blob of this id, what belongs to it.
Note = Callable[[sa.Connection, str], None]


class BlobInfo(msgspec.Struct, frozen=True):
    """A blob that is kept."""

    id: str
    size: Count
    mime: str


_MINE = sa.select(blob.c.mime, blob.c.size_bytes).where(
    blob.c.person == bindparam("who"), blob.c.id == bindparam("of")
)
_USED = sa.select(func.coalesce(func.sum(blob.c.size_bytes), 0)).where(
    blob.c.person == bindparam("who"), blob.c.id != bindparam("of")
)
_KEEP = sa.insert(blob)
_KEEP_ON = (
    sa.update(blob)
    .where(blob.c.person == bindparam("who"), blob.c.id == bindparam("of"))
    .values(created_at=bindparam("now"), mime=bindparam("as_mime"))
)
_FORGET = sa.delete(blob).where(
    blob.c.created_at < bindparam("then"),
    ~sa.exists().where(
        query_blob.c.blob == blob.c.id,
        query.c.id == query_blob.c.query,
        query.c.person == blob.c.person,
    ),
)
_KNOWN = sa.select(blob.c.id).where(blob.c.id.in_(bindparam("ids", expanding=True)))


class Blobs:
    """The blobs of a realm.

    Parameters
    ----------
    store
        Where it is written down who keeps what.
    root
        The folder of the files.
    quota
        Bytes that one person may keep, unless :meth:`put` says otherwise; ``None``: no such rule.
    max_bytes
        How large one blob may be.
    ttl_seconds
        How long a blob is kept that no query names.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        quota: int | None = None,
        *,
        max_bytes: int = MAX_BLOB_BYTES,
        ttl_seconds: float = TTL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = store
        self._root = root
        self._quota = quota
        self._max_bytes = max_bytes
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        #: Files that are being written: not to be taken for what a crash left.
        self._arriving: set[Path] = set()

    async def put(
        self, user: str, content: bytes | AsyncIterator[bytes], mime: str, *,
        quota: int | None = None, note: Note | None = None,
    ) -> BlobInfo:  # fmt: skip
        """Keep `content` for a person; it is durable when this returns.

        Parameters
        ----------
        quota
            Bytes that this person may keep, in place of the realm's quota.
        note
            Called with the transaction that keeps it and its id; where it raises, nothing is kept.

        Raises
        ------
        BadInput
            `mime` is no media type.
        TooLarge
            It is larger than one blob may be.
        QuotaExceeded
            With it the person would keep more than `quota`, or the realm's quota.
        StorageFull
            The disk is full.
        Unavailable
            Its folder cannot be written for another reason.
        """
        _check_mime(mime)
        arriving = self._root / f".{secrets.token_hex(16)}"
        self._arriving.add(arriving)
        try:
            info = BlobInfo(*await self._receive(arriving, content), mime)
            await self._keep(user, info, arriving, self._quota if quota is None else quota, note)
        finally:
            arriving.unlink(missing_ok=True)
            self._arriving.discard(arriving)
        return info

    async def open(self, user: str, id: str) -> tuple[Path, str]:
        """Return the file and media type of a blob that a person keeps.

        Raises
        ------
        NotFound
            There is none, or it is somebody else's: the two cannot be told apart.
        """
        mine = await self._store.read(
            lambda conn: conn.execute(_MINE, {"who": user, "of": id}).one_or_none()
        )
        path = self._path(id)
        if mine is None or not await asyncio.to_thread(path.exists):
            raise NotFound(f"You have no blob {id[:64]}: upload it first.")
        return path, mine.mime

    async def collect(self, now: float) -> int:
        """Forget blobs that no query names and that are old enough; return how many files went."""
        then = now - self._ttl_seconds
        await self._store.write(lambda conn: conn.execute(_FORGET, {"then": then}).rowcount)
        old = await asyncio.to_thread(self._older_than, then)
        gone = 0
        for start in range(0, len(old), _SWEEP):
            some = old[start : start + _SWEEP]
            # In the writer's turn: no put of the same bytes can come between look-up and removal.
            gone += await self._store.write(partial(_sweep, paths=some), once=True)
        return gone

    def _path(self, id: str) -> Path:
        return self._root / id[:2] / id

    async def _receive(self, path: Path, content: bytes | AsyncIterator[bytes]) -> tuple[str, int]:
        """Write the content to a new file, down to the disk itself; return its hash and size."""
        digest = hashlib.sha256()
        size = 0
        with await asyncio.to_thread(_create, path) as file:
            async for piece in _pieces(content):
                size += len(piece)
                if size > self._max_bytes:
                    raise TooLarge(
                        f"A blob may have {self._max_bytes:,} bytes at most: make it smaller.",
                        limit=self._max_bytes,
                    )
                await asyncio.to_thread(_append, file, piece, digest.update)
            await asyncio.to_thread(_sync, file)
        return digest.hexdigest(), size

    async def _keep(
        self, user: str, info: BlobInfo, file: Path, quota: int | None, note: Note | None
    ) -> None:
        path = self._path(info.id)
        now = self._clock()
        await asyncio.to_thread(path.parent.mkdir, mode=0o700, exist_ok=True)

        def keep(conn: sa.Connection) -> None:
            _note(conn, user, info, quota, now)
            if note is not None:
                note(conn, info.id)
            file.replace(path)

        await self._store.write(keep, once=True)
        await asyncio.to_thread(_sync_folders, path.parent, self._root)

    def _older_than(self, then: float) -> list[Path]:
        """Return the files, what a crash left half-written included, last put before a time."""
        files = (entry for entry in self._root.rglob("*") if entry.is_file())
        found = [path for path in files if path.name != blobmark.NAME]
        old = [path for path in found if _modified(path) < then]
        return [path for path in old if path not in self._arriving]


def _sweep(conn: sa.Connection, paths: list[Path]) -> int:
    """Remove those files that nobody keeps."""
    known = set(conn.scalars(_KNOWN, {"ids": [path.name for path in paths]}))
    gone = [path for path in paths if path.name not in known]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def _note(conn: sa.Connection, user: str, info: BlobInfo, quota: int | None, now: float) -> None:
    told = {"who": user, "of": info.id}
    used = int(conn.execute(_USED, told).scalar_one())  # PostgreSQL's sums are decimals
    if quota is not None and used + info.size > quota:
        raise QuotaExceeded(
            f"You may keep {quota:,} bytes of blobs and have {used:,}: use smaller ones, or wait "
            "until those that no query names are collected.",
            rule="blob_bytes",
            limit=quota,
            used=used,
        )
    if conn.execute(_KEEP_ON, {**told, "now": now, "as_mime": info.mime}).rowcount == 0:
        row = {"person": user, "id": info.id, "mime": info.mime, "size_bytes": info.size}
        conn.execute(_KEEP, {**row, "created_at": now})


def _check_mime(mime: str) -> None:
    try:
        msgspec.convert(mime, Mime)
    except msgspec.ValidationError:
        raise BadInput(f"{mime[:100]!r} is no media type: send one such as image/png.") from None


async def _pieces(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        async for piece in content:
            yield piece


def _create(path: Path) -> FileIO:
    with _failures_are_told():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        # Unbuffered: nothing is left to write, and to fail, when it is closed.
        return FileIO(os.open(path, flags, 0o600), "wb")


def _append(file: FileIO, piece: bytes, update: Callable[[bytes], None]) -> None:
    rest = memoryview(piece)
    with _failures_are_told():
        while rest:
            rest = rest[file.write(rest) :]
    update(piece)


def _sync(file: FileIO) -> None:
    with _failures_are_told():
        os.fsync(file.fileno())


@contextmanager
def _failures_are_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                "The realm's disk is full: nothing was kept. Try again later, or ask the sysop."
            ) from error
        raise Unavailable(
            f"The realm's folder of pictures and sounds cannot be written ({error.strerror}): "
            "nothing was kept. Try again in a moment, and tell the sysop if it goes on."
        ) from error


def _sync_folders(*folders: Path) -> None:
    """Make the names in `folders` durable, as :func:`_sync` did the bytes."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")  # gone meanwhile
