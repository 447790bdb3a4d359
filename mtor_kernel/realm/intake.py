"""How a query comes in: examined, admitted, written down with its hold, and put on the line."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from traitlets import Dict, Float, Integer, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.check import check_key
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import InsufficientFunds, NoModel, QuotaExceeded, RealmError
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Audio, Query, text_of
from mtor_kernel.realm import recordings
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.people import People
from mtor_kernel.realm.streams import Stream
from mtor_kernel.scheduling import admission, fit, pricing
from mtor_kernel.scheduling.fairqueue import Ticket
from mtor_kernel.storage import queries
from mtor_kernel.storage.blobs import Blobs
from mtor_kernel.storage.queries import NewQuery, WaitingRow
from mtor_kernel.storage.store import Store

#: How much of a prompt is kept for lists, in characters.
PROMPT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Submitted:
    """A query that was admitted."""

    query: str
    model: str
    hold_micro: int
    #: Whether an earlier submission with the same key had admitted it already.
    repeated: bool


@dataclass(frozen=True, slots=True)
class Quote:
    """What a query would cost at most, and for about how long it would wait."""

    model: str
    hold_micro: int
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Bound:
    """The most that a query takes of funds and of a quota of tokens."""

    hold_micro: int
    tokens: int

    def or_more(self, other: _Bound) -> _Bound:
        """Return what covers both."""
        return _Bound(max(self.hold_micro, other.hold_micro), max(self.tokens, other.tokens))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a query goes, and what it may take there (`least`) or anywhere in its chain."""

    lane: Lane
    #: The most that it uses there.
    worst: Usage
    least: _Bound
    most: _Bound


