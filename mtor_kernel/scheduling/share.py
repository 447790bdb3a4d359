"""What one user has in one priority class of a lane: a counter, and tickets in their own order."""

from __future__ import annotations

from typing import Any

import msgspec
from sortedcontainers import SortedList

from mtor_kernel.protocol.query import Priority


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """One query's place in a lane."""

    query: str
    user: str
    #: The service it will probably take, in the unit of :func:`~.pricing.service`; above zero.
    cost: float
    priority: Priority = Priority.INTERACTIVE
    #: A user of weight 2 gets twice the service of one of weight 1; above zero.
    weight: float = 1.0

    @property
    def stride(self) -> float:
        """What its turn adds to its user's counter."""
        return self.cost / self.weight


class Share:
    """One user: the service they had, and the tickets that wait.

    Tickets stand at consecutive places; one that is taken out from between leaves a hole. So a
    ticket is put at either end, taken out and counted from the front without looking at the others.
    """

    __slots__ = (
        "_first",
        "_holes",
        "_next",
        "_tickets",
        "counter",
        "key",
        "load",
        "name",
        "running",
        "seen",
        "shelf",
        "turn",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        #: Service so far, divided by weight.
        self.counter = 0.0
        #: Who of equals is next: the least, whose arrival or last turn is longest ago.
        self.turn = 0
        #: How many tickets were popped and have not ended.
        self.running = 0
        #: The strides of the waiting tickets, summed.
        self.load = 0.0
        #: How many turns had been taken when this user was last known to be passed over.
        self.seen = 0
        #: The shelf it stands on, and under which key (see :class:`~.turns.Turns`).
        self.shelf: Any = None
        self.key: tuple[float, int, Share] | None = None
        self._tickets: dict[int, Ticket] = {}
        #: No ticket is before the first place, nor at or after the next; and the holes between,
        #: sorted, once there was one.
        self._first = self._next = 0
        self._holes: Any = None

    @property
    def waiting(self) -> int:
        """How many tickets wait."""
        return len(self._tickets)

    @property
    def mean(self) -> float:
        """The stride of a waiting ticket, on average."""
        return self.load / len(self._tickets)

    def add(self, ticket: Ticket, *, first: bool = False) -> int:
        """Put `ticket` last, or first, and return its place."""
        if first:
            self._first -= 1
            place = self._first
        else:
            place = self._next
            self._next += 1
        self._tickets[place] = ticket
        self.load += ticket.stride
        return place

    def first(self) -> Ticket:
        """Return the ticket that is first; there must be one."""
        while self._first not in self._tickets:
            self._holes.remove(self._first)
            self._first += 1
        return self._tickets[self._first]

    def take_first(self) -> Ticket:
        """Take out the ticket that is first; there must be one."""
        self.first()
        place, self._first = self._first, self._first + 1
        return self._take(place)

    def take_out(self, place: int) -> Ticket:
        """Take out the ticket at `place`."""
        if self._holes is None:
            self._holes = SortedList()
        self._holes.add(place)
        return self._take(place)

    def rank(self, place: int) -> int:
        """Return how many tickets are before `place`."""
        holes: int = self._holes.bisect_left(place) if self._holes else 0
        return place - self._first - holes

    def _take(self, place: int) -> Ticket:
        ticket = self._tickets.pop(place)
        if self._tickets:
            self.load -= ticket.stride
        else:
            # Starting afresh keeps the rounding of sums, and the holes, from piling up.
            self.load, self._holes, self._first, self._next = 0.0, None, 0, 0
        return ticket
