"""How a query ends: answer or error, charge and stage in one transaction, and then it is told.

Nothing is told before it is written down; what cannot be written down for now (the disk is full)
is tried again until it can, or until the next start of the realm puts the attempt back on the
line.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from sqlalchemy import Connection

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    Expired,
    QueryFailed,
    RealmStopping,
    WorkerLost,
)
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.protocol.ngram import Cancelled, Failed, QueryEnd, Settled
from mtor_kernel.protocol.query import Answer, Modality, Part, Query, Text, text_of
from mtor_kernel.protocol.task import OUT_OF_TIME, Outcome
from mtor_kernel.protocol.units import after
from mtor_kernel.realm.attempts import Attempt, Lost, Stop, Unheeded, Verdict
from mtor_kernel.realm.failover import Failover
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.patient import Patient
from mtor_kernel.scheduling import health, pricing
from mtor_kernel.scheduling.published import published
from mtor_kernel.storage import endings, queries, records, together
from mtor_kernel.storage.store import Store
from mtor_kernel.storage.together import Ending

log = logging.getLogger(__name__)

_query = msgspec.json.Decoder(Query)


@dataclass(frozen=True, slots=True)
class _Bill:
    """What is written down of an attempt that has brought an answer."""

    ending: Ending
    #: For how many seconds it ran, and the time.
    ran: float
    now: float


class Settlement:
    """Ends queries, and puts those back on the line whose attempt was lost.

    Parameters
    ----------
    failover
        Finds another model for what one has failed.
    max_attempts
        How often a query is tried on one model before it fails.
    requeued
        Called when a query is back on the line.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        failover: Failover,
        max_attempts: int,
        requeued: Callable[[], None],
    ) -> None:
        self._store = Patient(store)
        self._lanes = lanes
        self._failover = failover
        self._max_attempts = max_attempts
        self._requeued = requeued

    async def conclude(self, attempts: Sequence[Attempt]) -> None:
        """See to what follows from the verdicts on attempts; they end, whatever goes wrong.

        Answers that came together are written down together.
        """
        if len(attempts) == 1:
            await self._see_to(attempts[0])
            return
        answered = [one for one in attempts if _has_answer(one.verdict)]
        rest = [one for one in attempts if not _has_answer(one.verdict)]
        works = [self._settle_all(answered), *map(self._see_to, rest)]
        for raised in await asyncio.gather(*works, return_exceptions=True):
            if raised is not None:
                raise raised

    async def _see_to(self, attempt: Attempt) -> None:
        assert attempt.verdict is not None
        try:
            await self._conclude(attempt, attempt.verdict)
        except RealmStopping:
            raise  # the next start of the realm puts it back on the line
        except Exception:
            log.exception("%s could not be concluded: it fails", attempt.ref)
            fault = QueryFailed("The realm has a fault of its own: tell its sysop.").info()
            await self._failed(attempt, fault, again=False)

    async def _conclude(self, attempt: Attempt, verdict: Verdict) -> None:
        match verdict:
            case Outcome(begun=False) if attempt.stopping is None:
                # Its slice was out of time: this attempt is no failure, and counts as none.
                attempt.lane.record(None)
                attempt.stream.unbegun += 1
                await self._requeue(attempt, "its turn did not come")
            case Outcome(error=None, cancelled=False):
                await self._settle(attempt, verdict)
            case Outcome(error=None) if attempt.stopping is None:
                # Nobody told it to stop: nobody is charged for that.
                lost = WorkerLost("Its worker gave it up: ask again.").info()
                await self._failed(attempt, lost, again=True)
            case Outcome(error=None) | Unheeded():
                await self._stopped(attempt, verdict)
            case Outcome(error=ErrorInfo() as error):
                # Of many rows one is at fault, and who asks goes on with the others: only a row
                # that fails alone tells something of the model.
                many = len(_query.decode(attempt.body).rows) > 1
                attempt.lane.record(None if many else health.outcome(error))
                if verdict.retryable and error.retry_after_seconds:
                    attempt.lane.rest(error.retry_after_seconds)
                await self._failed(attempt, error, again=verdict.retryable)
            case Lost():
                attempt.lane.record(None)
                error = WorkerLost(
                    f"No worker brought an answer: {verdict.reason}. Ask again; if it goes on, "
                    "tell the sysop."
                ).info()
                await self._failed(attempt, error, again=True, reason=verdict.reason)

    async def cancel_waiting(self, place: Place) -> bool:
        """End a query that waits. False: it does not wait any more."""
        query, now = place.ticket.query, time.time()
        nothing = Charge()
        ended = await self._store.write(
            lambda db: endings.cancel(db, query, now, answer=Answer(), charge=nothing)
        )
        if ended:
            # It may wait in another lane by now.
            self._lanes.places.get(query, place).lane.queue.remove(query)
            self._end(place, Stage.CANCELLED, Cancelled(query, nothing))
        return ended

    async def expire_waiting(self, place: Place) -> bool:
        """Fail a query whose time is over while it waits. False: it does not wait any more."""
        return await self.fail_waiting(place, _expired().info())

    async def fail_waiting(self, place: Place, error: ErrorInfo) -> bool:
        """Fail a query that waits. False: it has ended.

        The caller has seen that it has no attempt: the store would end a running one too.
        """
        query, now = place.ticket.query, time.time()
        ended = await self._store.write(lambda db: endings.fail(db, query, error, now))
        if ended:
            # It may wait in another lane by now.
            self._lanes.places.get(query, place).lane.queue.remove(query)
            self._end(place, Stage.FAILED, Failed(query, error))
        return ended

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        bill = self._bill(attempt, outcome)
        ref, one = attempt.ref, bill.ending
        if await self._store.write(
            lambda db: endings.settle(
                db, ref.query, ref.attempt, ref.epoch, one.answer, one.charge, bill.now
            )
        ):
            self._settled(attempt, outcome, bill)
        else:
            await self._fenced(attempt)

    async def _settle_all(self, attempts: Sequence[Attempt]) -> None:
        """Settle them in one work; where that cannot be for all of them, one by one."""
        if len(attempts) < 2:
            await asyncio.gather(*map(self._see_to, attempts))
            return
        outcomes = [cast(Outcome, attempt.verdict) for attempt in attempts]
        bills = [self._bill(*one) for one in zip(attempts, outcomes, strict=True)]
        ends, epoch = [bill.ending for bill in bills], self._store.epoch
        now = bills[-1].now
        try:
            done = await self._store.write(lambda db: together.settle_all(db, ends, epoch, now))
        except RealmStopping:
            raise
        except Exception:
            log.exception("%d answers could not be written down together", len(attempts))
            done = False
        if not done:
            await asyncio.gather(*map(self._see_to, attempts))
            return
        for attempt, outcome, bill in zip(attempts, outcomes, bills, strict=True):
            self._settled(attempt, outcome, bill)

    def _bill(self, attempt: Attempt, outcome: Outcome) -> _Bill:
        self._complete(attempt, outcome.parts)
        place = attempt.place
        answer = Answer(attempt.stream.parts, outcome.finish_reason, outcome.weights)
        charge = pricing.charge_for(outcome.usage, attempt.spec.rates, place.hold_micro)
        user, model = place.ticket.user, attempt.lane.model
        ending = Ending(attempt.query, user, model, attempt.ref.attempt, answer, charge)
        return _Bill(ending, time.monotonic() - attempt.started, time.time())

    def _settled(self, attempt: Attempt, outcome: Outcome, bill: _Bill) -> None:
        """Tell the end, and learn from it."""
        lane, ref, place = attempt.lane, attempt.ref, attempt.place
        lane.record(True)
        alone = len(attempt.slice.attempts) == 1
        worked, rows = outcome.usage.compute_ms / 1000, outcome.usage.rows
        if rows:  # else each was refused, of which nobody learns how long an answer takes
            tokens = outcome.usage.output_tokens // rows
            lane.estimator.learn(tokens, (bill.ran if alone else worked) / rows)
            if outcome.finish_reason != OUT_OF_TIME:
                lane.estimator.learn_work(place.ticket.cost, worked)
        lane.queue.ended(ref.query, pricing.service(outcome.usage))
        self._end(
            place,
            Stage.SETTLED,
            Settled(
                ref.query,
                ref.attempt,
                lane.model,
                bill.ending.charge,
                outcome.finish_reason,
                # A clock may have been set back meanwhile.
                round(max(0.0, bill.now - place.created_at), 3),
                round(bill.ran, 3),
                outcome.weights,
            ),
        )

    async def _stopped(self, attempt: Attempt, verdict: Outcome | Unheeded) -> None:
        """It was told to stop: cancelled, with what was published charged, or expired."""
        attempt.lane.record(None)
        if attempt.stopping is Stop.EXPIRED:
            await self._failed(attempt, _expired().info(), again=False)
            return
        if isinstance(verdict, Outcome):
            self._complete(attempt, verdict.parts)
            tokens, worked = verdict.usage.output_tokens, verdict.usage.compute_ms
        else:
            tokens, worked = _tokens_of(attempt.stream.parts), 0
        query = _query.decode(attempt.body)
        usage = published(query, attempt.spec, attempt.stream.parts, tokens)
        usage = msgspec.structs.replace(usage, compute_ms=worked)
        charge = Charge()
        if attempt.stream.length:
            charge = pricing.charge_for(
                usage,
                attempt.spec.rates,
                attempt.place.hold_micro,
                # What an API answers is all there as soon as anything of it is, and of rows only
                # those count that were answered.
                answered=attempt.spec.modality is Modality.API or bool(query.rows),
            )
        await self._cancelled(attempt, charge, usage)

    async def _cancelled(self, attempt: Attempt, charge: Charge, usage: Usage) -> None:
        ref, now = attempt.ref, time.time()
        answer = Answer(attempt.stream.parts, "cancelled")
        if not await self._store.write(
            lambda db: endings.cancel(
                db,
                ref.query,
                now,
                answer=answer,
                charge=charge,
                attempt=ref.attempt,
                epoch=ref.epoch,
            )
        ):
            await self._fenced(attempt)
            return
        attempt.lane.queue.ended(ref.query, pricing.service(usage))
        self._end(attempt.place, Stage.CANCELLED, Cancelled(ref.query, charge))

    async def _failed(
        self, attempt: Attempt, error: ErrorInfo, *, again: bool, reason: str = ""
    ) -> None:
        """End it as failed, or put it back on the line if another attempt may do better."""
        if attempt.stopping is Stop.CANCELLED:
            await self._cancelled(attempt, Charge(), Usage())
            return
        if attempt.stopping is Stop.EXPIRED:
            error = _expired().info()
        ref, now = attempt.ref, time.time()
        if again and attempt.stopping is None:
            found = self._failover.next(attempt.place, attempt.body)
            # A model that has failed is left at once, one that lost its worker only if it is ill.
            lost = bool(reason) and self._lanes.is_well(attempt.lane.model)
            tries = ref.attempt - attempt.stream.unbegun
            # Between gateways it is forgotten which models were tried: the number still ends it.
            ways = self._max_attempts + self._failover.length(attempt.place) - 1
            if found.lane is not None and not lost and tries < ways:
                await self._move(attempt, reason or error.message, found.lane, found.query)
                return
            if tries < self._max_attempts:
                await self._requeue(attempt, reason or error.message)
                return
            if found.short:
                told = f"{error.message} {found.short}"
                error = msgspec.structs.replace(error, message=told)
        if not await self._store.write(
            lambda db: endings.fail(db, ref.query, error, now, attempt=ref.attempt, epoch=ref.epoch)
        ):
            await self._fenced(attempt)
            return
        attempt.lane.queue.ended(ref.query)
        self._end(attempt.place, Stage.FAILED, Failed(ref.query, error))

    async def _requeue(self, attempt: Attempt, reason: str) -> None:
        ref, now = attempt.ref, time.time()
        if not await self._store.write(
            lambda db: queries.requeue(db, ref.query, ref.attempt, ref.epoch, now)
        ):
            await self._fenced(attempt)
            return
        log.info("attempt %d of %s is void: %s", ref.attempt, ref.query, reason)
        attempt.stream.requeue(reason)
        attempt.lane.queue.put_back(ref.query)
        self._requeued()

    async def _move(self, attempt: Attempt, reason: str, lane: Lane, query: Query) -> None:
        """Put it on the line of the next model of its chain."""
        ref, spec, now = attempt.ref, lane.spec, time.time()

        def move(db: Connection) -> bool:
            back = queries.requeue(db, ref.query, ref.attempt, ref.epoch, now)
            return back and queries.move(db, ref.query, spec.name, spec.modality)

        if not await self._store.write(move):
            await self._fenced(attempt)
            return
        failed = attempt.lane.model
        log.info("%s goes on with %s, since %s failed: %s", ref.query, lane.model, failed, reason)
        attempt.stream.note = f"{failed} failed, so {lane.model} answers"
        attempt.stream.requeue(f"{attempt.stream.note}. {reason}")
        attempt.lane.queue.ended(ref.query, 0.0)
        self._failover.enter(attempt.place, lane, query)

    def _end(self, place: Place, stage: Stage, end: QueryEnd) -> None:
        self._lanes.places.pop(place.ticket.query, None)
        place.stream.finish(stage, end)

    def _complete(self, attempt: Attempt, parts: tuple[Part, ...]) -> None:
        """Add to the stream what of the outcome has not come through the link yet."""
        for part in after(parts, attempt.stream.length):
            if isinstance(part, Text):
                attempt.stream.add(part.text, None)
            else:
                attempt.stream.add("", part)

    async def _fenced(self, attempt: Attempt) -> None:
        """The store refused what this attempt was to change: see what it knows, and go by that.

        It may have ended otherwise, or just so, by a commit of which nobody heard; or another
        process carries it now.
        """
        query = attempt.query
        attempt.lane.queue.ended(query, 0.0)
        info = await self._store.read(lambda db: records.info(db, query, None))
        log.warning("the end of %s came too late: it is %s already", attempt.ref, info.stage)
        self._lanes.places.pop(query, None)
        if info.stage in ENDS and attempt.stream.end is None:
            attempt.stream.adopt(info)


def _has_answer(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Outcome) and verdict.error is None and not verdict.cancelled


def _tokens_of(parts: tuple[Part, ...]) -> int:
    """Estimate the tokens of what was published, at four characters each."""
    return math.ceil(len(text_of(parts)) / 4)


def _expired() -> Expired:
    return Expired("It was not answered within its time: ask again, or with more ttl_seconds.")
