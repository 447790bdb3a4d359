"""The table: one row a figure, beside the floor that was measured in the same run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_COLUMNS = (
    (44, "figure"),
    (12, "MTOR"),
    (12, "floor"),
    (8, "ratio"),
    (19, "the floor is"),
    (0, "aim"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes
    ----------
    floor, floor_is
        What the same would cost without MTOR, and how that was done; ``None``: there is no such
        thing.
    ratio
        MTOR's by the floor's; by default the quotient of the two.
    aim, met
        What issue and design ask for, and whether it was reached here.
    """

    figure: str
    value: float
    unit: str = ""
    floor: float | None = None
    floor_is: str = ""
    ratio: float | None = None
    aim: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return what stands in the columns."""
        ratio = self.ratio
        if ratio is None and self.floor:
            ratio = self.value / self.floor
        verdict = {True: "met: ", False: "MISSED: ", None: ""}[self.met]
        return (
            self.figure,
            _amount(self.value, self.unit),
            "" if self.floor is None else _amount(self.floor, self.unit),
            "" if ratio is None else f"{ratio:.2f}",
            self.floor_is,
            verdict + self.aim,
        )


def header() -> str:
    """Return the table's first lines."""
    names = [name for _, name in _COLUMNS]
    return f"{_line(names)}\n{_line('-' * len(name) for name in names)}"


def lines(title: str, rows: Iterable[Row]) -> str:
    """Return a section of the table."""
    return "\n".join([f"\n{title}", *(_line(row.cells()) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    padded = []
    for (width, name), cell in zip(_COLUMNS, cells, strict=True):
        right = name in ("MTOR", "floor", "ratio")
        padded.append(cell.rjust(width) if right else cell.ljust(width))
    return "  ".join(padded).rstrip()


def _amount(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}".strip()
