"""Which of several equal questions is asked."""

from mtor_kernel.client.replay.turns import Turns


def test_equal_questions_are_counted() -> None:
    turns = Turns()
    assert [turns.next("a"), turns.next("b"), turns.next("a")] == [1, 1, 2]


def test_a_look_counts_nothing() -> None:
    turns = Turns()
    assert [turns.peek("a"), turns.peek("a"), turns.next("a"), turns.peek("a")] == [1, 1, 1, 2]


def test_a_cell_that_is_run_again_asks_what_it_had_asked() -> None:
    turns = Turns()
    assert [turns.next("a", "c1", 1), turns.next("a", "c1", 1), turns.next("a", "c2", 2)] == [
        1,
        2,
        3,
    ]
    assert [turns.next("a", "c1", 3), turns.peek("a", "c1", 3), turns.next("a", "c1", 3)] == [
        1,
        2,
        2,
    ]
    assert turns.next("a", "c1", 3) == 4


def test_what_was_not_answered_was_not_asked() -> None:
    turns = Turns()
    turns.give_back("a", turns.next("a"))
    assert turns.next("a") == 1
    assert turns.next("a", "c1", 1) == 2
    turns.give_back("a", 2)
    assert turns.next("a", "c1", 2) == 2
    assert turns.next("a") == 3
