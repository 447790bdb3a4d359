"""A run: rows go to the realm, so many at a time, and answers come back.

Promises: each row is asked once, whatever becomes of this process (a query's key is made of what
is asked, so the same map run again finds what was answered and asks only the rest); never more
than a window of rows is under way; a failure of one row ends nothing but that row; a run that is
stopped cancels in the realm what it has under way, and keeps what it has.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mtor_kernel.client.mapping.form import Misfit
from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.mapping.report import Found, Report
from mtor_kernel.client.mapping.rows import Rows
from mtor_kernel.client.mapping.survey import Estimate, Survey
from mtor_kernel.client.media import as_media
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import (
    BackendFailed,
    Denied,
    InsufficientFunds,
    RealmError,
    Refused,
    Unavailable,
    UnknownModel,
    UnknownOption,
)
from mtor_kernel.protocol.query import Query

if TYPE_CHECKING:
    from mtor_kernel.client.aio import RealmClient

#: Rows under way: at least, at most, and for each slot of the model.
WINDOW = (16, 256)
WINDOW_PER_SLOT = 4
#: The longest wait that a refusal may ask for before the run ends instead, in seconds.
PATIENCE_SECONDS = 120.0
#: Between two tries where nobody can say how long to wait, in seconds.
PAUSE_SECONDS = 1.0
#: Between two looks at how far a run is, in seconds.
NEWS_SECONDS = 0.2

#: What would meet every row alike: said by the realm, and as the end of a query.
_FATAL = (Denied, Refused, Unavailable, UnknownModel, UnknownOption)
_FATAL_END = (UnknownModel, UnknownOption)

#: Makes a row's answer of a reply.
Shape = Callable[[Reply], Any]


class _Ended(Exception):
    """A query that the realm had admitted ended without an answer."""

    def __init__(self, error: RealmError) -> None:
        super().__init__(error.message)
        self.error = error


class Run:
    """One map under way, in the event loop of its client."""

    def __init__(self, client: RealmClient, job: Job, seen: Survey, shape: Shape) -> None:
        self._client = client
        self._job = job
        self._seen = seen
        self._shape = shape
        self._window = job.window or WINDOW[0]
        #: How often each question has come so far.
        self._asked: Counter[bytes] = Counter()
        #: Held by who waits until the realm takes more; the others stand behind.
        self._gate = asyncio.Lock()
        self._under_way = 0
        self._one_ended = asyncio.Event()
        self._fatal: RealmError | None = None
        self._work: asyncio.Task[None] | None = None
        self.report = Report(seen.counts, lambda found: job.source.give(found, job.into))

    async def begin(self, estimate: Estimate) -> None:
        """Start to ask."""
        if self._job.window is None:
            self._window = await self._usual_window(estimate.model)
        self._work = asyncio.create_task(self._all(), name="mtor-map")

    async def news(self) -> bool:
        """Wait a moment; tell whether the run is over. Raises what ended it, if anything did."""
        assert self._work is not None
        await asyncio.wait([self._work], timeout=NEWS_SECONDS)
        if self._work.done():
            self._work.result()
            return True
        return False

    async def stop(self) -> None:
        """Cancel what is under way, here and in the realm."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def query(self, rows: Rows, at: int, prompt: str) -> Query:
        """Return the query of a row; its pictures and sounds are sent to the realm."""
        parts = []
        for value in self._job.media(rows, at):
            media = await asyncio.to_thread(as_media, value, self._job.kind)
            parts.append(media.part(await self._client.bring(media)))
        return self._job.query(prompt, parts)

    async def _usual_window(self, model: str) -> int:
        if self._client.replay is not None and self._client.replay.only:
            return WINDOW[0]
        lanes = (await self._client.queue()).lanes
        slots = next((lane.slots for lane in lanes if lane.model == model), 0)
        least, most = WINDOW
        return min(most, max(least, WINDOW_PER_SLOT * slots))

    async def _all(self) -> None:
        before = 0
        for part in range(self._job.source.parts):
            rows = await asyncio.to_thread(self._job.source.load, part)
            found = Found(len(rows))
            self.report.part(found)
            await self._some(part, rows, found, before)
            before += len(rows)
            if self._fatal is not None:
                raise self._fatal

    async def _some(self, part: int, rows: Rows, found: Found, before: int) -> None:
        """Ask all rows of one part, the window's width side by side."""
        places = iter(range(len(rows)))
        askers = [
            asyncio.create_task(self._in_turn(part, rows, found, before, places))
            for _ in range(min(self._window, len(rows)))
        ]
        try:
            await asyncio.gather(*askers)
        except BaseException:
            for asker in askers:
                asker.cancel()
            # Shielded: who is cancelled twice still takes all queries along.
            await asyncio.shield(asyncio.gather(*askers, return_exceptions=True))
            raise

    async def _in_turn(
        self, part: int, rows: Rows, found: Found, before: int, places: Iterator[int]
    ) -> None:
        for at in places:
            if self._fatal is not None:
                return
            try:
                failure = self._seen.failures.get((part, at))
                if failure is not None:
                    raise failure
                value = await self._row(part, rows, at)
            except (RealmError, _Ended) as reason:
                error = reason.error if isinstance(reason, _Ended) else reason
                fatal = _FATAL_END if isinstance(reason, _Ended) else _FATAL
                if failure is None and isinstance(error, fatal):
                    self._give_up(error)
                    return
                found.fail(at, error)
                self.report.failed += 1
                if self._job.on_error == "raise":
                    raise _at_row(before + at, error) from error
            else:
                found.answer(at, value)
                self.report.done += 1

    def _give_up(self, error: RealmError) -> None:
        """Ask nothing more; what is under way may end."""
        if self._fatal is None:
            self._fatal = error
            self._one_ended.set()

    async def _row(self, part: int, rows: Rows, at: int) -> Any:
        """Return the answer of one row."""
        query = await self.query(rows, at, self._job.words(rows, at))
        digest = sha256(encode(query)).digest()[:16]
        self._asked[digest] += 1
        # Equal rows are asked one by one; so are those of another partition, which cannot be known.
        mark = f"{self._job.run}\0{part}\0{self._asked[digest]}"
        reply = await self._reply(query, mark)
        form = self._job.form
        if form is None:
            return self._shape(reply)
        for mending in range(self._job.retries + 1):
            try:
                return form.value(reply.text)
            except Misfit as misfit:
                if mending == self._job.retries:
                    raise BackendFailed(
                        f"{reply.model} gave no answer that fits the schema, asked "
                        f"{mending + 1} times. The last: {misfit}."
                    ) from None
                query = self._job.mended(query, reply.text, str(misfit))
                reply = await self._reply(query, mark)
        raise AssertionError("unreachable")

    async def _reply(self, query: Query, mark: str) -> Reply:
        """Return the reply to one query, an earlier run's if there is one.

        One that ended without an answer then is asked anew now.
        """
        body = encode(query) + b"\0" + mark.encode()
        for number in itertools.count(1):
            key = f"map:{sha256(body).hexdigest()[:48]}:{number}"
            running = await self._admitted(query, key)
            self._under_way += 1
            try:
                async with running:
                    reply = await running.answer()
            except RealmError as error:
                if running.lost:
                    raise
                if running.repeated:
                    continue
                self.report.charged_micro += int(error.details.get("charge_micro", 0))
                raise _Ended(error) from error
            finally:
                self._under_way -= 1
                self._one_ended.set()
            if running.repeated:
                self.report.earlier += 1
            else:
                self.report.charged_micro += reply.charge.amount_micro
            return reply
        raise AssertionError("unreachable")

    async def _admitted(self, query: Query, key: str) -> Running:
        """Submit, and wait where the realm takes no more for now."""
        if not self._gate.locked():
            try:
                return await self._client.submit(query, key)
            except Refused as error:
                refusal = error
        else:
            refusal = None
        async with self._gate:
            while True:
                if refusal is not None:
                    self.report.waits = refusal.message
                    await self._patience(refusal)
                try:
                    return await self._client.submit(query, key)
                except Refused as error:
                    refusal = error
                finally:
                    self.report.waits = ""

    async def _patience(self, refusal: Refused) -> None:
        """Wait until the realm may take more; raise the refusal where that is not to be seen."""
        if self._fatal is not None:
            raise refusal
        wait = refusal.retry_after_seconds
        if wait is not None and wait <= PATIENCE_SECONDS:
            await asyncio.sleep(max(wait, 0.05))
            return
        mends = isinstance(refusal, InsufficientFunds) or refusal.rule == "waiting"
        if wait is not None or not mends:
            raise refusal
        # What one of ours ends with gives room, and what it held.
        if self._under_way:
            self._one_ended.clear()
            await self._one_ended.wait()
        elif refusal.rule == "waiting":
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise refusal


def _at_row(position: int, error: RealmError) -> RealmError:
    """Return the error of one row, with the row named."""
    return type(error)(
        f"Row {position}: {error.message}",
        rule=error.rule,
        retry_after_seconds=error.retry_after_seconds,
        **error.details,
    )
