"""Small rows go together: one query asks about as many as one worker answers in a moment.

Promises: each row has one answer or one error of its own, whatever becomes of those beside it
(what the realm does not take together, or a worker dies of, is asked by halves; what there was no
time for is put back in line); a row that an earlier run had asked is not asked again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtor_kernel.client.mapping.door import LASTING, Door, Ended
from mtor_kernel.client.reply import Reply
from mtor_kernel.client.running import Running
from mtor_kernel.protocol.account import Charge
from mtor_kernel.protocol.errors import (
    BackendFailed,
    Expired,
    QueryCancelled,
    RealmError,
    RowsKnown,
    WorkerLost,
    from_info,
)
from mtor_kernel.protocol.query import MAX_TABLE_ROWS, RowAnswer, row_answers, text_of

if TYPE_CHECKING:
    from mtor_kernel.client.mapping.job import Job
    from mtor_kernel.client.mapping.report import Report

#: What a bundle shall take on its worker, in seconds: less than the realm gives it.
BUNDLE_SECONDS = 0.1
#: Less is not worth a query of its own, though another slot were free.
LEAST_SECONDS = 0.02
#: Rows of the first bundles, of which nobody knows how long they take.
FIRST_GUESS = 16
#: The least that a bundle's work is taken for, in seconds: it is told in whole milliseconds.
LEAST_WORK = 0.0005
#: How much of what is known of a row's work the newest bundle is.
LEARNING_RATE = 0.3


@dataclass(frozen=True, slots=True)
class Item:
    """A row that is asked about."""

    #: Its place in its partition.
    at: int
    prompt: str
    key: str


#: Takes the end of a row: its reply, or why it has none, not admitted or :class:`Ended`.
Told = Callable[[Item, Reply | RealmError | Ended], None]


class Line:
    """The rows that are not asked yet, in their order."""

    def __init__(self, items: Iterator[Item], count: int) -> None:
        self._rest = items
        self._back: deque[Item] = deque()
        #: How many there are, at most.
        self.left = count

    def take(self) -> Item | None:
        """Return the next one; ``None`` where there is none now."""
        item = self._back.popleft() if self._back else next(self._rest, None)
        self.left -= item is not None
        return item

    def put_back(self, items: Sequence[Item]) -> None:
        """Have these be the next."""
        self._back.extendleft(reversed(items))
        self.left += len(items)


class Pace:
    """How many rows make a bundle."""

    def __init__(self, slots: int, most: int) -> None:
        self._slots = max(1, slots)
        self._most = min(most, MAX_TABLE_ROWS)
        self._guess = FIRST_GUESS
        #: Seconds of work a row; ``None`` before the first is answered.
        self._seconds: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether any row was answered."""
        return self._seconds is not None

    def be_patient(self) -> None:
        """Take rows to be slow until the first is answered."""
        self._guess = 1

    def were_known(self, rows: int) -> None:
        """Take more after a bundle of which an earlier run had asked every row: so may be more."""
        self._guess = min(self._most, max(self._guess, 2 * rows))

    def learn(self, rows: int, milliseconds: int) -> None:
        """Take in how long a worker had for so many rows."""
        each = max(milliseconds / 1000, LEAST_WORK) / rows
        before = self._seconds
        self._seconds = each if before is None else before + LEARNING_RATE * (each - before)

    def rows(self, left: int) -> int:
        """Return how many the next bundle takes, of `left` that are not asked yet."""
        if self._seconds is None:
            fair, whole = left // self._slots, self._guess
        else:
            fair = max(left // self._slots, round(LEAST_SECONDS / self._seconds))
            whole = round(BUNDLE_SECONDS / self._seconds)
        return max(1, min(whole, fair, self._most))


class Bundles:
    """Asks about rows together."""

    def __init__(self, job: Job, door: Door, pace: Pace, report: Report) -> None:
        self._job = job
        self._door = door
        self.pace = pace
        self._report = report

    async def ask(self, items: Sequence[Item], told: Told, line: Line) -> None:
        """See each of `items` to its end, or back into `line` where there was no time for it.

        Raises
        ------
        RealmError
            The realm was lost.
        """
        while items and not self._door.closed:
            query = self._job.together([(item.prompt, item.key) for item in items])
            try:
                running = await self._door.admit(query, uuid.uuid4().hex)
            except RowsKnown as known:
                items = await self._known(items, known, told)
            except RealmError as error:
                if len(items) == 1 or isinstance(error, LASTING):
                    told(items[0], error)
                    return
                items = await self._halves(items, told, line)
            else:
                items = await self._through(running, items, told, line)

    async def _halves(self, items: Sequence[Item], told: Told, line: Line) -> Sequence[Item]:
        middle = len(items) // 2
        await self.ask(items[:middle], told, line)
        return items[middle:]

    async def _through(
        self, running: Running, items: Sequence[Item], told: Told, line: Line
    ) -> Sequence[Item]:
        """Wait for a bundle; return what of it is to be asked at once."""
        failure: RealmError | None = None
        try:
            async with running:
                await running.answer()
        except RealmError as error:
            if running.lost:
                raise
            failure = error
        finally:
            self._door.ended(running)
            # Also where nobody waits for it any more: what was answered is kept.
            left = _tell(running, items, told)
        if failure is None and len(left) < len(items):
            usage = running.charge.usage
            if usage.rows:  # else each was refused, which tells nothing of the others
                self.pace.learn(usage.rows, usage.compute_ms)
            line.put_back(left)
            return ()
        if isinstance(failure, WorkerLost) and len(left) > 1:
            return await self._halves(left, told, line)  # any of them may have killed it
        if failure is None:
            failure = BackendFailed(f"{running.model} answered none of the rows: ask again.")
        # A worker that goes on without an answer does so at the next of the rows.
        many = len(left) if isinstance(failure, QueryCancelled | Expired) else 1
        for item in left[:many]:
            told(item, Ended(failure))
        return left[many:]

    async def _known(self, items: Sequence[Item], known: RowsKnown, told: Told) -> Sequence[Item]:
        """Take over what an earlier run has asked; return what is still to be asked."""
        where: dict[str, dict[int, Item]] = {}
        for at, named in known.details.items():
            query, _, place = str(named).partition(":")
            where.setdefault(query, {})[int(place)] = items[int(at)]
        found: set[Item] = set()

        async def take_over(query: str, asked: dict[int, Item]) -> None:
            for row, reply in (await self._followed(query)).items():
                if row in asked:
                    found.add(asked[row])
                    self._report.earlier += 1
                    told(asked[row], reply)

        await side_by_side(take_over(query, asked) for query, asked in where.items())
        if len(found) == len(items):
            self.pace.were_known(len(items))
        return [item for item in items if item not in found]

    async def _followed(self, query: str) -> dict[int, Reply]:
        """Return what an earlier query has answered, as soon as it has ended."""
        running = await self._door.follow(query)
        try:
            async with running:
                await running.answer()
        except RealmError:  # with what it had till then
            if running.lost:
                raise
        finally:
            self._door.ended(running, charged=False)
        answers = _answers(running).items()
        return {row: _reply(running, one) for row, one in answers if one.error is None}


async def side_by_side(works: Iterable[Coroutine[object, object, None]]) -> None:
    """Await all of these; where one raises, end the others and raise that."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _tell(running: Running, items: Sequence[Item], told: Told) -> Sequence[Item]:
    """Tell what has been answered; return the other rows."""
    answers = _answers(running)
    for row, item in enumerate(items):
        answer = answers.get(row)
        if answer is not None and answer.error is not None:
            told(item, Ended(from_info(answer.error)))
        elif answer is not None:
            told(item, _reply(running, answer))
    return [item for row, item in enumerate(items) if row not in answers]


def _answers(running: Running) -> dict[int, RowAnswer]:
    return {one.row: one for one in row_answers(running.parts)}


def _reply(running: Running, answer: RowAnswer) -> Reply:
    """Return what a row alone would have brought; what it cost is known of all rows together."""
    return Reply(
        text=text_of(answer.parts),
        parts=answer.parts,
        model=running.model,
        charge=Charge(),
        finish_reason=answer.finish_reason,
        seconds=0.0,
        running_seconds=0.0,
        query=running.id,
        attempts=1,
    )
