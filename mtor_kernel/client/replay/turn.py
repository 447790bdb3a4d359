"""One question on its way through a replay: played from its record, or recorded when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mtor_kernel.client.running import Running
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.ngram import (
    Admitted,
    Cancelled,
    Chunk,
    Failed,
    QueryEnd,
    Settled,
    Started,
)
from mtor_kernel.protocol.query import Audio, Image, Part, Query, Text
from mtor_kernel.protocol.units import units

if TYPE_CHECKING:
    from mtor_kernel.client.media import Media
    from mtor_kernel.client.replay.record import Cell, Record
    from mtor_kernel.client.replay.replay import Replay

#: Returns the bytes of a blob.
Download = Callable[[str], Awaitable[bytes]]


class Turn:
    """A question that is asked now. Also the witness of its query, where the realm is asked."""

    def __init__(
        self,
        replay: Replay,
        query: Query,
        question: str,
        number: int,
        key: str,
        cell: Cell,
        found: Record | None,
        repeated: bool,
    ) -> None:
        self.query, self.question, self.number = query, question, number
        self.key, self.cell = key, cell
        #: What is to be played; ``None``: the realm is to be asked.
        self.found = found
        self._replay = replay
        self._repeated = repeated
        self._download: Download | None = None

    def play(self) -> Running:
        """Return the query as if the realm had just answered it."""
        assert self.found is not None
        end, parts = self.found.end, self.found.parts
        model = self.query.model if isinstance(end, Failed) else end.model
        attempt = 1 if isinstance(end, Failed) else end.attempt
        repeated = self.found.repeated or self._repeated
        running = Running(Admitted(end.query, model, 0, repeated=repeated), lambda _: False)
        running.replayed = True
        running.heard(Started(end.query, attempt, model))
        seq = 0
        for part in parts:
            words, other = (part.text, None) if isinstance(part, Text) else ("", part)
            after = seq + units(words, other)
            running.heard(Chunk(end.query, attempt, seq, after, words, other))
            seq = after
        running.heard(end)
        return running

    def watch(self, running: Running, download: Download) -> Running:
        """Have what becomes of `running` recorded."""
        self._download = download
        running.witness = self
        return running

    def give_back(self) -> None:
        """It was not answered: it counts as not asked."""
        self._replay.give_back(self)

    async def wrote(self, end: QueryEnd, parts: tuple[Part, ...], repeated: bool) -> None:
        """Write down how it ended, before anybody is told."""
        if isinstance(end, Cancelled):
            return
        if isinstance(end, Settled):
            self._replay.weights.now(end.model, end.weights)
        assert self._download is not None
        try:
            media = [
                (await self._download(part.blob), part.mime)
                for part in parts
                if isinstance(part, Image | Audio)
            ]
        except RealmError as error:
            self._replay.warn(error)
            return
        await asyncio.to_thread(self._replay.write, self, end, parts, media, repeated)


class DeviceTurn:
    """A use of a camera or a microphone."""

    def __init__(self, device: str, number: int, cell: Cell) -> None:
        self.device, self.number, self.cell = device, number, cell
        #: What is played; ``None``: somebody is to be waited for.
        self.found: Media | None = None
