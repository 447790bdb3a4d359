"""How queries get on the line: just accepted, or left there by an earlier run of the realm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mtor_kernel.protocol.errors import NoModel
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.realm.dispatch import Dispatcher
from mtor_kernel.realm.lanes import Lanes, Place
from mtor_kernel.realm.people import People
from mtor_kernel.realm.streams import Stream
from mtor_kernel.scheduling.fairqueue import Ticket
from mtor_kernel.storage import endings, queries
from mtor_kernel.storage.rows import WaitingRow
from mtor_kernel.storage.store import Store


class Enlisting:
    """Puts queries on the line.

    Parameters
    ----------
    dispatcher
        Starts what is on the line.
    placed
        Told of every query that is put there.
    weight
        Returns the share of a role in the fair queue.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        people: People,
        dispatcher: Dispatcher,
        placed: Callable[[Place], None],
        weight: Callable[[Role], float],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._people = people
        self._dispatcher = dispatcher
        self._placed = placed
        self._weight = weight

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
                self.put(self._place(row, now, (streams or {}).get(row.id)))
            else:
                await self._give_up(row, now)

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

    def put(self, place: Place) -> None:
        """Put one on the line."""
        self._lanes.places[place.ticket.query] = place
        place.lane.queue.push(place.ticket)
        self._placed(place)
        self._dispatcher.capacity_changed()

    async def _give_up(self, row: WaitingRow, now: float) -> None:
        gone = NoModel(f"The model {row.model} is not in the catalogue any more.").info()
        await self._store.write(lambda db: endings.fail(db, row.id, gone, now))
