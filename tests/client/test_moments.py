"""Days and times as people write them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mtor_kernel.client.moments import since, until
from mtor_kernel.protocol.errors import BadInput


def local(*when: int) -> float:
    return datetime(*when).timestamp()  # type: ignore[arg-type]  # noqa: DTZ001 - a local time


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ("2026-11-22", local(2026, 11, 22), local(2026, 11, 23)),
        (date(2026, 11, 22), local(2026, 11, 22), local(2026, 11, 23)),
        ("2026-12", local(2026, 12, 1), local(2027, 1, 1)),
        ("2026-11-22 14:30", local(2026, 11, 22, 14, 30), local(2026, 11, 22, 14, 30)),
        ("2026-11-22T14:30:00+00:00", datetime(2026, 11, 22, 14, 30, tzinfo=UTC).timestamp(), None),
        (1_000_000.5, 1_000_000.5, 1_000_000.5),
    ],
)
def test_a_moment_has_a_beginning_and_an_end(
    moment: str | date | float, first: float, last: float | None
) -> None:
    assert since(moment) == first
    assert last is None or until(moment) == last


def test_today_follows_yesterday() -> None:
    assert until("yesterday") == since("Today")
    assert since(date.today() - timedelta(days=1)) == since("yesterday")  # noqa: DTZ011
    assert since(None) is until(None) is None


@pytest.mark.parametrize("word", ["", "soon", "2026-13", "2026-02-30", "22.11.2026", "9" * 400])
def test_what_is_no_moment_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="no day or time"):
        since(word)
