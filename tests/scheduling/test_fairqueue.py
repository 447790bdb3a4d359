"""The order in which a lane's tickets are popped, by example."""

import pytest

from mtor_kernel.protocol.query import Priority
from mtor_kernel.scheduling.fairqueue import FairQueue, Ticket
from tests.scheduling.examples import make_ticket, pop_all, push


def test_an_empty_queue_gives_nothing() -> None:
    queue = FairQueue()
    assert queue.pop() is None
    assert len(queue) == 0
    assert "ann1" not in queue
    assert queue.position("ann1") is None


def test_users_take_turns_and_keep_their_own_order() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "ann3", "bob1", "bob2")
    assert pop_all(queue) == ["ann1", "bob1", "ann2", "bob2", "ann3"]


def test_a_user_of_weight_two_gets_twice_the_turns() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(20)), weight=2)
    push(queue, *(f"bob{n}" for n in range(20)))
    first = pop_all(queue)[:18]
    assert sum(query.startswith("ann") for query in first) == 12


def test_a_dear_query_counts_for_as_much_as_many_cheap_ones() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", cost=30)
    push(queue, "bob1", "bob2", "bob3", "bob4", cost=10)
    assert pop_all(queue) == ["ann1", "bob1", "bob2", "bob3", "ann2", "bob4"]


def test_interactive_goes_before_batch_whoever_asks() -> None:
    queue = FairQueue()
    push(queue, "ann1", "bob1", priority=Priority.BATCH)
    push(queue, "ann2", "ann3", "ann4")
    assert pop_all(queue) == ["ann2", "ann3", "ann4", "ann1", "bob1"]


def test_batch_that_waited_long_gives_no_head_start_in_the_interactive_class() -> None:
    queue = FairQueue()
    push(queue, "ann0", priority=Priority.BATCH)
    push(queue, *(f"bob{n}" for n in range(100)))
    for _ in range(50):
        queue.pop()
    push(queue, *(f"ann{n}" for n in range(1, 11)))
    order = [query[:3] for query in pop_all(queue)[:10]]
    assert order.count("bob") == 5


def test_who_comes_later_has_not_saved_up_turns() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(20)))
    for _ in range(10):
        queue.pop()
    push(queue, "bob1", "bob2", "bob3")
    assert pop_all(queue)[:5] == ["ann10", "bob1", "ann11", "bob2", "ann12"]


def test_an_empty_queue_remembers_how_far_it_was() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(10)))
    for query in pop_all(queue):
        queue.ended(query)
    push(queue, "bob1", "bob2", "bob3")
    push(queue, "ann10", "ann11", "ann12")
    assert pop_all(queue) == ["bob1", "ann10", "bob2", "ann11", "bob3", "ann12"]


def test_a_long_run_of_one_gives_a_newcomer_no_head_start_over_the_others() -> None:
    queue = FairQueue()
    push(queue, "long1")
    queue.pop()
    push(queue, *(f"ann{n}" for n in range(100)))
    for _ in range(50):
        queue.pop()
    push(queue, *(f"new{n}" for n in range(50)))
    first = [query[:3] for query in pop_all(queue)[:10]]
    assert first.count("ann") == 5


def test_what_an_end_really_cost_is_counted() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "ann3", "bob1", "bob2", cost=10)
    assert [queue.pop().query, queue.pop().query] == ["ann1", "bob1"]  # type: ignore[union-attr]
    assert queue.ended("ann1", actual=35)
    assert queue.ended("bob1", actual=5)
    assert pop_all(queue) == ["bob2", "ann2", "ann3"]


def test_an_end_is_counted_once() -> None:
    queue = FairQueue()
    push(queue, "ann1")
    queue.pop()
    assert queue.running == 1
    assert queue.ended("ann1")
    assert not queue.ended("ann1")
    assert not queue.put_back("ann1")
    assert queue.running == 0


def test_a_ticket_that_is_put_back_is_its_users_next_and_counts_for_nothing() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "bob1", "bob2")
    queue.pop()
    assert queue.put_back("ann1")
    assert pop_all(queue) == ["ann1", "bob1", "ann2", "bob2"]


def test_what_is_put_back_after_a_long_run_is_next_but_gets_no_head_start() -> None:
    queue = FairQueue()
    push(queue, "ann1")
    queue.pop()
    push(queue, *(f"bob{n}" for n in range(20)))
    for _ in range(10):
        queue.pop()
    queue.put_back("ann1")
    push(queue, "ann2", "ann3")
    assert pop_all(queue)[:6] == ["ann1", "bob10", "ann2", "bob11", "ann3", "bob12"]


def test_a_removed_ticket_is_gone_and_its_place_is_closed() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "ann3", "ann4")
    assert queue.remove("ann2") == make_ticket("ann2")
    assert queue.remove("ann2") is None
    assert queue.position("ann3") == 1
    push(queue, "ann5")
    assert pop_all(queue) == ["ann1", "ann3", "ann4", "ann5"]


