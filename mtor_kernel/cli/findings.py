"""What a check of ``mtor doctor`` finds."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class Mark(enum.StrEnum):
    """How bad it is."""

    WELL = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    mark: Mark
    text: str


def verdict(what: str, problems: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each problem, or one that there is none."""
    found = [Finding(Mark.BAD, f"{what}: {problem}") for problem in problems]
    yield from found or [Finding(Mark.WELL, f"nothing is wrong with the {what}")]
