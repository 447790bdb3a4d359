"""The fair queue's rules written down as plainly as can be: no shelves, and nobody is forgotten."""

from dataclasses import dataclass, field

from mtor_kernel.protocol.query import Priority
from mtor_kernel.scheduling.fairqueue import Ticket


@dataclass(eq=False)
class PlainUser:
    counter: float = 0.0
    turn: int = 0
    line: list[Ticket] = field(default_factory=list)
    #: Turns taken by anybody when this one was last known to be blocked with something waiting.
    seen: int | None = None


class PlainClass:
    def __init__(self, blocked: set[str]) -> None:
        self.blocked = blocked
        self.users: dict[str, PlainUser] = {}
        self.last = PlainUser()
        self.order = self.taken = self.before_all = 0
        self.clock = 0.0

    def ready(self) -> dict[str, PlainUser]:
        return {
            name: user
            for name, user in self.users.items()
            if user.line and name not in self.blocked
        }

    def floor(self) -> float:
        waiting = [user.counter for user in self.ready().values()]
        return min(waiting) if waiting else self.last.counter

    def touch(self, name: str) -> PlainUser:
        """What comes before every change: a blocked user is not owed the turns that went by."""
        user = self.users.setdefault(name, PlainUser())
        if user.seen not in (None, self.taken):
            user.counter = max(user.counter, self.clock)
        user.seen = None
        if list(self.ready()) == [name]:
            self.last = user
        return user

    def touched(self, name: str) -> None:
        """What comes after every change."""
        user = self.users[name]
        user.seen = self.taken if user.line and name in self.blocked else None

    def push(self, ticket: Ticket) -> None:
        user = self.touch(ticket.user)
        if not user.line:
            self.order += 1
            user.turn = self.order
            user.counter = max(user.counter, self.floor())
        user.line.append(ticket)
        self.touched(ticket.user)

    def pop(self) -> Ticket | None:
        ready = self.ready()
        if not ready:
            return None
        name = min(ready, key=lambda name: (ready[name].counter, ready[name].turn))
        user = self.touch(name)
        ticket = user.line.pop(0)
        self.order += 1
        user.turn = self.order
        self.taken += 1
        self.clock = user.counter
        user.counter += ticket.cost / ticket.weight
        self.touched(name)
        return ticket

    def ended(self, ticket: Ticket, actual: float) -> None:
        self.touch(ticket.user).counter += (actual - ticket.cost) / ticket.weight
        self.touched(ticket.user)

    def put_back(self, ticket: Ticket) -> None:
        user = self.touch(ticket.user)
        user.counter -= ticket.cost / ticket.weight
        self.before_all -= 1
        user.turn = self.before_all
        if not user.line:
            user.counter = max(user.counter, self.floor())
        user.line.insert(0, ticket)
        self.touched(ticket.user)

    def remove(self, query: str) -> None:
        for name, user in self.users.items():
            if any(ticket.query == query for ticket in user.line):
                self.touch(name)
                user.line = [ticket for ticket in user.line if ticket.query != query]
                self.touched(name)


class PlainQueue:
    def __init__(self) -> None:
        self.blocked: set[str] = set()
        self.classes = {priority: PlainClass(self.blocked) for priority in Priority}

    def push(self, ticket: Ticket) -> None:
        self.classes[ticket.priority].push(ticket)

    def pop(self) -> Ticket | None:
        first = self.classes[Priority.INTERACTIVE].pop()
        return first or self.classes[Priority.BATCH].pop()

    def ended(self, ticket: Ticket, actual: float) -> None:
        self.classes[ticket.priority].ended(ticket, actual)

    def put_back(self, ticket: Ticket) -> None:
        self.classes[ticket.priority].put_back(ticket)

    def remove(self, query: str) -> None:
        for turns in self.classes.values():
            turns.remove(query)

    def set_blocked(self, name: str, on: bool) -> None:
        for turns in self.classes.values():
            turns.touch(name)
        (self.blocked.add if on else self.blocked.discard)(name)
        for turns in self.classes.values():
            turns.touched(name)
