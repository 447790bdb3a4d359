"""What goes into the store and comes out of it at each step of a query's life, as values."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Modality, Part, Priority

#: A row of a result, read by its columns' names. SQLAlchemy 2.0 and 2.1 spell its type differently.
Row: TypeAlias = Any


class NewQuery(msgspec.Struct, frozen=True):
    """A query that asks to be written down."""

    id: str
    user: str
    #: The client's idempotency key, and a hash of everything that it names.
    key: str
    body_hash: str
    #: The name that was asked for, and the model whose lane it waits in.
    asked: str
    model: str
    modality: Modality
    priority: Priority
    #: The encoded ``Query``.
    body: bytes
    #: The first words of it, for lists.
    prompt: str
    hold_micro: int
    #: Input and output tokens at worst.
    tokens: int
    created_at: float
    expires_at: float
    #: The blobs that it names, each with the kind of part that it is.
    blobs: dict[str, type[Part]] = {}
    #: The keys of the rows that it asks about; none where it is one question.
    rows: tuple[str, ...] = ()

    @property
    def queries(self) -> int:
        """How many questions are in it."""
        return len(self.rows) or 1


class Accepted(msgspec.Struct, frozen=True):
    """A query that is written down, its hold placed."""

    query: str
    model: str
    hold_micro: int
    #: Whether an earlier submission with the same key had been accepted already.
    repeated: bool = False
    #: Where it stands: a repeated one may have ended long ago.
    stage: Stage = Stage.QUEUED


class Dispatched(msgspec.Struct, frozen=True):
    """An attempt that is written down and may be handed to a worker."""

    id: str
    attempt: int
    #: The encoded ``Query``.
    body: bytes


class WaitingRow(msgspec.Struct, frozen=True):
    """A query on the line, as the fair queue needs it after a restart."""

    id: str
    user: str
    asked: str
    model: str
    modality: Modality
    priority: Priority
    tokens: int
    created_at: float
    expires_at: float
    #: Attempts that it has had.
    attempt: int
    hold_id: int
    hold_micro: int


class UnderWay(msgspec.Struct, frozen=True):
    """Where a query stands that has not ended, as the processes that share the store see it."""

    id: str
    model: str
    stage: Stage
    #: Attempts that it has had, and the epoch of the one that runs.
    attempt: int
    epoch: int | None
    #: Whether somebody has asked for it to be cancelled.
    to_stop: bool
    #: Whose it is.
    user: str