def test_a_blocked_user_is_passed_over_and_keeps_their_order() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "bob1", "bob2")
    queue.block("ann")
    queue.block("ann")
    assert pop_all(queue) == ["bob1", "bob2"]
    assert len(queue) == 2
    push(queue, "ann3")
    queue.unblock("ann")
    assert pop_all(queue) == ["ann1", "ann2", "ann3"]


def test_turns_that_went_by_while_blocked_are_not_made_up_for() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(20)), *(f"bob{n}" for n in range(100)))
    queue.block("ann")
    for _ in range(50):
        queue.pop()
    queue.unblock("ann")
    first = [query[:3] for query in pop_all(queue)[:10]]
    assert first.count("bob") == 5


def test_a_block_during_which_nobody_had_a_turn_changes_nothing() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "ann3", cost=30)
    push(queue, "bob1", "bob2", "bob3", "bob4", cost=10)
    order = []
    while len(queue):
        ticket = queue.pop()
        assert ticket is not None
        order.append(ticket.query)
        queue.block(ticket.user)
        queue.ended(ticket.query)
        queue.unblock(ticket.user)
    assert order == ["ann1", "bob1", "bob2", "bob3", "ann2", "bob4", "ann3"]


def test_a_query_is_taken_only_once() -> None:
    queue = FairQueue()
    push(queue, "ann1")
    with pytest.raises(ValueError, match="already"):
        push(queue, "ann1")
    queue.pop()
    with pytest.raises(ValueError, match="already"):
        push(queue, "ann1", priority=Priority.BATCH)
    queue.ended("ann1")
    push(queue, "ann1")
    assert pop_all(queue) == ["ann1"]


@pytest.mark.parametrize(("cost", "weight"), [(0, 1), (-1, 1), (1, 0), (1, -2), (float("inf"), 1)])
def test_a_ticket_that_costs_nothing_is_refused(cost: float, weight: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        FairQueue().push(Ticket("ann1", "ann", cost, weight=weight))


def test_the_position_of_a_blocked_users_own_query_is_as_if_they_were_not() -> None:
    queue = FairQueue()
    push(queue, "ann1", "ann2", "bob1", "bob2")
    queue.block("ann")
    assert [queue.position(query) for query in ("ann1", "bob1", "bob2")] == [0, 0, 1]
    queue.unblock("ann")
    assert [queue.position(query) for query in ("ann1", "bob1", "ann2", "bob2")] == [0, 1, 2, 3]


def test_strangers_who_came_once_are_forgotten_and_the_regulars_are_not() -> None:
    queue = FairQueue()
    for n in range(2000):
        push(queue, f"ann{n}", f"bob{n}")
        queue.push(Ticket(f"stranger{n}", f"stranger{n}", 10))
        for query in pop_all(queue):
            queue.ended(query, actual=7)
        assert queue.known_users < 10


def test_strangers_are_forgotten_while_others_wait_all_the_time() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(3000)))
    for n in range(1000):
        queue.push(Ticket(f"stranger{n}", f"stranger{n}", 10))
        for _ in range(2):
            ticket = queue.pop()
            assert ticket is not None
            queue.ended(ticket.query)
    assert queue.known_users < 10


def test_what_would_be_popped_can_be_looked_at() -> None:
    queue = FairQueue()
    assert queue.peek() is None
    push(queue, "ann1", "ann2", "ann3", "bob1", priority=Priority.BATCH)
    queue.remove("ann1")
    first, waiting = queue.peek() or (None, 0)
    assert (first and first.query, waiting) == ("ann2", 2)
    push(queue, "bob2")
    first, waiting = queue.peek() or (None, 0)
    assert (first and first.query, waiting) == ("bob2", 1)
    assert queue.pop() == first


def test_a_users_batch_tickets_can_be_popped_in_one_go_and_count_as_one_dear_one() -> None:
    queue = FairQueue()
    push(queue, *(f"ann{n}" for n in range(6)), *(f"bob{n}" for n in range(6)), cost=1,
         priority=Priority.BATCH)  # fmt: skip
    first = queue.pop()
    more = [queue.pop_batch("ann") for _ in range(2)]
    assert [ticket and ticket.query for ticket in (first, *more)] == ["ann0", "ann1", "ann2"]
    assert [query[:3] for query in pop_all(queue)[:3]] == ["bob"] * 3


def test_nobody_pops_the_batch_tickets_of_a_blocked_user_nor_interactive_ones() -> None:
    queue = FairQueue()
    push(queue, "ann1", priority=Priority.BATCH)
    push(queue, "bob1")
    queue.block("ann")
    assert queue.pop_batch("ann") is None
    assert queue.pop_batch("bob") is None
    assert queue.pop_batch("carl") is None
