"""The realm, for asynchronous code."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from mtor_kernel.client.blobs import Blobs
from mtor_kernel.client.connection import Connection
from mtor_kernel.client.http import Http
from mtor_kernel.client.looking import Looking
from mtor_kernel.client.media import Media
from mtor_kernel.client.modalities import Modalities
from mtor_kernel.client.question import checked
from mtor_kernel.client.replay.here import current
from mtor_kernel.client.reply import Reply, answer_of
from mtor_kernel.client.running import Running
from mtor_kernel.client.sysop import SysopDesk
from mtor_kernel.client.whereabouts import Whereabouts
from mtor_kernel.locate import Address
from mtor_kernel.protocol.errors import BadInput, WorkerLost
from mtor_kernel.protocol.ngram import Chunk, Notice, RealmState, Requeued
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.views import (
    ModelInfo,
)

if TYPE_CHECKING:
    from mtor_kernel.client.mapping.report import Report
    from mtor_kernel.client.replay.replay import Replay

#: How long a client tries to reach a realm that is gone, in seconds.
GIVE_UP_SECONDS = 60.0


class Quote(msgspec.Struct, frozen=True):
    """What a query would cost at most, where it would run, and about when it would start."""

    model: str
    hold_micro: int
    eta_seconds: float | None = None


class RealmClient(Modalities, Looking):
    """A realm's asynchronous face, for one event loop.

    Promises: one WebSocket, opened on first need, that comes back by itself; a query that is
    submitted twice because of that runs once; streams go on where they were. A cancelled wait
    for an answer cancels the query on the realm.

    Parameters
    ----------
    url, token
        Where the realm is and the credential that opens it.
    ca
        PEM file with the authorities to trust for ``https``; by default the system's.
    find
        Looks for the realm where no `url` is given, and where it has gone. It may block.
    give_up_seconds
        How long to try to reach a realm that is gone before :class:`RealmUnreachable`.
    replay
        Plays recorded answers, and records others; by default that of this process, if it has one.

    Examples
    --------
    >>> async with RealmClient(url, token) as realm:  # doctest: +SKIP
    ...     print(await realm.ask("Why is the sky blue?"))
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        find: Callable[[], Address] | None = None,
        give_up_seconds: float = GIVE_UP_SECONDS,
        replay: Replay | None = None,
    ) -> None:
        self._own_replay = replay
        known = None if url is None else _address(url, token)
        self._whereabouts = Whereabouts(known, find, self._check_may_ask)
        self._http = Http(self._whereabouts, ca)
        self._connection = Connection(self._whereabouts, ca, give_up_seconds)
        #: What only the sysop may.
        self.sysop = SysopDesk(self._http)
        self._blobs = Blobs(self._whereabouts, self._http)
        #: How the latest map went, or goes.
        self.last_map: Report | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up. Admitted queries go on."""
        await self._connection.close()
        self._http.close()

    async def address(self) -> Address:
        """Return where the realm is, looking for it first if need be."""
        return await self._whereabouts.address()

    @property
    def replay(self) -> Replay | None:
        """What plays or records answers here; ``None`` where nothing does."""
        found = self._own_replay or current()
        return found if found is not None and found.on else None

    def _check_may_ask(self) -> None:
        if self.replay is not None:
            self.replay.check_may_ask()

    # Asking.

    async def submit(self, query: Query, key: str | None = None) -> Running:
        """Have the realm admit `query`; the same `key` never runs twice.

        Here a question becomes an answer: a recorded one is played in place of the realm's.

        Raises
        ------
        RealmError
            The realm refused it, or cannot be reached; or it is replayed and not recorded.
        """
        return await self.submit_checked(checked(query, key or "k"), key)

    async def submit_checked(self, query: Query, key: str | None = None) -> Running:
        """Do the same with a query that is known to be one that can be sent."""
        if self.replay is None:
            return await self._submit(query, key)
        turn = await asyncio.to_thread(self.replay.turn, query, key)
        if turn.found is not None:
            return turn.play()
        try:
            return turn.watch(await self._submit(query, key), self.download)
        except BaseException:
            turn.give_back()
            raise

    async def _submit(self, query: Query, key: str | None) -> Running:
        if blobs := query.blobs:
            await self._blobs.send(blobs)
        self._connection.wake()
        return await self._connection.conversation.submit(query, key or uuid.uuid4().hex)

    def follow(self, query: str) -> Running:
        """Go on with a query of one's own, by its id: from its beginning, also if it has ended."""
        self._connection.wake()
        return self._connection.conversation.follow(query)

    async def ask(
        self, prompt: str, model: str = "chat", *, key: str | None = None, **how: Any
    ) -> Reply:
        """Ask and wait for the answer; `how` goes to :meth:`prepare`. Raises as `answer` does."""
        async with await self.submit(await self.prepare(prompt, model, **how), key) as running:
            return await running.answer()

    async def stream(
        self, prompt: str, model: str = "chat", *, key: str | None = None, **how: Any
    ) -> AsyncGenerator[str, None]:
        """Ask and yield the words of the answer as they come; `how` goes to :meth:`prepare`.

        What was yielded can't be taken back: if an attempt is lost after it has said something,
        this raises :class:`WorkerLost`. Who can start afresh reads ``submit(…).events()``.
        """
        said = False
        async with (
            await self.submit(await self.prepare(prompt, model, **how), key) as running,
            aclosing(running.events()) as events,
        ):
            async for event in events:
                if isinstance(event, Chunk) and event.text:
                    said = True
                    yield event.text
                elif isinstance(event, Requeued) and said:
                    raise WorkerLost(
                        "The worker was lost in mid-answer. Ask again for a whole one.",
                        query=running.id,
                    )
            await running.answer()  # raises where there is none

    async def watch(self) -> AsyncGenerator[RealmState | Notice, None]:
        """Yield how the realm stands, and what the sysop says, as it changes."""
        self._check_may_ask()
        self._connection.wake()
        async with aclosing(self._connection.conversation.watch()) as news:
            async for one in news:
                yield one

    async def map(self, prompt: str, data: Any, model: str = "chat", **how: Any) -> Any:
        """Ask `prompt` of every row of `data`, and return the answers as what `data` is.

        `how` is that of :class:`~mtor_kernel.client.mapping.job.Job`: ``into``, ``schema``,
        ``ask_above``, ``on_error``… Pictures and sounds in answers are named by their blobs.
        A cancelled map cancels what it has under way; run again, it goes on.
        """
        from mtor_kernel.client.mapping import Job, carry_async

        async def call(function: Callable[..., Awaitable[Any]], *given: Any) -> Any:
            return await function(*given)

        job = await asyncio.to_thread(Job, prompt, data, model, **how)
        return await carry_async(call, self, job, answer_of, self._keep_map)

    # Looking.

    async def models(self) -> list[ModelInfo]:
        """Return the names that one may ask for."""
        replay = self.replay
        if replay is not None and replay.only:
            return await asyncio.to_thread(replay.models)
        found = await self._http.list("api/models", ModelInfo)
        if replay is not None:
            await asyncio.to_thread(replay.keep_models, found)
        return found

    async def quote(self, query: Query, count: int = 1) -> Quote:
        """Return what `query` would cost at most, and when the last of `count` would start."""
        if self.replay is not None and self.replay.only:
            return Quote(query.model, 0, 0.0)  # what is replayed costs nothing
        await self._blobs.send(query.blobs)
        path = "api/quote" if count == 1 else f"api/quote?count={count}"
        return await self._http.post(path, checked(query), Quote)

    # Blobs.

    async def upload(self, content: bytes | str | Path | Media, mime: str = "") -> str:
        """Keep bytes, or the file at a path, at the realm and return the blob's id.

        What this client has sent of late is not sent again.
        """
        return await self._blobs.upload(content, mime)

    async def bring(self, media: Media) -> str:
        """Return the blob of a picture or a sound that a query will name.

        It is sent to the realm now; where answers are replayed, with a query that is not.
        """
        if self.replay is None:
            return await self.upload(media)
        return await self._blobs.put_off(media, forget=self.replay.only)

    async def download(self, blob: str) -> bytes:
        """Return the bytes of a blob."""
        if self.replay is not None:
            kept = await asyncio.to_thread(self.replay.fetch, blob)
            if kept is not None:
                return kept
        return await self._blobs.download(blob)

    def _keep_map(self, report: Report) -> None:
        self.last_map = report


def _address(url: str, token: str | None) -> Address:
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{url!r} is no realm's URL: it begins with http:// or https://.")
    if not token:
        raise BadInput("A realm's URL needs its token too.")
    return Address(url.rstrip("/") + "/", token)
