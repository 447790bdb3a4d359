"""A query under way, as who asked it sees it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Protocol, Self

from msgspec import structs

from mtor_kernel.client.reply import Reply
from mtor_kernel.client.transcript import Transcript
from mtor_kernel.protocol.account import Charge, show_credits
from mtor_kernel.protocol.errors import QueryCancelled, RealmError, from_info
from mtor_kernel.protocol.ngram import (
    Admitted,
    Cancel,
    Cancelled,
    ClientNGram,
    Failed,
    Progress,
    QueryEnd,
    QueryEvent,
    Queued,
    Resume,
    Settled,
    Started,
)
from mtor_kernel.protocol.query import Part, text_of

#: How long a cancel waits for the query's end, in seconds.
CONFIRM_SECONDS = 1.0
#: The id of every ``Resume``: where it comes back on an error, a stream cannot go on.
RESUME = "resume"


class Witness(Protocol):
    """Is told how a query ends, before anybody else."""

    def give_back(self) -> None:
        """It ended without an answer."""

    async def wrote(self, end: QueryEnd, parts: tuple[Part, ...], repeated: bool) -> None:
        """Write down how it ended."""


class Running:
    """A query that the realm has admitted.

    Promises: the words of :meth:`events` between two ``Requeued`` are one attempt's, without gap or
    repeat, through any number of reconnects; there is exactly one end. As a context manager it
    cancels the query when left before its end.
    """

    def __init__(self, admitted: Admitted, say: Callable[[ClientNGram], object]) -> None:
        self.id = admitted.query
        #: The model whose lane it waits in, after aliases and fallbacks; of a chain it may change.
        self.model = admitted.model
        self.hold_micro = admitted.hold_micro
        #: Whether an earlier submission with the same key had asked it already.
        self.repeated = admitted.repeated
        #: Whether its cancel is wanted; said again after a reconnect.
        self.cancelling = False
        #: Whether it is played from a record.
        self.replayed = False
        #: Who writes down how it ends, if anybody does.
        self.witness: Witness | None = None
        self._writing: asyncio.Future[None] | None = None
        self._say = say
        self._transcript = Transcript(admitted.query)
        self._unread: deque[QueryEvent] = deque()
        self._lost: RealmError | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        state = "ended" if self.ended else f"attempt {self._transcript.attempt}"
        return f"<Running {self.id} on {self.model}: {state}>"

    @property
    def ended(self) -> bool:
        """Whether its end is known, or the realm was lost for good."""
        return self._over.is_set()

    @property
    def lost(self) -> bool:
        """Whether the realm was lost before its end was known."""
        return self._lost is not None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer so far, or the whole of it."""
        return self._transcript.parts

    @property
    def charge(self) -> Charge:
        """What it cost; nothing before its end is known."""
        end = self._transcript.end
        return end.charge if isinstance(end, Settled | Cancelled) else Charge()

    async def events(self) -> AsyncGenerator[QueryEvent, None]:
        """Yield what happens to it, up to and with its end. Each event is given out once.

        Of unread ``Queued`` and ``Progress`` only the latest is kept: later ones replace them.
        """
        while True:
            while not self._unread:
                if self._lost is not None:
                    raise self._lost
                if self.ended:
                    return
                self._news.clear()
                await self._news.wait()
            event = self._unread.popleft()
            if isinstance(event, QueryEnd):
                await self._written()
            yield event
            if isinstance(event, QueryEnd):
                return

    async def answer(self) -> Reply:
        """Wait for its end and return the answer.

        Raises
        ------
        QueryFailed
            It ended without one.
        RealmUnreachable
            The realm was gone for too long; the query may go on there.
        """
        await self._over.wait()
        await self._written()
        end = self._transcript.end
        if isinstance(end, Settled):
            return self._reply(end)
        if isinstance(end, Failed):
            raise from_info(end.error)
        if isinstance(end, Cancelled):
            cost = show_credits(end.charge.amount_micro)
            raise QueryCancelled(
                f"The query was cancelled; it cost {cost} credits. Ask again for an answer.",
                query=self.id,
                charge_micro=end.charge.amount_micro,
            )
        assert self._lost is not None
        raise self._lost

    async def cancel(self, *, confirm_seconds: float = CONFIRM_SECONDS) -> bool:
        """Have it stopped, and wait a moment for its end; tell whether that has come.

        Safe to repeat. Where the connection is down the cancel is said once it is up again.
        """
        if not self.ended:
            self.stop()
            try:
                async with asyncio.timeout(confirm_seconds):
                    await self._over.wait()
            except TimeoutError:
                pass
        return self.ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.ended:
            # Shielded: who leaves because they were cancelled still takes their query along.
            await asyncio.shield(self.cancel())

    # What the conversation with the realm calls.

    def stop(self) -> None:
        """Say that it shall end."""
        self.cancelling = True
        self._say(Cancel(self.id))

    def resume(self) -> Resume:
        """Return the command that has the realm go on from where this stands."""
        return structs.replace(self._transcript.cursor, id=RESUME)

    def heard(self, event: QueryEvent) -> None:
        """Take in what the realm says of it."""
        told, missing = self._transcript.take(event)
        if missing:
            self._say(self.resume())
        for one in told:
            if isinstance(one, Queued | Started | Settled) and one.model:
                self.model = one.model
            self._keep(one)
        if self._transcript.end is not None:
            self._unanswered()
            self._over.set()

    def fail(self, error: RealmError) -> None:
        """No more will be heard of it."""
        if not self.ended:
            self._lost = error
            self._unanswered()
            self._over.set()
            self._news.set()

    def _unanswered(self) -> None:
        if self.witness is not None and not isinstance(self._transcript.end, Settled):
            self.witness.give_back()

    async def _written(self) -> None:
        """Have its end written down, once however many wait for it."""
        end = self._transcript.end
        if self.witness is None or end is None:
            return
        if self._writing is None:
            work = self.witness.wrote(end, self._transcript.parts, self.repeated)
            self._writing = asyncio.ensure_future(work)
        await asyncio.shield(self._writing)

    def _keep(self, event: QueryEvent) -> None:
        replaced = self._unread and isinstance(event, Queued | Progress)
        if replaced and type(self._unread[-1]) is type(event):
            self._unread.pop()
        self._unread.append(event)
        self._news.set()

    def _reply(self, end: Settled) -> Reply:
        parts = self._transcript.parts
        return Reply(
            text=text_of(parts),
            parts=parts,
            model=end.model,
            charge=end.charge,
            finish_reason=end.finish_reason,
            seconds=end.seconds,
            running_seconds=end.running_seconds,
            query=end.query,
            attempts=end.attempt,
            weights=end.weights,
            replayed=self.replayed,
        )
