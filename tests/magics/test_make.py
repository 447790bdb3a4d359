"""What stands after %mtor see, imagine, say, listen, embed and api."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from mtor_kernel.magics.arguments import parse
from mtor_kernel.magics.make import MAKING, Make
from mtor_kernel.magics.questions import keep_questions


def test_a_file_comes_first_and_then_the_question() -> None:
    asked = Make("see", "What is it?", "vision", "photo.png")
    for line in (
        "see photo.png What is it?",
        'see photo.png "What is it?"',
        "see 'photo.png' What is it?",
    ):
        assert parse(line) == asked
    assert parse("see photo.png", "What is it?\n") == asked
    assert parse('see "my photo.png"') == Make("see", "", "vision", "my photo.png")
    assert parse("see {photos[0]} So?") == Make("see", "So?", "vision", "{photos[0]}")


def test_a_question_keeps_its_quotes_where_they_are_its_own() -> None:
    assert parse("""see a.png What's "this"?""").prompt == """What's "this"?"""  # type: ignore[union-attr]


def test_a_prompt_is_taken_word_for_word_with_its_options_before_it() -> None:
    assert parse("imagine --size 64x48 --steps 9 --seed 7 --negative 'a hat' a red heart") == Make(
        "imagine",
        "a red heart",
        "image",
        options={"steps": 9, "seed": 7, "negative_prompt": "a hat", "width": 64, "height": 48},
    )
    assert parse("imagine --from {photo} --strength 0.4 -m sd15 --as art a cat") == Make(
        "imagine", "a cat", "sd15", "{photo}", {"strength": 0.4}, bind="art"
    )
    assert parse("imagine", "a red\nheart\n").prompt == "a red\nheart"  # type: ignore[union-attr]


def test_the_others_have_options_of_their_own() -> None:
    assert parse("say --voice ann --speed 1.5 --language en Hello!") == Make(
        "say", "Hello!", "speech", options={"voice": "ann", "speed": 1.5, "language": "en"}
    )
    assert parse("listen --language en talk.wav") == Make(
        "listen", "", "transcription", "talk.wav", {"language": "en"}
    )
    assert parse("embed --as v --no-stream the sea") == Make(
        "embed", "the sea", "embedding", bind="v", stream=False
    )


def test_an_api_has_a_name_and_parameters() -> None:
    made = Make("api", model="weather", parameters={"city": "New York", "q": "a=b"})
    assert parse("api weather city='New York' q=a=b") == made
    assert parse("api weather", "city='New York'\nq=a=b\n") == made
    assert parse("api weather") == Make("api", model="weather")


@pytest.mark.parametrize(
    ("line", "cell", "says"),
    [
        ("see", None, "%mtor see photo.png"),
        ("listen", None, "%mtor listen talk.wav"),
        ("listen a.wav and more", None, "leave out 'and more'"),
        ("imagine", None, "%mtor imagine a red heart"),
        ("imagine", "  \n", "no words"),
        ("imagine ''", None, "no words"),
        ("say", None, "%mtor say Good morning."),
        ("embed", None, "%mtor embed the sea"),
        ("imagine a heart --steps 9", None, "move --steps to before 'a'"),
        ("imagine --size big a heart", None, "WIDTHxHEIGHT"),
        ("imagine --steps many a heart", None, "invalid int"),
        ("imagine a heart", "a star", "stand below"),
        ("say --temperature 1 hello", None, "--temperature"),
        ("api", None, "Which API?"),
        ("api city=Rome", None, "Which API?"),
        ("api weather Rome", None, "KEY=VALUE"),
        ("api weather =x", None, "KEY=VALUE"),
        ("api weather city='Rome", None, "not closed"),
        ("api Weather! city=Rome", None, "no model is called"),
        ("embed --as 2x the sea", None, "can't be the name"),
    ],
)
def test_what_means_nothing_says_what_to_write_instead(
    line: str, cell: str | None, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse(line, cell)
    assert says in str(refused.value)


def test_words_that_look_like_an_option_of_nothing_are_words() -> None:
    assert parse("imagine a sign that says --hello").prompt == "a sign that says --hello"  # type: ignore[union-attr]


@pytest.mark.parametrize("command", sorted(MAKING))
def test_a_question_mark_at_the_end_of_a_line_asks_nobody_for_help(command: str) -> None:
    (kept,) = keep_questions([f"%mtor {command} something?\n"])
    assert kept.startswith("get_ipython().run_line_magic")
