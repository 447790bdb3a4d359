"""What a map has found: answers and failures, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import RealmError

#: Why a row has no answer where a map ended before it.
NOT_ASKED = "The map ended before it: run the same map again to go on."


class Mapped(list[Any]):
    """A list of answers, in the order of the rows; ``None`` where there is none."""

    def __init__(self, values: Iterable[Any], errors: dict[int, str]) -> None:
        super().__init__(values)
        #: Why a row has no answer, by its position.
        self.errors = errors


class Found:
    """The answers of some rows, so far."""

    def __init__(self, count: int) -> None:
        self.values: list[Any] = [None] * count
        self.errors: dict[int, RealmError] = {}
        self.ended = bytearray(count)

    def answer(self, at: int, value: Any) -> None:
        """Row `at` has an answer."""
        self.values[at] = value
        self.ended[at] = 1

    def fail(self, at: int, error: RealmError) -> None:
        """Row `at` has none."""
        self.errors[at] = error
        self.ended[at] = 1

    def sentences(self) -> dict[int, str]:
        """Return why rows have no answer, by position, those not asked included."""
        told = {at: self.errors[at].message for at in sorted(self.errors)}
        if len(told) < len(self.ended):
            told |= {at: NOT_ASKED for at, ended in enumerate(self.ended) if not ended}
        return told


class Report:
    """How a map went; ``realm.last_map`` is the latest. ``str()`` of it is one line.

    It is there while the map runs, after an interrupt and after an error too.
    """

    def __init__(self, counts: list[int], give: Callable[[list[Found]], Any]) -> None:
        #: Rows in all.
        self.total = sum(counts)
        #: Rows with an answer, and without one.
        self.done = 0
        self.failed = 0
        #: Answers that an earlier run had got: they cost nothing now.
        self.earlier = 0
        #: What this run was charged.
        self.charged_micro = 0
        #: What the run waits for, in a sentence; empty where it does not.
        self.waits = ""
        self._counts = counts
        self._give = give
        self._parts: list[Found] = []

    def __str__(self) -> str:
        told = [f"{self.done:,} of {self.total:,} rows answered"]
        told += [f"{self.failed:,} failed"] if self.failed else []
        told += [f"{self.earlier:,} from before"] if self.earlier else []
        return f"{', '.join(told)}; {show_credits(self.charged_micro)} credits."

    def __repr__(self) -> str:
        return f"<Report: {self}>"

    @property
    def errors(self) -> dict[int, RealmError]:
        """Why rows have no answer, by their position from 0; rows not asked are not among them."""
        told: dict[int, RealmError] = {}
        before = 0
        for part in self._parts:
            told |= {before + at: error for at, error in sorted(part.errors.items())}
            before += len(part.values)
        return told

    def result(self) -> Any:
        """Return what there is, as the kind that was given: also after an interrupt."""
        rest = [Found(count) for count in self._counts[len(self._parts) :]]
        return self._give([*self._parts, *rest])

    def part(self, found: Found) -> None:
        """The next rows are asked; their answers will be in `found`."""
        self._parts.append(found)
