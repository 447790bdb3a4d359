"""The way in: queries are submitted, and wait where the realm takes no more for now.

Promises: never more queries than its width are under way, whoever asks them or follows them; what
each cost is in the report, also of one that was cancelled, if the realm has told it by then; a
realm that restarts is waited for, as long as its client does.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import (
    Denied,
    InsufficientFunds,
    RealmError,
    RealmStopping,
    Refused,
    Unavailable,
    UnknownModel,
    UnknownOption,
)
from mtor_kernel.protocol.query import Query

if TYPE_CHECKING:
    from mtor_kernel.client.aio import RealmClient
    from mtor_kernel.client.mapping.report import Report

#: The longest wait that a refusal may ask for before the run ends instead, in seconds.
PATIENCE_SECONDS = 120.0
#: Between two tries where nobody can say how long to wait, in seconds.
PAUSE_SECONDS = 1.0
#: What would meet every row alike, other than a lack of room: said by the realm.
LASTING = (Denied, Unavailable, UnknownModel, UnknownOption)
#: Rules that give room again as queries end.
_PASSING = ("waiting", "queries_per_socket")


class Ended(Exception):
    """A query that the realm had admitted ended without an answer."""

    def __init__(self, error: RealmError) -> None:
        super().__init__(error.message)
        self.error = error


class Door:
    """Has queries admitted, those of one run behind each other where they have to wait.

    Parameters
    ----------
    width
        Queries under way at most.
    """

    def __init__(self, client: RealmClient, report: Report, width: int) -> None:
        self._client = client
        self._report = report
        self._room = asyncio.Semaphore(width)
        #: Held by who waits until the realm takes more; the others stand behind.
        self._gate = asyncio.Lock()
        #: Queries that are admitted or may yet be: the realm answers several in one frame, and who
        #: was refused may look before those admitted beside it have woken.
        self._under_way = 0
        #: Queries that have ended: each gave room, and what it held.
        self._ends = 0
        #: Set when one has ended, or was refused.
        self._fewer = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be asked."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nobody wait any more: the run is over."""
        self._closed.set()
        self._fewer.set()

    async def follow(self, query: str) -> Running:
        """Go on with a query of an earlier run, by its id; :meth:`ended` comes after it."""
        await self._room.acquire()
        self._under_way += 1
        return self._client.follow(query)

    async def reply(self, query: Query, mark: str) -> Reply:
        """Return the reply to one query, an earlier run's if there is one.

        One that ended without an answer then is asked anew now.

        Raises
        ------
        Ended
            It ended without an answer.
        RealmError
            It was not admitted, or the realm was lost.
        """
        body = encode(query) + b"\0" + mark.encode()
        for number in itertools.count(1):
            key = f"map:{sha256(body).hexdigest()[:48]}:{number}"
            running = await self.admit(query, key)
            try:
                async with running:
                    reply = await running.answer()
            except RealmError as error:
                if running.lost:
                    raise
                if running.repeated:
                    continue
                raise Ended(error) from error
            finally:
                self.ended(running, charged=not running.repeated)
            self._report.earlier += running.repeated
            return reply
        raise AssertionError("unreachable")

    async def admit(self, query: Query, key: str) -> Running:
        """Submit, and wait where the realm takes no more for now; :meth:`ended` comes after it."""
        await self._room.acquire()
        try:
            return await self._admitted(query, key)
        except BaseException:
            self._room.release()
            raise

    def ended(self, running: Running, *, charged: bool = True) -> None:
        """One that was admitted has ended: what it held is free. `charged`: it was this run's."""
        if charged:
            self._report.charged_micro += running.charge.amount_micro
        self._ends += 1
        self._one_fewer()
        self._room.release()

    async def _admitted(self, query: Query, key: str) -> Running:
        refusal: Refused | RealmStopping | None = None
        ends = self._ends
        if not self._gate.locked():
            try:
                return await self._submitted(query, key)
            except (Refused, RealmStopping) as error:
                refusal = error
        async with self._gate:
            while True:
                if refusal is not None:
                    self._report.waits = refusal.message
                    await self._patience(refusal, ends)
                ends = self._ends
                try:
                    return await self._submitted(query, key)
                except (Refused, RealmStopping) as error:
                    refusal = error
                finally:
                    self._report.waits = ""

    async def _submitted(self, query: Query, key: str) -> Running:
        """Submit once: under way from now on, unless it is refused."""
        self._under_way += 1
        try:
            return await self._client.submit_checked(query, key)
        except BaseException:
            self._one_fewer()
            raise

    def _one_fewer(self) -> None:
        self._under_way -= 1
        self._fewer.set()

    async def _patience(self, refusal: Refused | RealmStopping, ends: int) -> None:
        """Wait until the realm may take more; raise the refusal where that is not to be seen.

        `ends`: how many had ended when what it refused was submitted.
        """
        if self.closed:
            raise refusal
        wait = refusal.retry_after_seconds
        if wait is not None and wait <= PATIENCE_SECONDS:
            await self._pause(max(wait, 0.05))
            return
        passes = isinstance(refusal, RealmStopping) or refusal.rule in _PASSING
        if wait is not None or not (passes or isinstance(refusal, InsufficientFunds)):
            raise refusal
        # What one of ours ends with gives room, and what it held; one refused gives nothing.
        while self._ends == ends and self._under_way and not self.closed:
            self._fewer.clear()
            await self._fewer.wait()
        if self.closed or (self._ends == ends and not passes):
            raise refusal
        if self._ends == ends:
            await self._pause(PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the run is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