class Intake(LoggingConfigurable):
    """The door of the realm.

    Parameters
    ----------
    dispatcher
        Starts what is on the line.
    placed
        Told of every query that is under way from now on.
    """

    max_waiting = Integer(
        100_000, config=True, help="How many queries may be under way in all. Default: 100000"
    )
    weights = Dict(
        key_trait=Unicode(),
        value_trait=Float(min=0.001),
        default_value={"guest": 0.5, "user": 1.0, "contributor": 2.0, "sysop": 1.0},
        config=True,
        help="Each role's share in the fair queue. Default: guest 0.5, contributor 2, others 1",
    )

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        people: People,
        blobs: Blobs,
        dispatcher: Dispatcher,
        placed: Callable[[Place], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._store = store
        self._lanes = lanes
        self._people = people
        self._blobs = blobs
        self._dispatcher = dispatcher
        self._placed = placed
        #: Whether queries are taken.
        self.open = True

    async def quote(self, user: User, query: Query, count: int = 1) -> Quote:
        """Return what `query` would cost at most and how long the last of `count` would wait."""
        plan = self._examine(user, query, await self._seconds(user, query))
        eta = self._lanes.eta(plan.lane, len(plan.lane.queue) + count - 1)
        return Quote(plan.lane.model, plan.most.hold_micro, eta)

    async def admit(self, user: User, query: Query, key: str) -> Submitted:
        """Write `query` down and put it on the line; see :meth:`Realm.submit`."""
        check_key(key)
        await self._people.still_welcome(user)
        try:
            plan = self._examine(user, query, await self._seconds(user, query))
        except RealmError:
            # What was admitted once is not refused when it is only said again.
            digest = _digest(encode(query))
            found = await self._store.read(lambda db: queries.known(db, user.name, key, digest))
            if found is None:
                raise
            return Submitted(found.query, found.model, found.hold_micro, True)
        try:
            return await self._accept(user, query, key, plan, plan.most)
        except (InsufficientFunds, QuotaExceeded):
            if plan.least == plan.most:
                raise
        # Not covered for the whole chain, and perhaps for the first model of it.
        return await self._accept(user, query, key, plan, plan.least)

    async def _accept(
        self, user: User, query: Query, key: str, plan: _Plan, bound: _Bound
    ) -> Submitted:
        lane = plan.lane
        new = _new_query(user, query, key, lane, bound)
        # What is ruled for the person alone is read in the transaction.
        quotas = self._people.rules.base(user)
        decide = functools.partial(admission.admit, paused=not self.open)
        # Whatever can go wrong goes wrong before it is written down.
        cost = pricing.cost_estimate(plan.worst, lane.estimator.output_tokens)
        ticket = Ticket(new.id, user.name, cost, query.priority, self._weight(user.role))
        stream = Stream(new.id, user.name)
        deadline = time.monotonic() + query.ttl_seconds
        place = Place(ticket, lane, stream, new.created_at, deadline, bound.hold_micro, query.model)
        claimed = self._dispatcher.claim(place)
        epoch = self._store.epoch if claimed else None
        lane.coming += 1
        lane.joining += not claimed
        try:
            accepted = await self._store.write(
                lambda db: queries.accept(db, new, quotas, decide, epoch)
            )
        except BaseException:
            if claimed:
                self._dispatcher.let_go(place)
            raise
        finally:
            lane.coming -= 1
            lane.joining -= not claimed
        if accepted.repeated:
            if claimed:
                self._dispatcher.let_go(place)
        elif claimed:
            self._lanes.places[new.id] = place
            self._placed(place)
            self._dispatcher.begin(place, 1, new.body)
        elif self._lanes.owns(lane.model) and new.id not in self._lanes.places:
            self._enlist(place)
        return Submitted(accepted.query, accepted.model, accepted.hold_micro, accepted.repeated)

    async def reclaim(self) -> None:
        """Put back on the line what an earlier run of the realm had under way."""
        rows = await self._store.write(queries.reclaim)
        await self.enlist([row for row in rows if self._lanes.owns(row.model)])

    async def enlist(
        self, rows: list[WaitingRow], streams: Mapping[str, Stream] | None = None
    ) -> None:
        """Put queries on the line that this process has not accepted, or not in this run.

        Those of `streams` are followed already.
        """
        now = time.time()
        self._lanes.learn({row.model for row in rows})
        for row in rows:
            if row.id in self._lanes.places:
                continue
            if row.model in self._lanes:
                self._enlist(self._place(row, now, (streams or {}).get(row.id)))
            else:
                await self._give_up(row, now)

    async def _seconds(self, user: User, query: Query) -> float | None:
        """Return how long the longest recording of a query is, as far as that can be seen."""
        found: list[float] = []
        for blob, kind in query.named.items():
            if kind is Audio:
                path, _ = await self._blobs.open(user.name, blob)
                seconds = await asyncio.to_thread(recordings.seconds_of, path)
                found += [] if seconds is None else [seconds]
        return max(found, default=None)

    def _examine(self, user: User, query: Query, seconds: float | None) -> _Plan:
        """Return the lane of a query and what it may take, or raise what is wrong with it."""
        catalogue = self._lanes.catalogue

        worst: dict[str, Usage] = {}

        def check(spec: ModelSpec) -> None:
            worst[spec.name] = fit.check(catalogue, user, query, spec)
            recordings.check_length(seconds, spec)

        lane, chain = self._lanes.routes(query.model, check)
        under_way = self._lanes.under_way
        if under_way >= self.max_waiting:
            raise QuotaExceeded(
                f"The realm has {under_way:,} queries under way and takes no more: try again in a "
                "while.",
                rule="realm_waiting",
                retry_after_seconds=30.0,
                limit=self.max_waiting,
                used=under_way,
            )
        least = most = _bound(worst[lane.model], lane.spec)
        for spec in chain:
            if spec is not lane.spec:
                most = most.or_more(_bound(worst[spec.name], spec))
        return _Plan(lane, worst[lane.model], least, most)

    def _place(self, row: WaitingRow, now: float, stream: Stream | None) -> Place:
        """Return the place of a query that an earlier run of the realm admitted."""
        weight = self._weight(self._people.role_of(row.user))
        ticket = Ticket(row.id, row.user, max(1.0, float(row.tokens)), row.priority, weight)
        if stream is None:
            stream = Stream(row.id, row.user, attempt=row.attempt)
            if row.attempt:
                stream.reason = "the realm was restarted"
        elif stream.stage is Stage.RUNNING:
            stream.requeue("another gateway takes it over")
        deadline = time.monotonic() + row.expires_at - now
        return Place(
            ticket,
            self._lanes[row.model],
            stream,
            row.created_at,
            deadline,
            row.hold_micro,
            row.asked,
        )

    def _enlist(self, place: Place) -> None:
        self._lanes.places[place.ticket.query] = place
        place.lane.queue.push(place.ticket)
        self._placed(place)
        self._dispatcher.capacity_changed()

    async def _give_up(self, row: WaitingRow, now: float) -> None:
        gone = NoModel(f"The model {row.model} is not in the catalogue any more.").info()
        await self._store.write(lambda db: queries.fail(db, row.id, gone, now))

    def _weight(self, role: Role) -> float:
        return self.weights.get(role, 1.0)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _bound(worst: Usage, spec: ModelSpec) -> _Bound:
    return _Bound(pricing.price(worst, spec.rates), pricing.tokens_of(worst))


def _new_query(user: User, query: Query, key: str, lane: Lane, bound: _Bound) -> NewQuery:
    body, now = encode(query), time.time()
    return NewQuery(
        id=secrets.token_hex(16),
        user=user.name,
        key=key,
        body_hash=_digest(body),
        asked=query.model,
        model=lane.model,
        modality=lane.spec.modality,
        priority=query.priority,
        body=body,
        prompt=text_of(query.messages[-1].parts)[:PROMPT_CHARACTERS],
        hold_micro=bound.hold_micro,
        tokens=bound.tokens,
        created_at=now,
        expires_at=now + query.ttl_seconds,
        blobs=query.named,
    )
