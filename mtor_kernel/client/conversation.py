"""What a client and its realm have said to each other, whatever sockets carried it.

This is the state that outlives a connection: commands not yet answered and queries not yet ended.
When a new socket opens, :meth:`Conversation.opened` tells what must be said on it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from mtor_kernel.client.running import CONFIRM_SECONDS, RESUME, Running
from mtor_kernel.protocol.errors import ErrorInfo, NotFound, RealmError, from_info
from mtor_kernel.protocol.ngram import (
    Admitted,
    Cancel,
    ClientNGram,
    Error,
    Notice,
    RealmNGram,
    RealmState,
    Refused,
    Several,
    Submit,
    Unwatch,
    Watch,
    Welcome,
)
from mtor_kernel.protocol.query import Query


class _Submission:
    """A ``Submit`` that the realm has not answered."""

    def __init__(self, ngram: Submit) -> None:
        self.ngram = ngram
        self.answer: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self.sent = False
        #: Nobody waits for it any more: what is admitted from now on is cancelled at once.
        self.abandoned = False

    def tell(self, answer: Running | RealmError) -> None:
        """Give the answer to whoever waits for it, also to one who was cancelled just now."""
        self.wait_again()
        if isinstance(answer, RealmError):
            self.answer.set_exception(answer)
            self.answer.exception()  # seen: an abandoned one has nobody to tell
        else:
            self.answer.set_result(answer)

    def wait_again(self) -> None:
        """Wait for the answer though who waited for it was cancelled."""
        if self.answer.cancelled():
            self.answer = asyncio.get_running_loop().create_future()


class Conversation:
    """The open submissions, queries and watchers of one client."""

    def __init__(self, say: Callable[[ClientNGram], bool]) -> None:
        #: Says an n-gram if a socket is open; tells whether it did.
        self._say = say
        self._numbers = itertools.count(1)
        self._submissions: dict[str, _Submission] = {}
        self._running: dict[str, Running] = {}
        self._watchers: set[asyncio.Queue[RealmState | Notice | RealmError]] = set()

    @property
    def needed(self) -> bool:
        """Whether anything waits for the realm to speak."""
        return bool(self._submissions or self._running or self._watchers)

    async def submit(self, query: Query, key: str) -> Running:
        """Ask, and wait for the admission. A cancelled wait takes the query back.

        Raises
        ------
        RealmError
            The realm refused it, or cannot be reached.
        """
        submission = _Submission(Submit(key, query, id=str(next(self._numbers))))
        self._submissions[submission.ngram.id] = submission
        submission.sent = self._say(submission.ngram)
        try:
            return await submission.answer
        except asyncio.CancelledError:
            await asyncio.shield(self._take_back(submission))
            raise

    def follow(self, query: str) -> Running:
        """Go on with a query of this person's that was admitted earlier, from its beginning."""
        running = self._running.get(query)
        if running is None:
            running = Running(Admitted(query, "", 0, repeated=True), self._say)
            self._running[query] = running
            self._say(running.resume())
        return running

    async def watch(self) -> AsyncGenerator[RealmState | Notice, None]:
        """Yield how the realm stands, and what the sysop says, as it changes."""
        heard: asyncio.Queue[RealmState | Notice | RealmError] = asyncio.Queue()
        self._watchers.add(heard)
        self._say(Watch())
        try:
            while True:
                news = await heard.get()
                if isinstance(news, RealmError):
                    raise news
                yield news
        finally:
            self._watchers.discard(heard)
            if not self._watchers:
                self._say(Unwatch())

    # What the connection calls.

    def opened(self) -> list[ClientNGram]:
        """Return what to say on a new socket: all that is unanswered, and each stream's cursor."""
        first: list[ClientNGram] = []
        for submission in self._submissions.values():
            submission.sent = True
            first.append(submission.ngram)
        for running in self._running.values():
            first.append(running.resume())
            if running.cancelling:
                first.append(Cancel(running.id))
        if self._watchers:
            first.append(Watch())
        return first

    def heard(self, ngram: RealmNGram) -> None:
        """Take in what the realm says."""
        match ngram:
            case Several():
                for one in ngram.told:
                    self.heard(one)
            case Admitted():
                self._admitted(ngram)
            case Refused():
                self._answered(ngram.id, ngram.error)
            case Error():
                self._answered(ngram.id, ngram.error)
                self._lost(ngram)
            case RealmState() | Notice():
                for watcher in self._watchers:
                    watcher.put_nowait(ngram)
            case Welcome():
                pass  # the connection has read it
            case _:
                running = self._running.get(ngram.query)
                if running is not None:
                    running.heard(ngram)
                    self._drop_ended(running)

    def give_up(self, error: RealmError) -> None:
        """Nothing more will be heard: let everybody who waits know."""
        for submission in self._submissions.values():
            submission.tell(error)
        for running in self._running.values():
            running.fail(error)
        for watcher in self._watchers:
            watcher.put_nowait(error)
        self._submissions.clear()
        self._running.clear()
        self._watchers.clear()

    def _admitted(self, ngram: Admitted) -> None:
        submission = self._submissions.pop(ngram.id, None)
        if submission is None:
            return
        # The same key again names the same query: both askers share it.
        running = self._running.setdefault(ngram.query, Running(ngram, self._say))
        submission.tell(running)
        if submission.abandoned:
            running.stop()

    def _answered(self, id: str, info: ErrorInfo) -> None:
        submission = self._submissions.pop(id, None)
        if submission is not None:
            submission.tell(from_info(info))

    def _lost(self, ngram: Error) -> None:
        """Give a query up that the realm does not know any longer, or does not go on with."""
        running = self._running.get(ngram.query)
        if running is not None and (ngram.id == RESUME or ngram.error.code == NotFound.code):
            running.fail(from_info(ngram.error))
            self._drop_ended(running)

    def _drop_ended(self, running: Running) -> None:
        if running.ended:
            self._running.pop(running.id, None)

    async def _take_back(self, submission: _Submission) -> None:
        """Undo a submission; whether it has arrived may not be known yet."""
        if not submission.sent:
            self._submissions.pop(submission.ngram.id, None)
            submission.answer.cancel()
            return
        submission.wait_again()
        submission.abandoned = True
        with suppress(RealmError, TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                running = await asyncio.shield(submission.answer)
                await running.cancel()
