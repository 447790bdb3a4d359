"""From a lane that fails to the next of the chain that was asked for.

Who names a model waits for it. Who names an alias is answered by the next model of its chain that
is well, takes the query, and costs no more at worst than what is held for it: the hold that was
placed when it was admitted stays the only one, and an attempt that failed costs nothing.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator

import msgspec

from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import RealmError, Unavailable
from mtor_kernel.protocol.query import Query
from mtor_kernel.realm.lanes import Lane, Lanes, Place
from mtor_kernel.realm.people import People
from mtor_kernel.scheduling import fit, pricing
from mtor_kernel.scheduling.routing import candidates, expand
from mtor_kernel.storage import queries
from mtor_kernel.storage.store import Store

log = logging.getLogger(__name__)

#: How long a lane may be without slots before who waits there is moved: workers come and go.
PATIENCE_SECONDS = 10.0
#: The most waiting queries that are moved in one look.
MOVED_AT_ONCE = 50

_query = msgspec.json.Decoder(Query)


@dataclasses.dataclass(frozen=True, slots=True)
class Next:
    """Where a query may go on."""

    #: ``None``: nowhere.
    lane: Lane | None
    query: Query
    #: Of a well model that could answer and is not covered by the hold: what to tell.
    short: str = ""


class Failover:
    """Finds the next lane, and moves queries there.

    Parameters
    ----------
    moved
        Called when a query waits in another lane.
    """

    def __init__(
        self, store: Store, lanes: Lanes, people: People, moved: Callable[[], None]
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._people = people
        self._moved = moved
        #: Waiting queries that had nowhere to go, and when to look again.
        self._later: dict[str, float] = {}

    def next(self, place: Place, body: bytes) -> Next:
        """Return the lane that a query goes on in when its own fails it."""
        query = _query.decode(body)
        short = ""
        for spec in self._chain(place, query):
            hold = pricing.hold_for(query, spec)
            if not self._lanes.is_well(spec.name):
                continue
            if hold <= place.hold_micro:
                return Next(self._lanes[spec.name], query)
            short = short or (
                f"{spec.name} could answer and may cost {show_credits(hold)} credits, of which "
                f"{show_credits(place.hold_micro)} are held: ask it by its name."
            )
        return Next(None, query, short)

    def length(self, place: Place) -> int:
        """Return how many models stand behind the name that was asked for; at least one."""
        return max(1, len(expand(self._lanes.catalogue, place.asked)))

    def enter(self, place: Place, lane: Lane, query: Query) -> None:
        """Put a query that waits nowhere at the end of its person's line in another lane."""
        cost = pricing.cost_estimate(
            pricing.worst_case(query, lane.spec), lane.estimator.output_tokens
        )
        ticket = msgspec.structs.replace(place.ticket, cost=cost)
        there = dataclasses.replace(
            place, ticket=ticket, lane=lane, tried=place.tried | {place.lane.model}
        )
        self._lanes.places[ticket.query] = there
        lane.queue.push(ticket)
        self._moved()

    async def look(self, now: float) -> None:
        """Move those on who wait in lanes that do not get on."""
        self._later = {query: then for query, then in self._later.items() if then > now}
        for lane in list(self._lanes):
            reason = self._trouble(lane, now) if len(lane.queue) else ""
            for place in self._waiting(lane)[:MOVED_AT_ONCE] if reason else ():
                if not await self.move(place, reason):
                    self._later[place.ticket.query] = now + PATIENCE_SECONDS

    async def move(self, place: Place, reason: str) -> bool:
        """Move a waiting query to the next lane; false where there is none, or it waits no more."""
        query, old = place.ticket.query, place.lane
        body = await self._store.read(lambda db: queries.question_of(db, query))
        found = self.next(place, body)
        lane = found.lane
        if lane is None or self._lanes.places.get(query) is not place or query not in old.queue:
            return False
        # Out of its line first: what is being moved must not start.
        old.queue.remove(query)
        spec = lane.spec
        try:
            moved = await self._store.write(
                lambda db: queries.move(db, query, spec.name, spec.modality)
            )
        except Unavailable:
            moved, lane = True, old  # not written down: it goes on waiting where it was
            log.warning("%s could not be moved to %s", query, spec.name)
        if not moved:  # a cancel that was written down in between has ended it, or another has it
            self._lanes.forget(place)
        elif self._lanes.places.get(query) is place:
            if lane is not old:
                place.stream.note = f"{old.model} {reason}, so {lane.model} answers"
            self.enter(place, lane, found.query)
        return moved and lane is not old

    def _trouble(self, lane: Lane, now: float) -> str:
        """Return why who waits in a lane had better go elsewhere; empty where all is well."""
        if self._lanes.unserved_seconds(lane, now) > PATIENCE_SECONDS:
            return "is served by nobody just now"
        return "" if lane.breaker.allows(now) else "fails just now"

    def _waiting(self, lane: Lane) -> list[Place]:
        """Return who waits in a lane and might go on elsewhere, at a glance."""
        others: dict[str, bool] = {}
        waiting = []
        for place in self._lanes.places.values():
            if place.lane is not lane or place.asked == lane.model:
                continue
            if place.asked not in others:
                chain = expand(self._lanes.catalogue, place.asked)
                others[place.asked] = any(self._lanes.is_well(spec.name) for spec in chain)
            query = place.ticket.query
            if others[place.asked] and query in lane.queue and query not in self._later:
                waiting.append(place)
        return waiting

    def _chain(self, place: Place, query: Query) -> Iterator[ModelSpec]:
        """Yield the models that a query was not tried on yet, best first."""
        if place.asked == place.lane.model:
            return
        catalogue, user = self._lanes.catalogue, self._people.last_seen(place.ticket.user)
        try:
            chain = candidates(
                catalogue, place.asked, lambda spec: fit.check(catalogue, user, query, spec)
            )
        except RealmError:
            return  # the catalogue has changed since it was asked
        tried = place.tried | {place.lane.model}
        yield from (spec for spec in chain if spec.name not in tried)
