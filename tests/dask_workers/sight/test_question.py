"""A question is understood by its words, or told to be beyond what sight can answer."""

from __future__ import annotations

import pytest

from dask_workers.sight.question import Aim, understand


@pytest.mark.parametrize(
    ("words", "aim", "about"),
    [
        ("", Aim.DESCRIBE, ""),
        ("Describe the picture.", Aim.DESCRIBE, ""),
        ("What is on this picture?", Aim.DESCRIBE, ""),
        ("What do you see?", Aim.DESCRIBE, ""),
        ("What's that?", Aim.DESCRIBE, ""),
        ("Read it to me", Aim.READ, ""),
        ("What does the sign say?", Aim.READ, ""),
        ("Is there any text on it?", Aim.READ, ""),
        ("How many words are written here?", Aim.READ, ""),
        ("How many people are there?", Aim.COUNT, "person"),
        ("how many CATS do you see", Aim.COUNT, "cat"),
        ("Count the sheep", Aim.COUNT, "sheep"),
        ("Is there a dog in the picture?", Aim.PRESENCE, "dog"),
        ("Is this a hot dog?", Aim.PRESENCE, "hot dog"),
        ("Do you see a stop sign?", Aim.PRESENCE, "stop sign"),
        ("Is there anybody?", Aim.PRESENCE, "person"),
        ("Are there any unicorns?", Aim.PRESENCE, "unicorns"),
        ("What colour is the car?", Aim.COLOUR, "car"),
        ("What color is it?", Aim.COLOUR, ""),
        ("Where is the cat?", Aim.WHERE, "cat"),
        ("Where are my keys?", Aim.WHERE, "keys"),
        ("Who is this?", Aim.WHO, ""),
        ("Why is she sad?", Aim.OTHER, ""),
        ("What time is it on the clock?", Aim.OTHER, ""),
        ("Is it raining?", Aim.OTHER, ""),
    ],
)
def test_what_is_asked_and_about_what(words: str, aim: Aim, about: str) -> None:
    question = understand(words)
    assert question.aim is aim
    assert (question.noun.name if question.noun else question.unknown) == about


def test_a_very_long_question_is_understood_in_no_time() -> None:
    assert understand("is there " * 20_000 + "a dog?").aim is Aim.PRESENCE
