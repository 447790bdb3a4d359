"""How a query comes in: examined, admitted, written down with its hold, and put on the line."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import Connection
from traitlets import Dict, Float, Integer, Unicode
from traitlets.config import LoggingConfigurable

from mtor_kernel.protocol.check import check_key
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import InsufficientFunds, QuotaExceeded, RealmError
from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Query, text_of
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.enlisting import Enlisting
from mtor_kernel.realm.examining import Bound, Likes, Plan, check_room, examine, seconds_of
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.people import People
from mtor_kernel.realm.streams import Stream
from mtor_kernel.scheduling import admission, pricing
from mtor_kernel.scheduling.fairqueue import Ticket
from mtor_kernel.storage import acceptance, caps, together
from mtor_kernel.storage.blobs import Blobs
from mtor_kernel.storage.rows import Accepted, NewQuery
from mtor_kernel.storage.store import Store

T = TypeVar("T")

#: How much of a prompt is kept for lists, in characters.
PROMPT_CHARACTERS = 200
#: How many fewer queries than may be under way have the store count them, in the transaction that
#: admits one, where gateways share it: more than all of them admit between two looks at it.
NEAR_FULL = 5_000


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
class _Coming:
    """A query that was examined and is being written down."""

    user: User
    new: NewQuery
    place: Place
    #: Whether it has its slot already.
    claimed: bool


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
        self.enlisting = Enlisting(store, lanes, people, dispatcher, placed, self._weight)
        #: Whether queries are taken.
        self.open = True

    async def quote(self, user: User, query: Query, count: int = 1) -> Quote:
        """Return what `query` would cost at most and how long the last of `count` would wait."""
        plan = await self._examined(user, query)
        eta = self._lanes.eta(plan.lane, plan.lane.waiting + count - 1)
        return Quote(plan.lane.model, plan.most.hold_micro, eta)

    async def admit(self, user: User, query: Query, key: str) -> Submitted:
        """Write `query` down and put it on the line; see :meth:`Realm.submit`."""
        check_key(key)
        await self._people.still_welcome(user)
        try:
            plan = await self._examined(user, query)
        except RealmError:
            # What was admitted once is not refused when it is only said again.
            digest = _digest(encode(query))
            found = await self._store.read(lambda db: acceptance.known(db, user.name, key, digest))
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

    async def admit_all(
        self, user: User, asked: Sequence[tuple[Query, str]]
    ) -> list[Submitted | RealmError]:
        """Admit several, each as :meth:`admit` does or not at all, in one write for most of them.

        What names blobs, has rows, is refused by its looks, or may be covered for the first model
        of its chain, goes the longer way by itself.
        """
        await self._people.still_welcome(user)
        likes = Likes(
            functools.partial(self._examine, user),
            lambda: check_room(self._lanes.under_way, self.max_waiting),
        )
        coming: dict[int, _Coming] = {}
        short: set[int] = set()
        for number, (query, key) in enumerate(asked):
            with contextlib.suppress(RealmError):
                check_key(key)
                if not query.named and not query.rows:
                    plan = likes.plan(query)
                    coming[number] = self._prepare(user, query, key, plan, plan.most)
                    if plan.least != plan.most:
                        short.add(number)
        written = await self._write_all(list(coming.values())) if coming else []
        told = {
            number: one
            for number, one in zip(coming, written, strict=True)
            if number not in short or isinstance(one, Submitted)
        }
        rest = [number for number in range(len(asked)) if number not in told]
        tried = await asyncio.gather(*(self._try(user, *asked[number]) for number in rest))
        told.update(zip(rest, tried, strict=True))
        return [told[number] for number in range(len(asked))]

    async def _try(self, user: User, query: Query, key: str) -> Submitted | RealmError:
        try:
            return await self.admit(user, query, key)
        except RealmError as error:
            return error

    async def _examined(self, user: User, query: Query) -> Plan:
        return self._examine(user, query, await seconds_of(self._blobs, user, query))

    def _examine(self, user: User, query: Query, seconds: float | None = None) -> Plan:
        return examine(self._lanes, user, query, seconds=seconds, max_waiting=self.max_waiting)

    async def _accept(
        self, user: User, query: Query, key: str, plan: Plan, bound: Bound
    ) -> Submitted:
        coming = self._prepare(user, query, key, plan, bound)
        asked, deciding = self._asked(coming), self._deciding()
        accepted = await self._written(
            [coming], lambda db: acceptance.accept(db, asked[0], asked[1], deciding(db), asked[2])
        )
        return self._take_in(coming, accepted)

    async def _write_all(self, coming: Sequence[_Coming]) -> list[Submitted | RealmError]:
        asked, deciding = [self._asked(one) for one in coming], self._deciding()
        accepted = await self._written(
            coming, lambda db: together.accept_all(db, asked, deciding(db))
        )
        told: list[Submitted | RealmError] = []
        for one, said in zip(coming, accepted, strict=True):
            if isinstance(said, RealmError):
                self._turn_away(one)
                told.append(said)
            else:
                told.append(self._take_in(one, said))
        return told

    def _deciding(self) -> Callable[[Connection], acceptance.Decide]:
        """Return what makes, in a transaction, that which admits its queries."""
        admit = functools.partial(admission.admit, paused=not self.open)
        limit = self.max_waiting
        if not self._store.database.shared or limit - self._lanes.under_way > NEAR_FULL:
            return lambda db: admit

        def deciding(db: Connection) -> acceptance.Decide:
            under_way = count(caps.under_way(db))

            def decide(*told: Any) -> None:
                admit(*told)
                check_room(next(under_way), limit)

            return decide

        return deciding

    def _asked(self, coming: _Coming) -> acceptance.Asked:
        # What is ruled for the person alone is read in the transaction.
        quotas = self._people.rules.base(coming.user)
        return coming.new, quotas, self._store.epoch if coming.claimed else None

    def _prepare(self, user: User, query: Query, key: str, plan: Plan, bound: Bound) -> _Coming:
        """Return all that is needed of a query; whatever can go wrong with it goes wrong here.

        It counts as coming, and may have a slot, until it is taken in or turned away.
        """
        lane = plan.lane
        new = _new_query(user, query, key, lane, bound)
        cost = pricing.cost_estimate(plan.worst, lane.estimator.output_tokens)
        ticket = Ticket(new.id, user.name, cost, query.priority, self._weight(user.role))
        stream = Stream(new.id, user.name)
        deadline = time.monotonic() + query.ttl_seconds
        place = Place(ticket, lane, stream, new.created_at, deadline, bound.hold_micro, query.model)
        claimed = self._dispatcher.claim(place)
        lane.coming += 1
        lane.joining += not claimed
        return _Coming(user, new, place, claimed)

    async def _written(self, coming: Sequence[_Coming], work: Callable[[Connection], T]) -> T:
        """Return what a write of these brought; they are not coming any more."""
        try:
            return await self._store.write(work)
        except BaseException:
            for one in coming:
                self._turn_away(one)
            raise
        finally:
            for one in coming:
                one.place.lane.coming -= 1
                one.place.lane.joining -= not one.claimed

    def _turn_away(self, coming: _Coming) -> None:
        if coming.claimed:
            self._dispatcher.let_go(coming.place)

    def _take_in(self, coming: _Coming, accepted: Accepted) -> Submitted:
        """Begin it, or put it on the line."""
        new, place = coming.new, coming.place
        if coming.claimed and not accepted.repeated and accepted.stage is Stage.RUNNING:
            self._lanes.places[new.id] = place
            self._placed(place)
            self._dispatcher.begin(place, 1, new.body)
        else:
            self._turn_away(coming)
            ours = self._lanes.owns(place.lane.model) and new.id not in self._lanes.places
            if ours and not accepted.repeated:
                self.enlisting.put(place)
        return Submitted(accepted.query, accepted.model, accepted.hold_micro, accepted.repeated)

    def _weight(self, role: Role) -> float:
        return self.weights.get(role, 1.0)


def _prompt_of(query: Query) -> str:
    words = text_of(query.messages[-1].parts)[:PROMPT_CHARACTERS]
    return f"{len(query.rows)} rows, the first: {words}" if len(query.rows) > 1 else words


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _new_query(user: User, query: Query, key: str, lane: Lane, bound: Bound) -> NewQuery:
    body, now = encode(query), time.time()
    return NewQuery(
        id=secrets.token_hex(16),  # of which people name the first letters
        user=user.name,
        key=key,
        body_hash=_digest(body),
        asked=query.model,
        model=lane.model,
        modality=lane.spec.modality,
        priority=query.priority,
        body=body,
        prompt=_prompt_of(query),
        hold_micro=bound.hold_micro,
        tokens=bound.tokens,
        created_at=now,
        expires_at=now + query.ttl_seconds,
        blobs=query.named,
        rows=tuple(row.key for row in query.rows),
    )
