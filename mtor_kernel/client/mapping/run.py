"""A run: rows go to the realm, so many at a time, and answers come back.

Promises: each row is asked once, whatever becomes of this process (its key is made of what is
asked, so the same map run again finds what was answered and asks only the rest); never more than a
window of rows is under way; a failure of one row ends nothing but that row; a run that is stopped
cancels in the realm what it has under way, and keeps what it has.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mtor_kernel.client.mapping.bundles import Bundles, Item, Line, Pace, side_by_side
from mtor_kernel.client.mapping.door import LASTING, Door, Ended
from mtor_kernel.client.mapping.fitting import Fitting, Hopeless, Missed
from mtor_kernel.client.mapping.form import Misfit
from mtor_kernel.client.mapping.job import Job
from mtor_kernel.client.mapping.report import Found, Report
from mtor_kernel.client.mapping.rows import Rows
from mtor_kernel.client.mapping.survey import Estimate, Survey
from mtor_kernel.client.media import as_media
from mtor_kernel.client.reply import Reply
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import RealmError, Refused, UnknownModel, UnknownOption
from mtor_kernel.protocol.query import IN_ROWS, MAX_TABLE_ROWS, Query

if TYPE_CHECKING:
    from mtor_kernel.client.aio import RealmClient

#: Queries under way: at least, at most, and for each slot of the model.
WINDOW = (16, 256)
WINDOW_PER_SLOT = 4
#: Rows under way, where they go together.
MOST_ROWS = 8 * MAX_TABLE_ROWS
#: So many bundles go first, and the others wait a moment, in seconds, for what they tell of how
#: long a row takes.
FIRST_BUNDLES = 2
FIRST_SECONDS = 0.1
#: Between two looks at how far a run is, in seconds.
NEWS_SECONDS = 0.2

#: What would meet every row alike: said by the realm, and as the end of a query.
_FATAL = (*LASTING, Refused)
_FATAL_END = (UnknownModel, UnknownOption)

#: Makes a row's answer of a reply.
Shape = Callable[[Reply], Any]


class Run:
    """One map under way, in the event loop of its client."""

    def __init__(self, client: RealmClient, job: Job, seen: Survey, shape: Shape) -> None:
        self._client = client
        self._job = job
        self._seen = seen
        self._shape = shape
        self._window = job.window or WINDOW[0]
        self._most_rows = job.window or MOST_ROWS
        #: How rows go together; ``None``: each goes by itself.
        self._bundles: Bundles | None = None
        #: ``None``: answers have no form.
        self._fitting: Fitting | None = None
        self._door: Door
        #: How often each question that goes by itself has come so far.
        self._asked: Counter[bytes] = Counter()
        self._fatal: RealmError | None = None
        #: Ends with what ends the run at once.
        self._broken: asyncio.Future[None]
        self._work: asyncio.Task[None] | None = None
        self.report = Report(seen.counts, lambda found: job.source.give(found, job.into))

    async def begin(self, estimate: Estimate) -> None:
        """Start to ask."""
        slots, together = 0, False
        replay = self._client.replay
        if replay is None or not replay.only:
            slots, together = await asyncio.gather(
                self._slots(estimate.model), self._go_together(estimate.model)
            )
        if self._job.window is None:
            least, most = WINDOW
            self._window = min(most, max(least, WINDOW_PER_SLOT * slots))
        self._door = Door(self._client, self.report, self._window)
        if together and replay is None:  # else a record is kept of each answer by itself
            pace = Pace(slots, min(self._most_rows, MAX_TABLE_ROWS))
            self._bundles = Bundles(self._job, self._door, pace, self.report)
        if self._job.form is not None:
            self._fitting = Fitting(self._job.form, self._job, self._seen.total, self._door)
        self._broken = asyncio.get_running_loop().create_future()
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

    async def _slots(self, model: str) -> int:
        lanes = (await self._client.queue()).lanes
        return next((lane.slots for lane in lanes if lane.model == model), 0)

    async def _go_together(self, model: str) -> bool:
        if self._job.has_media:
            return False
        models = await self._client.models()
        return any(one.name == model and one.modality in IN_ROWS for one in models)

    async def _all(self) -> None:
        before = 0
        for number in range(self._job.source.parts):
            rows = await asyncio.to_thread(self._job.source.load, number)
            found = Found(len(rows))
            self.report.part(found)
            await self._side_by_side(_Part(number, rows, found, before))
            before += len(rows)
            if self._fatal is not None:
                raise self._fatal

    async def _side_by_side(self, part: _Part) -> None:
        """Ask all rows of one part, as many at the same time as may be."""
        line = Line(self._items(part), len(part.rows))
        asking: dict[asyncio.Future[None], int] = {}
        try:
            while self._fatal is None:
                items = self._next(line)
                if not items:
                    if not await self._some_end(asking):
                        break
                    continue  # some may have been put back
                while asking and not self._room(asking, len(items)):
                    await self._some_end(asking)
                if self._fitting is not None:
                    await self._fitting.probe()
                if self._fatal is None:
                    asking[asyncio.create_task(self._ask(part, items, line))] = len(items)
                if len(asking) == FIRST_BUNDLES and self._bundles is not None:
                    await _learn(self._bundles.pace, asking)
            while await self._some_end(asking):
                pass
        except BaseException:
            for task in asking:
                task.cancel()
            # Shielded: who is cancelled twice still takes all queries along.
            await asyncio.shield(asyncio.gather(*asking, return_exceptions=True))
            raise

    def _room(self, asking: dict[asyncio.Future[None], int], rows: int) -> bool:
        return len(asking) < self._window and sum(asking.values()) + rows <= self._most_rows

    async def _some_end(self, asking: dict[asyncio.Future[None], int]) -> bool:
        """Wait until some of these have ended; false where there are none. Raises what they do."""
        if not asking:
            return False
        done, _ = await asyncio.wait([self._broken, *asking], return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
            asking.pop(one, None)
        return True

    def _next(self, line: Line) -> list[Item]:
        """Return the rows that are asked next, together or alone; none where none waits."""
        items: list[Item] = []
        size, most = 0, 1
        while len(items) < most and (item := line.take()) is not None:
            alone = self._bundles is None or not self._job.goes_together(item.prompt)
            size += self._job.size(item.prompt)
            if items and (alone or size > self._job.most_together):
                line.put_back([item])
                break
            if not (items or alone):
                most = self._most_together(line.left + 1)
            items.append(item)
        return items

    def _most_together(self, left: int) -> int:
        probing = self._fitting is not None and not self._fitting.known
        return 1 if probing or self._bundles is None else self._bundles.pace.rows(left)

    def _items(self, part: _Part) -> Iterator[Item]:
        """Yield the rows that can be asked; the others fail."""
        base = sha256(encode((self._job.run, part.number, self._job.sample)))
        asked: Counter[bytes] = Counter()
        for at in range(len(part.rows)):
            try:
                failure = self._seen.failures.get((part.number, at))
                if failure is not None:
                    raise failure
                prompt = self._job.words(part.rows, at)
            except RealmError as error:
                self._failed(part, at, error)
                continue
            key = base.copy()
            key.update(prompt.encode())
            # Equal rows are asked one by one; so are those of another partition, which cannot be
            # known.
            digest = key.digest()[:16]
            asked[digest] += 1
            key.update(b"\0%d" % asked[digest])
            yield Item(at, prompt, key.hexdigest()[:40])

    async def _ask(self, part: _Part, items: Sequence[Item], line: Line) -> None:
        """See rows through to their ends, or back into line."""
        try:
            if self._bundles is None or not self._job.goes_together(items[0].prompt):
                (item,) = items
                await self._alone(part, item)
            else:
                await self._together(self._bundles, part, items, line)
        except RealmError as error:
            self._give_up(error)  # the realm was lost

    async def _together(
        self, bundles: Bundles, part: _Part, items: Sequence[Item], line: Line
    ) -> None:
        misfits: list[tuple[Item, Reply, Misfit]] = []

        def told(item: Item, said: Reply | RealmError | Ended) -> None:
            if not isinstance(said, Reply):
                self._unanswered(part, item.at, said)
            elif (misfit := self._answered(part, item.at, said)) is not None:
                misfits.append((item, said, misfit))

        await bundles.ask(items, told, line)
        await side_by_side(
            self._mend(part, item.at, self._job.query(item.prompt), item.key, reply, misfit)
            for item, reply, misfit in misfits
        )

    async def _alone(self, part: _Part, item: Item) -> None:
        try:
            query = self._job.query(item.prompt)
            if self._job.has_media:
                query = await self.query(part.rows, item.at, item.prompt)
            digest = sha256(encode(query)).digest()[:16]
            self._asked[digest] += 1
            mark = f"{self._job.run}\0{part.number}\0{self._asked[digest]}"
            reply = await self._door.reply(query, mark)
        except (RealmError, Ended) as reason:
            self._unanswered(part, item.at, reason)
            return
        misfit = self._answered(part, item.at, reply)
        if misfit is not None:
            await self._mend(part, item.at, query, mark, reply, misfit)

    async def _mend(
        self, part: _Part, at: int, query: Query, mark: str, reply: Reply, misfit: Misfit
    ) -> None:
        assert self._fitting is not None
        try:
            value = await self._fitting.mend(query, mark, reply, str(misfit))
        except (RealmError, Ended) as reason:
            self._unanswered(part, at, reason)
        else:
            part.found.answer(at, value)
            self.report.done += 1

    def _answered(self, part: _Part, at: int, reply: Reply) -> Misfit | None:
        """Take the answer of a row; return how it misses its form, if it does."""
        try:
            fitting = self._fitting
            value = self._shape(reply) if fitting is None else fitting.value(reply)
        except Misfit as misfit:
            return misfit
        except RealmError as error:
            self._failed(part, at, error)
        else:
            part.found.answer(at, value)
            self.report.done += 1
        return None

    def _unanswered(self, part: _Part, at: int, reason: RealmError | Ended) -> None:
        """Take why a row has no answer; what would meet all of them ends the run."""
        ended = isinstance(reason, Ended)
        error = reason.error if isinstance(reason, Ended) else reason
        if isinstance(error, _FATAL_END if ended else _FATAL):
            self._give_up(error)
            return
        if isinstance(reason, Hopeless):
            self._give_up(error)
        elif self._fitting is not None and not isinstance(reason, Missed):
            self._fitting.untold()
        self._failed(part, at, error)

    def _failed(self, part: _Part, at: int, error: RealmError) -> None:
        part.found.fail(at, error)
        self.report.failed += 1
        if self._job.on_error == "raise":
            self._give_up(_at_row(part.before + at, error))

    def _give_up(self, error: RealmError) -> None:
        """Ask nothing more; what is under way may end, unless the first failure is to be raised."""
        if self._fatal is not None:
            return
        self._fatal = error
        self._door.close()
        if self._fitting is not None:
            self._fitting.give_up()
        if self._job.on_error == "raise":
            self._broken.set_exception(error)
            self._broken.exception()  # seen, though nobody may wait for it any more


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the rows: all, or those of one partition."""

    number: int
    rows: Rows
    found: Found
    #: Rows of the parts before it.
    before: int


async def _learn(pace: Pace, asking: Iterable[asyncio.Future[None]]) -> None:
    """Wait a moment for the first of these, if nobody knows yet how long a row takes."""
    if pace.is_known:
        return
    done, _ = await asyncio.wait(asking, timeout=FIRST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        pace.be_patient()


def _at_row(position: int, error: RealmError) -> RealmError:
    """Return the error of one row, with the row named."""
    return type(error)(
        f"Row {position}: {error.message}",
        rule=error.rule,
        retry_after_seconds=error.retry_after_seconds,
        **error.details,
    )
