"""What stands after ``%mtor history``."""

import pytest
from IPython.core.error import UsageError

from mtor_kernel.magics.past import parse_past


def test_words_search_and_options_restrict() -> None:
    assert parse_past("") == {
        "search": "",
        "model": "",
        "status": "",
        "since": None,
        "until": None,
        "limit": 20,
    }
    found = parse_past("-m smollm2 --status failed --since 2026-11-22 --until today -n 5 the sea")
    assert found["search"] == "the sea"
    assert (found["model"], found["status"], found["limit"]) == ("smollm2", "failed", 5)
    assert (found["since"], found["until"]) == ("2026-11-22", "today")


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("--status done", "settled"),
        ("-n 0", "between"),
        ("-n x", "int"),
        ("--nosuch", "unrecognized"),
    ],
)
def test_what_means_nothing_is_refused(rest: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_past(rest)
