"""The word error rate, against figures that one can count by hand."""

import pytest

from tests.wer import word_error_rate, word_errors


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("Tea, Earl Grey, hot!", "tea earl grey hot", 0),
        ("one two three", "one three", 1),
        ("one three", "one two three", 1),
        ("one two three", "one too three", 1),
        ("one two three", "", 3),
        ("well-known", "Well known.", 0),
    ],
)
def test_errors_are_counted_in_words(said: str, heard: str, errors: int) -> None:
    assert word_errors(said, heard) == errors
    assert word_errors(heard, said) == errors


def test_the_rate_is_by_what_was_said() -> None:
    assert word_error_rate("one two three four", "one two three") == 0.25
