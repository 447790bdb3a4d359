"""What lies in memory goes first, but not for ever: which lane starts something next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

Lane = TypeVar("Lane")

#: The longest that a lane is put behind others because its model is not in memory.
BEHIND_SECONDS = 10.0


class Turn(NamedTuple):
    """A lane in which something waits that could start."""

    #: Whether a worker has its model in memory.
    loaded: bool
    #: Since when it could have started something and has not, in monotonic seconds.
    since: float


def in_turn(lanes: Iterable[tuple[Lane, Turn]], now: float) -> list[Lane]:
    """Return the lanes in the order in which they may start something.

    Those that were behind for long, the longest first; then those whose model is in memory; then
    the others. Among equals the order stays, so that a model which is asked for by turns with
    another is not loaded and unloaded by turns.
    """

    def rank(entry: tuple[Lane, Turn]) -> tuple[int, float]:
        turn = entry[1]
        if now - turn.since > BEHIND_SECONDS:
            return 0, turn.since
        return (1 if turn.loaded else 2), 0.0

    return [lane for lane, _ in sorted(lanes, key=rank)]
