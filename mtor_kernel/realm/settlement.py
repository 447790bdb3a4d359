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
from collections.abc import Callable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    Expired,
    QueryFailed,
    RealmStopping,
    Unavailable,
    WorkerLost,
)
from mtor_kernel.protocol.lifecycle import ENDS, Stage
from mtor_kernel.protocol.ngram import Cancelled, Failed, QueryEnd, Settled, after
from mtor_kernel.protocol.query import Answer, Modality, Part, Query, Text, text_of
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.realm.attempts import Attempt, Lost, Stop, Unheeded, Verdict
from mtor_kernel.realm.failover import Failover
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.scheduling import health, pricing
from mtor_kernel.scheduling.published import published
from mtor_kernel.storage import queries
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

_query = msgspec.json.Decoder(Query)


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
        self._store = store
        self._lanes = lanes
        self._failover = failover
        self._max_attempts = max_attempts
        self._requeued = requeued

    async def conclude(self, attempt: Attempt, verdict: Verdict) -> None:
        """See to what follows from the verdict on an attempt; it ends, whatever goes wrong."""
        try:
            await self._conclude(attempt, verdict)
        except RealmStopping:
            raise  # the next start of the realm puts it back on the line
        except Exception:
            log.exception("%s could not be concluded: it fails", attempt.ref)
            fault = QueryFailed("The realm has a fault of its own: tell its sysop.").info()
            await self._failed(attempt, fault, again=False)

    async def _conclude(self, attempt: Attempt, verdict: Verdict) -> None:
        match verdict:
            case Outcome(error=None, cancelled=False):
                await self._settle(attempt, verdict)
            case Outcome(error=None) if attempt.stopping is None:
                # Nobody told it to stop: nobody is charged for that.
                lost = WorkerLost("Its worker gave it up: ask again.").info()
                await self._failed(attempt, lost, again=True)
            case Outcome(error=None) | Unheeded():
                await self._stopped(attempt, verdict)
            case Outcome(error=ErrorInfo() as error):
                attempt.lane.record(health.outcome(error))
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
        ended = await self._write(
            lambda db: queries.cancel(db, query, now, answer=Answer(), charge=nothing)
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
        ended = await self._write(lambda db: queries.fail(db, query, error, now))
        if ended:
            # It may wait in another lane by now.
            self._lanes.places.get(query, place).lane.queue.remove(query)
            self._end(place, Stage.FAILED, Failed(query, error))
        return ended

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        self._complete(attempt, outcome.parts)
        ran, now = time.monotonic() - attempt.started, time.time()
        charge = pricing.charge_for(outcome.usage, attempt.spec.rates, attempt.place.hold_micro)
        answer = Answer(attempt.stream.parts, outcome.finish_reason)
        ref = attempt.ref
        if not await self._write(
            lambda db: queries.settle(db, ref.query, ref.attempt, ref.epoch, answer, charge, now)
        ):
            await self._fenced(attempt)
            return
        lane = attempt.lane
        lane.record(True)
        lane.estimator.learn(outcome.usage.output_tokens, ran)
        lane.queue.ended(ref.query, pricing.service(outcome.usage))
        self._end(
            attempt.place,
            Stage.SETTLED,
            Settled(
                ref.query,
                ref.attempt,
                lane.model,
                charge,
                outcome.finish_reason,
                round(now - attempt.place.created_at, 3),
                round(ran, 3),
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
                # What an API answers is all there as soon as anything of it is.
                answered=attempt.spec.modality is Modality.API,
            )
        await self._cancelled(attempt, charge, usage)

    async def _cancelled(self, attempt: Attempt, charge: Charge, usage: Usage) -> None:
        ref, now = attempt.ref, time.time()
        answer = Answer(attempt.stream.parts, "cancelled")
        if not await self._write(
            lambda db: queries.cancel(
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
            if found.lane is not None and not lost:
                await self._move(attempt, reason or error.message, found.lane, found.query)
                return
            if ref.attempt < self._max_attempts:
                await self._requeue(attempt, reason or error.message)
                return
            if found.short:
                told = f"{error.message} {found.short}"
                error = msgspec.structs.replace(error, message=told)
        if not await self._write(
            lambda db: queries.fail(db, ref.query, error, now, attempt=ref.attempt, epoch=ref.epoch)
        ):
            await self._fenced(attempt)
            return
        attempt.lane.queue.ended(ref.query)
        self._end(attempt.place, Stage.FAILED, Failed(ref.query, error))

    async def _requeue(self, attempt: Attempt, reason: str) -> None:
        ref, now = attempt.ref, time.time()
        if not await self._write(
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

        if not await self._write(move):
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
        info = await self._read(lambda db: queries.info(db, query, None))
        log.warning("the end of %s came too late: it is %s already", attempt.ref, info.stage)
        self._lanes.places.pop(query, None)
        if info.stage in ENDS and attempt.stream.end is None:
            attempt.stream.adopt(info)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        while True:
            try:
                return await self._store.read(work)
            except RealmStopping:
                raise
            except Unavailable:
                log.exception("it cannot be looked up yet")
                await asyncio.sleep(1.0)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        while True:
            try:
                return await self._store.write(work)
            except RealmStopping:
                raise
            except Unavailable:
                log.exception("an end cannot be written down yet")
                await asyncio.sleep(1.0)


def _tokens_of(parts: tuple[Part, ...]) -> int:
    """Estimate the tokens of what was published, at four characters each."""
    return math.ceil(len(text_of(parts)) / 4)


def _expired() -> Expired:
    return Expired("It was not answered within its time: ask again, or with more ttl_seconds.")
