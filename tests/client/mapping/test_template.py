"""One prompt, filled once a row."""

import math

import pytest

from mtor_kernel.client.mapping.template import Template, is_missing
from mtor_kernel.protocol.errors import BadInput


def filled(prompt: str, /, **row: object) -> str:
    return Template(prompt, row).fill(row.__getitem__)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Sentiment of: {text}", "Sentiment of: fine"),
        ("{text!r} costs {price:.2f}", "'fine' costs 1.50"),
        ("{text}{text}", "finefine"),
        ("keep {{text}} and {text}", "keep {text} and fine"),
        ('as {"label": "…"} of {text}', 'as {"label": "…"} of fine'),
        ("{two words} {2}", "yes second"),
    ],
)
def test_fields_are_filled_and_other_braces_stay(text: str, prompt: str) -> None:
    row = {"text": "fine", "price": 1.5, "two words": "yes", "2": "second"}
    assert filled(text, **row) == prompt


def test_what_was_filled_in_is_not_looked_at_again() -> None:
    assert filled("{a}", a="{b}", b="no") == "{b}"


def test_a_plain_value_goes_by_any_name() -> None:
    assert Template("about {it}", None).fill(lambda _: "rain") == "about rain"
    assert Template("about {}", None).fill(lambda _: "rain") == "about rain"
    with pytest.raises(BadInput, match="each row is one value"):
        Template("{a} and {b}", None)


def test_an_unknown_name_lists_the_columns() -> None:
    with pytest.raises(BadInput, match=r"no column 'txt'. There are: text, price"):
        Template("of {txt}", ["text", "price"])


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_row_without_a_value_says_so(value: object) -> None:
    assert is_missing(value)
    with pytest.raises(BadInput, match="no value in the column 'text'"):
        filled("{text}", text=value)


def test_numbers_are_written_and_bytes_are_not() -> None:
    assert filled("{n}", n=3) == "3"
    with pytest.raises(BadInput, match="decode them"):
        filled("{n}", n=b"abc")
    with pytest.raises(BadInput, match=r"\{n:d\}"):
        filled("{n:d}", n="three")
