"""The fair queue of a lane: interactive before batch, and within a class each user their share."""

from __future__ import annotations

import math

from mtor_kernel.protocol.query import Priority
from mtor_kernel.scheduling.share import Ticket
from mtor_kernel.scheduling.turns import Turns

__all__ = ["FairQueue", "Ticket"]


class FairQueue:
    """The tickets of one lane.

    Promises:

    * an interactive ticket goes before every batch ticket;
    * within a class, users who wait all the time get service in proportion to their weights, to
      within twice the greatest cost of a ticket (see :mod:`~mtor_kernel.scheduling.turns`), and
      each user's tickets keep the order in which they came;
    * a ticket that was pushed is waiting until it is popped or removed, and running until it has
      ended or is put back: none is lost, none is there twice;
    * every step but :meth:`position` costs O(log n).

    Each class keeps counters of its own: a batch ticket that waits for days behind interactive work
    earns its user no head start in the interactive class.
    """

    def __init__(self) -> None:
        self._blocked: set[str] = set()
        self._classes = {priority: Turns(self._blocked) for priority in Priority}
        self._running: dict[str, Ticket] = {}

    def __len__(self) -> int:
        """How many tickets wait, those of blocked users included."""
        return sum(len(turns) for turns in self._classes.values())

    def __contains__(self, query: object) -> bool:
        """Whether `query` waits."""
        return any(query in turns for turns in self._classes.values())

    @property
    def running(self) -> int:
        """How many tickets were popped and have not ended."""
        return len(self._running)

    @property
    def known_users(self) -> int:
        """How many counters are remembered: of who waits, runs, or had more than the others."""
        return sum(turns.known for turns in self._classes.values())

    def push(self, ticket: Ticket) -> None:
        """Put `ticket` at the end of its user's line.

        Raises
        ------
        ValueError
            Its query waits or runs in this lane already, or its cost or weight is not above zero.
        """
        if ticket.query in self or ticket.query in self._running:
            raise ValueError(f"the query {ticket.query} is in this lane already")
        if not (0 < ticket.cost < math.inf and 0 < ticket.weight < math.inf):
            raise ValueError(f"cost and weight must be above zero: {ticket}")
        self._classes[ticket.priority].push(ticket)

    def pop(self) -> Ticket | None:
        """Take the ticket whose turn it is; it runs until :meth:`ended` or :meth:`put_back`.

        Its cost counts for its user at once. ``None``: nobody waits who is not blocked.
        """
        for turns in self._classes.values():
            ticket = turns.pop()
            if ticket is not None:
                self._running[ticket.query] = ticket
                return ticket
        return None

    def peek(self) -> tuple[Ticket, int] | None:
        """Return the ticket that :meth:`pop` would take, and how many of its user's class wait."""
        for turns in self._classes.values():
            found = turns.peek()
            if found is not None:
                return found
        return None

    def pop_batch(self, user: str) -> Ticket | None:
        """Take the next batch ticket of a user, whoever's turn it is.

        So what a user pops in one go counts as one ticket of their sum, and that is the greatest
        cost within which service is shared out. ``None``: they have none, or are blocked.
        """
        ticket = self._classes[Priority.BATCH].pop_of(user)
        if ticket is not None:
            self._running[ticket.query] = ticket
        return ticket

    def ended(self, query: str, actual: float | None = None) -> bool:
        """Tell that `query` runs no longer, and what it really cost; ``None``: as was estimated.

        An actual cost of zero counts for nothing. Returns whether it was running.
        """
        ticket = self._running.pop(query, None)
        if ticket is None:
            return False
        cost = ticket.cost if actual is None else max(0.0, actual)
        self._classes[ticket.priority].ended(ticket, cost)
        return True

    def put_back(self, query: str) -> bool:
        """Put a running `query` first in its user's line again; its turn counts for nothing.

        Returns whether it was running.
        """
        ticket = self._running.pop(query, None)
        if ticket is None:
            return False
        self._classes[ticket.priority].put_back(ticket)
        return True

    def remove(self, query: str) -> Ticket | None:
        """Take a waiting `query` out, and return its ticket; ``None`` where it does not wait."""
        for turns in self._classes.values():
            ticket = turns.remove(query)
            if ticket is not None:
                return ticket
        return None

    def block(self, user: str) -> None:
        """Pass `user` over until :meth:`unblock`. Their tickets stay, in their order."""
        if user not in self._blocked:
            self._blocked.add(user)
            self._refile(user)

    def unblock(self, user: str) -> None:
        """Let `user` have turns again; those that went by meanwhile are not made up for."""
        if user in self._blocked:
            self._blocked.remove(user)
            self._refile(user)

    def position(self, query: str) -> int | None:
        """Return how many tickets would be popped before that of `query` if nothing else happened.

        0 is the next. ``None`` where it does not wait. Tickets of one user are taken to cost their
        mean, so the figure is exact where each user's tickets cost the same. A blocked user is
        counted as passed over, except whoever asks. O(users) and not O(queries).
        """
        ahead = 0
        for turns in self._classes.values():
            if query in turns:
                return ahead + turns.before(query)
            ahead += turns.ready
        return None

    def _refile(self, user: str) -> None:
        for turns in self._classes.values():
            turns.refile(user)
