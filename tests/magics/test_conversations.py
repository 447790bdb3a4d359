"""The thread of a named conversation."""

import pytest

from mtor_kernel.magics.conversations import Conversations, tokens_of
from mtor_kernel.protocol.query import Message


def words(messages: tuple[Message, ...]) -> list[str]:
    return [f"{message.role}: {message.text}" for message in messages]


def test_a_thread_keeps_its_answered_turns() -> None:
    threads = Conversations()
    threads.answered("main", "Hi", "Hello")
    assert words(threads.ask("main", "Who are you?")) == [
        "user: Hi",
        "assistant: Hello",
        "user: Who are you?",
    ]


def test_a_question_without_an_answer_leaves_no_trace() -> None:
    threads = Conversations()
    threads.ask("main", "Hi")
    assert words(threads.ask("main", "Again")) == ["user: Again"]


def test_threads_do_not_mix() -> None:
    threads = Conversations()
    threads.answered("one", "Hi", "Hello")
    assert words(threads.ask("two", "Hi")) == ["user: Hi"]


def test_what_the_model_was_told_stays_for_the_thread_and_may_be_replaced() -> None:
    threads = Conversations()
    threads.ask("main", "Hi", system="Be brief.")
    assert words(threads.ask("main", "Hi")) == ["system: Be brief.", "user: Hi"]
    assert words(threads.ask("main", "Hi", system="Rhyme."))[0] == "system: Rhyme."


def test_the_oldest_turns_go_first_and_whole() -> None:
    threads = Conversations()
    for number in range(20):
        threads.answered("main", f"question {number}", "x" * 300)
    messages = threads.ask("main", "now", system="Be brief.", room=400)
    assert tokens_of(messages) <= 400
    assert words(messages)[0] == "system: Be brief."
    assert words(messages)[1] == "user: question 17"
    assert words(messages)[-1] == "user: now"
    assert len(messages) == 8


def test_a_question_that_leaves_no_room_goes_alone() -> None:
    threads = Conversations()
    threads.answered("main", "Hi", "Hello")
    assert words(threads.ask("main", "x" * 1000, room=100)) == [f"user: {'x' * 1000}"]


def test_every_byte_counts_outside_ascii() -> None:
    threads = Conversations()
    assert tokens_of(threads.ask("a", "あ" * 100)) > tokens_of(threads.ask("b", "a" * 300))


def test_a_forgotten_thread_starts_afresh() -> None:
    threads = Conversations()
    threads.answered("main", "Hi", "Hello")
    assert threads.names() == ["main"]
    assert threads.forget("main") == 1
    assert words(threads.ask("main", "Hi")) == ["user: Hi"]
    with pytest.raises(KeyError):
        threads.forget("main")
