"""What holds for every sequence of steps: the same order as the plain rules, and fair shares."""

from collections import Counter
from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mtor_kernel.protocol.query import Priority
from mtor_kernel.scheduling.fairqueue import FairQueue, Ticket
from tests.scheduling.plain_queue import PlainQueue

USERS = ("ann", "bob", "cat", "dan", "eve")
#: Binary fractions add up exactly: so the plain rules and the queue must agree to the last turn.
COSTS = dict(zip(USERS, (8, 8, 12, 2, 40), strict=True))
WEIGHTS = dict(zip(USERS, (1, 1, 2, 4, 1), strict=True))


class BothQueues:
    """The queue and the plain rules take every step together.

    Each user's tickets cost the same, as :meth:`FairQueue.position` asks; what they end with
    varies.
    """

    def __init__(self) -> None:
        self.queue, self.plain = FairQueue(), PlainQueue()
        self.waiting: dict[str, Ticket] = {}
        self.running: dict[str, Ticket] = {}
        self.count = 0

    def push(self, user: str, priority: Priority) -> None:
        self.count += 1
        ticket = Ticket(f"{self.count}", user, COSTS[user], priority, WEIGHTS[user])
        self.queue.push(ticket)
        self.plain.push(ticket)
        self.waiting[ticket.query] = ticket

    def pop(self) -> None:
        ticket = self.queue.pop()
        assert ticket == self.plain.pop()
        if ticket is not None:
            self.running[ticket.query] = self.waiting.pop(ticket.query)

    def end(self, query: str, actual: float) -> None:
        assert self.queue.ended(query, actual)
        self.plain.ended(self.running.pop(query), actual)

    def put_back(self, query: str) -> None:
        assert self.queue.put_back(query)
        self.waiting[query] = self.running.pop(query)
        self.plain.put_back(self.waiting[query])

    def remove(self, query: str) -> None:
        assert self.queue.remove(query) == self.waiting.pop(query)
        self.plain.remove(query)

    def turn_block(self, user: str) -> None:
        on = user not in self.plain.blocked
        (self.queue.block if on else self.queue.unblock)(user)
        self.plain.set_blocked(user, on)

    def check(self) -> None:
        """Every ticket is where it should be, and nowhere else."""
        assert len(self.queue) == len(self.waiting)
        assert all(query in self.queue for query in self.waiting)
        assert self.queue.running == len(self.running)

    def finish(self) -> None:
        """The positions tell the order in which all that may be popped is popped."""
        told = {
            query: self.queue.position(query)
            for query, ticket in self.waiting.items()
            if ticket.user not in self.plain.blocked
        }
        popped = [ticket.query for ticket in iter(self.queue.pop, None)]
        assert [ticket.query for ticket in iter(self.plain.pop, None)] == popped
        assert told == {query: place for place, query in enumerate(popped)}


def walk(random: Random, steps: int) -> None:
    """Take random steps; some walks are crowded, in others users are often idle."""
    both, crowd = BothQueues(), random.choice((0.2, 0.35, 0.5))
    for _ in range(steps):
        waiting, running = list(both.waiting), list(both.running)
        die = random.random()
        if die < crowd:
            both.push(random.choice(USERS), random.choice(tuple(Priority)))
        elif die < 0.7:
            both.pop()
        elif die < 0.86 and running:
            both.end(random.choice(running), random.choice((0, 4, 20, 64)))
        elif die < 0.9 and running:
            both.put_back(random.choice(running))
        elif die < 0.95 and waiting:
            both.remove(random.choice(waiting))
        elif die > 0.95:
            both.turn_block(random.choice(USERS))
        both.check()
    both.finish()


def test_any_sequence_of_steps_gives_the_order_of_the_plain_rules() -> None:
    """And so forgetting users changes nothing: the plain rules forget nobody."""
    # Long walks with plain seeds reach ten times as many rare states as drawn ones in that time.
    for seed in range(400):
        walk(Random(seed), steps=200)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from(USERS), st.integers(1, 100)),
        st.tuples(st.just("pop"), st.none(), st.none()),
        st.tuples(st.just("end"), st.none(), st.integers(0, 1000)),
    ),
    max_size=200,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_who_waits_all_the_time_is_at_most_two_queries_behind(steps: list[tuple]) -> None:
    """|Wi/wi - Wj/wj| over any time in which both wait is at most twice the greatest cost."""
    queue, greatest = FairQueue(), 0.0
    had, waits, running = Counter(), Counter(), []
    #: For each pair that waits, the least and the greatest lead of the first since both do.
    leads: dict[tuple[str, str], tuple[float, float]] = {}
    for number, (step, user, figure) in enumerate(steps):
        if step == "push":
            queue.push(Ticket(f"{number}", user, figure, weight=WEIGHTS[user]))
            greatest = max(greatest, figure / WEIGHTS[user])
            waits[user] += 1
        elif step == "end" and running:
            queue.ended(running.pop(figure % len(running)))
        elif step == "pop" and (ticket := queue.pop()):
            had[ticket.user] += ticket.stride
            waits[ticket.user] -= 1
            running.append(ticket.query)
        for one, other in combinations(USERS, 2):
            if not (waits[one] and waits[other]):
                leads.pop((one, other), None)
                continue
            lead = had[one] - had[other]
            least, most = leads.get((one, other), (lead, lead))
            leads[one, other] = min(least, lead), max(most, lead)
            assert max(most, lead) - min(least, lead) <= 2 * greatest + 1e-6


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_one_with_a_thousand_queries_gets_no_more_than_nine_with_ten(data: st.DataObject) -> None:
    queue, costs = FairQueue(), st.integers(50, 150)
    for user, many in [("crowd", 1000), *((f"user{n}", 10) for n in range(9))]:
        for number, cost in enumerate(data.draw(st.lists(costs, min_size=10, max_size=10)) * 100):
            if number < many:
                queue.push(Ticket(f"{user}-{number}", user, cost))
    had, turns = Counter(), Counter()
    while max(turns[f"user{n}"] for n in range(9)) < 10:
        ticket = queue.pop()
        assert ticket is not None
        had[ticket.user] += ticket.cost
        turns[ticket.user] += 1
    assert jain(list(had.values()), users=10) >= 0.95


def jain(shares: list[float], users: int) -> float:
    """Jain's fairness index: 1 where all have the same, 1/users where one has everything."""
    return sum(shares) ** 2 / (users * sum(share**2 for share in shares))


@given(st.lists(st.sampled_from(USERS), min_size=1, max_size=100))
def test_the_queue_serves_whenever_somebody_waits(users: list[str]) -> None:
    queue = FairQueue()
    for number, user in enumerate(users):
        queue.push(Ticket(f"{number}", user, COSTS[user]))
    popped = [ticket.query for ticket in iter(queue.pop, None)]
    assert sorted(map(int, popped)) == list(range(len(users)))
