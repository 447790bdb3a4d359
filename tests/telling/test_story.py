"""What is known so far of one query."""

import pytest

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.ngram import (
    Cancelled,
    Chunk,
    Failed,
    Progress,
    QueryEvent,
    Queued,
    Requeued,
    Settled,
    Started,
)
from mtor_kernel.telling.story import Story

Q = "0" * 32
CHARGE = Charge(1234, Usage(input_tokens=4, output_tokens=20))


def story_of(*events: QueryEvent) -> Story:
    story = Story()
    for event in events:
        story.hear(event)
    return story


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (Queued(Q, 0), "next to start"),
        (Queued(Q, 1), "1 query before yours"),
        (Queued(Q, 3, 12.3), "3 queries before yours · about 12 s"),
        (Queued(Q, 0, 9.0, "a", "a fails"), "next to start · about 9.0 s · a fails"),
        (Started(Q, 1), "…"),
        (Started(Q, 1, "smollm2"), "…"),
        (Progress(Q, 1, 0.42, "denoising"), "42% denoising"),
        (Requeued(Q, 2, "its worker was lost"), "starting afresh: its worker was lost"),
        (
            Settled(Q, 1, "smollm2", CHARGE, "stop", 3.21),
            "smollm2 · 24 tokens · 3.2 s · 0.00123 credits",
        ),
        (Cancelled(Q, Charge()), "cancelled · nothing charged"),
        (Cancelled(Q, CHARGE), "cancelled · 0.00123 credits charged"),
        (Failed(Q, ErrorInfo("expired", "Too late.")), "no answer · nothing charged"),
    ],
)
def test_one_quiet_line_tells_how_it_stands(event: QueryEvent, note: str) -> None:
    assert story_of(event).note == note


def test_an_answer_that_was_cut_says_so() -> None:
    end = Settled(Q, 1, "smollm2", CHARGE, "length", 3.2)
    assert story_of(end).note.endswith("cut at the longest answer allowed")


def test_the_text_grows_by_what_comes() -> None:
    assert story_of(Chunk(Q, 1, 0, 3, "Bee"), Chunk(Q, 1, 3, 4, "s")).text == "Bees"


def test_a_new_attempt_forgets_the_text_of_the_one_before() -> None:
    story = story_of(Chunk(Q, 1, 0, 4, "Bees"), Requeued(Q, 2), Chunk(Q, 2, 0, 5, "Honey"))
    assert story.text == "Honey"


def test_a_model_that_answers_in_place_of_another_is_named() -> None:
    story = story_of(Started(Q, 1, "smollm2"), Requeued(Q, 2, "smollm2 failed, so claude answers."))
    assert story.note == "starting afresh: smollm2 failed, so claude answers."
    story.hear(Started(Q, 2, "claude"))
    assert story.note == "claude answers in place of smollm2"
    story.hear(Settled(Q, 2, "claude", CHARGE, "stop", 3.2))
    assert story.note.endswith("0.00123 credits · in place of smollm2")
