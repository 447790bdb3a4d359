"""Whose turn it is in one priority class of a lane: the Virtual Token Counter.

The algorithm is VTC (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024,
arXiv 2401.00588), with tickets of known cost in place of tokens:

* each user has a counter, the service they had so far divided by their weight; the user with the
  least counter is next, and among equals the one whose last turn is longest ago;
* a turn adds ``cost / weight`` at once, and the end of the work mends it to what it really cost;
* whoever comes with nothing waiting is lifted to the least counter of those who wait (where nobody
  waits: to the counter of the user who was the last to leave), so that idle time saves up nothing.

Hence two users who both wait the whole time get service, divided by weight, that differs by at most
twice the greatest cost of a ticket divided by its weight.

A user who is only running does not count among those who wait: the counter of a long run stands
still, and whoever came during it would start that far behind everybody else and starve them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Set as AbstractSet

from sortedcontainers import SortedList

from mtor_kernel.scheduling.share import Share, Ticket

#: Users forgotten in one step at most: a step stays short after any crowd.
FORGOTTEN_AT_ONCE = 4


class Turns:
    """The waiting tickets of one class, in the order in which their turns come.

    A step costs O(log n) in users, whatever the number of tickets. Shares stand on three shelves,
    each sorted by ``(counter, turn)``; who only runs stands on none.

    Parameters
    ----------
    blocked
        Names of users who are passed over. Its owner calls :meth:`refile` after changing it.
    """

    def __init__(self, blocked: AbstractSet[str]) -> None:
        self._blocked = blocked
        self._shares: dict[str, Share] = {}
        #: Those who wait and are next in turn; who wait and are passed over; who do nothing here.
        self._ready, self._passed, self._idle = SortedList(), SortedList(), SortedList()
        #: Where each waiting query's ticket is: in whose share, at which place.
        self._places: dict[str, tuple[Share, int]] = {}
        #: The share that was the last to leave the ready shelf empty.
        self._last = Share("")
        #: What `turn` is taken from: up for arrivals and turns, down for what is put back.
        self._order = itertools.count(1)
        self._before_all = itertools.count(0, -1)
        #: Turns taken, and the counter at which the last of them was taken.
        self._taken = 0
        self._clock = 0.0
        #: The strides of the running tickets, which may be taken back, and how many they are.
        self._outstanding = 0.0
        self._running = 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, query: object) -> bool:
        return query in self._places

    @property
    def known(self) -> int:
        """How many users are remembered."""
        return len(self._shares)

    @property
    def ready(self) -> int:
        """How many tickets may have their turn: all but those of blocked users."""
        passed: int = sum(share.waiting for _, _, share in self._passed)
        return len(self) - passed

    @property
    def floor(self) -> float:
        """The least counter with which anybody joins those who wait."""
        return float(self._ready[0][0] if self._ready else self._last.counter)

    def push(self, ticket: Ticket) -> None:
        """Put `ticket` at the end of its user's line."""
        share = self._shares.get(ticket.user)
        if share is None:
            share = self._shares[ticket.user] = Share(ticket.user)
        self._take_down(share)
        if not share.waiting:
            share.turn = next(self._order)
        self._join(share, ticket)
        self._put_up(share)

    def pop(self) -> Ticket | None:
        """Take the next ticket, and count for its user what it will probably cost."""
        if not self._ready:
            return None
        share: Share = self._ready[0][2]
        self._clock = share.counter
        return self._pop(share)

    def peek(self) -> tuple[Ticket, int] | None:
        """Return the ticket that :meth:`pop` would take, and how many of its user's wait."""
        if not self._ready:
            return None
        share: Share = self._ready[0][2]
        return share.first(), share.waiting

    def pop_of(self, user: str) -> Ticket | None:
        """Take the next ticket of one user, whoever's turn it is; not a blocked one's.

        It is no turn in the order of all: who is passed over meanwhile passes up nothing more.
        """
        share = self._shares.get(user)
        return self._pop(share) if share is not None and share.shelf is self._ready else None

    def _pop(self, share: Share) -> Ticket:
        self._take_down(share)
        ticket = share.take_first()
        del self._places[ticket.query]
        self._start(share, ticket)
        self._put_up(share)
        self._forget()
        return ticket

    def remove(self, query: str) -> Ticket | None:
        """Take the ticket of `query` out of the line, if it waits."""
        if query not in self._places:
            return None
        share, place = self._places.pop(query)
        self._take_down(share)
        ticket = share.take_out(place)
        self._put_up(share)
        self._forget()
        return ticket

    def ended(self, ticket: Ticket, actual: float) -> None:
        """Count for a running `ticket` what it really cost."""
        share = self._shares[ticket.user]
        self._take_down(share)
        self._stop(share, ticket, actual)
        self._put_up(share)
        self._forget()

    def put_back(self, ticket: Ticket) -> None:
        """Count a running `ticket` for nothing and put it first in its user's line."""
        share = self._shares[ticket.user]
        self._take_down(share)
        self._stop(share, ticket, 0.0)
        share.turn = next(self._before_all)
        self._join(share, ticket, first=True)
        self._put_up(share)

    def refile(self, user: str) -> None:
        """Heed that `user` has been blocked or unblocked."""
        share = self._shares.get(user)
        if share is not None:
            self._take_down(share)
            self._put_up(share)

    def before(self, query: str) -> int:
        """Return how many tickets have their turn before that of `query`, which waits.

        A user's tickets are taken to cost their mean: the figure is exact where they cost the same.
        """
        share, place = self._places[query]
        total = rank = share.rank(place)
        target = self._due(share) + rank * share.mean
        for counter, _, other in self._ready:
            if counter > target:
                break
            if other is not share:
                total += _turns_until(other, target, share, rank)
        return total

    def _due(self, share: Share) -> float:
        """The counter with which a share comes back: what it passed up is not owed to it."""
        if share.shelf is self._passed and share.seen != self._taken:
            return max(share.counter, self._clock)
        return share.counter

    def _take_down(self, share: Share) -> None:
        if share.shelf is None:
            return
        share.counter = self._due(share)
        if share.shelf[0] is share.key:
            share.shelf.pop(0)
        else:
            share.shelf.remove(share.key)
        if share.shelf is self._ready and not self._ready:
            self._last = share

    def _put_up(self, share: Share) -> None:
        if not share.waiting:
            share.shelf = None if share.running else self._idle
        elif share.name in self._blocked:
            share.shelf, share.seen = self._passed, self._taken
        else:
            share.shelf = self._ready
        if share.shelf is not None:
            share.key = (share.counter, share.turn, share)
            share.shelf.add(share.key)

    def _join(self, share: Share, ticket: Ticket, *, first: bool = False) -> None:
        if not share.waiting:
            share.counter = max(share.counter, self.floor)
        self._places[ticket.query] = (share, share.add(ticket, first=first))

    def _start(self, share: Share, ticket: Ticket) -> None:
        share.turn = next(self._order)
        self._taken += 1
        share.counter += ticket.stride
        share.running += 1
        self._running += 1
        self._outstanding += ticket.stride

    def _stop(self, share: Share, ticket: Ticket, actual: float) -> None:
        share.counter += actual / ticket.weight - ticket.stride
        share.running -= 1
        self._running -= 1
        self._outstanding = self._outstanding - ticket.stride if self._running else 0.0

    def _forget(self) -> None:
        """Drop idle users whom the floor has overtaken for good.

        No floor to come is below the least counter of those who wait (or of the last who did), less
        all that may yet be taken back. Who comes with less than the floor is lifted to it, and so
        is who comes unknown.
        """
        least = min(self.floor, self._passed[0][0]) if self._passed else self.floor
        sure = least - self._outstanding
        for _ in range(FORGOTTEN_AT_ONCE):
            if not self._idle or self._idle[0][0] > sure:
                return
            del self._shares[self._idle.pop(0)[2].name]


def _turns_until(other: Share, target: float, share: Share, rank: int) -> int:
    """How many turns `other` has before `share` has turn number `rank`, at the counter `target`."""
    step = other.mean
    whole = max(0, math.ceil((target - other.counter) / step))
    if other.counter + whole * step == target:
        # Both stand at the same counter: first goes whose turn before that was earlier, that is,
        # who took the longer step to it; and with equal steps, who has taken fewer of them.
        if whole and rank and step != share.mean:
            first = step > share.mean
        elif whole != rank:
            first = whole < rank
        else:
            first = other.turn < share.turn
        whole += first
    return min(whole, other.waiting)
