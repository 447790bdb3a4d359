"""What shows how far a map is, where something better than a line of text can."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mtor_kernel.client.mapping.report import Report
    from mtor_kernel.client.mapping.survey import Estimate


class MapShow(Protocol):
    """Shows one map."""

    @property
    def stopped(self) -> bool:
        """Whether the person has had enough of it."""

    def show(self, report: Report) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Show nothing after this."""


#: Makes what shows so many rows that may cost so much; ``None`` where it cannot.
MakeShow = Callable[[int, "Estimate"], MapShow | None]

_offered: list[MakeShow] = []


def offer(make: MakeShow) -> None:
    """Have maps shown by what `make` makes. Safe to repeat."""
    if make not in _offered:
        _offered.append(make)


def made(total: int, price: Estimate) -> MapShow | None:
    """Return what shows a map here; ``None`` where nothing was offered, or it cannot."""
    shows = (make(total, price) for make in reversed(_offered))
    return next((show for show in shows if show is not None), None)
