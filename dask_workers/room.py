"""Which models make room for another one. Values and a clock in, values out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple

#: How long a model stays at least: loading it must not be for nothing.
RESIDENCY_SECONDS = 20.0
#: How long one waits for room before those in use take nobody new until it is given.
PATIENCE_SECONDS = 20.0


class Room(NamedTuple):
    """An amount of memory, in MiB."""

    memory_mb: float = 0.0
    vram_mb: float = 0.0

    def holds(self, other: Room) -> bool:
        """Tell whether `other` fits into this."""
        return other.memory_mb <= self.memory_mb and other.vram_mb <= self.vram_mb

    def plus(self, other: Room) -> Room:
        """Return both together."""
        return Room(self.memory_mb + other.memory_mb, self.vram_mb + other.vram_mb)

    def minus(self, other: Room) -> Room:
        """Return what is left of this without `other`."""
        return Room(self.memory_mb - other.memory_mb, self.vram_mb - other.vram_mb)


#: Where nobody counts.
BOUNDLESS = Room(float("inf"), float("inf"))


class Stay(enum.Enum):
    """Whether a model has a place in memory."""

    OUT = "out"
    IN = "in"
    #: On its way out: its place is not free yet.
    GOING = "going"


class Seat:
    """The place of one model in memory, taken or not."""

    def __init__(self, name: str, need: Room, unload: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.need = need
        #: Takes it out of memory.
        self.unload = unload
        self.stay = Stay.OUT
        #: Attempts that use it, or wait until it is loaded.
        self.users = 0
        #: When it came, and when it was last used, in monotonic seconds.
        self.since = self.used_at = 0.0
        #: It is to leave when its last user has, and takes nobody new until then: that was ordered.
        self.leaving = False
        #: It is not served any more, and leaves when nobody uses it.
        self.forgotten = False
        #: It takes nobody new, so that somebody who has waited long gets room.
        self.draining = False


class Plan(NamedTuple):
    """How there will be room."""

    #: Who has to leave, all of them idle; ``None``: there is no room to be had now.
    leave: tuple[Seat, ...] | None
    #: Who is in use, and should take nobody new so that there will be room.
    drain: tuple[Seat, ...] = ()
    #: When to look again, even if nothing happens.
    again_at: float = float("inf")


def make_room(
    need: Room,
    budget: Room,
    seats: Iterable[Seat],
    now: float,
    waited: float,
    *,
    residency: float = RESIDENCY_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Plan:
    """Return who has to leave for `need`: the idle ones that were not used for longest.

    Nobody who is in use leaves, and nobody who came less than `residency` seconds ago. Who has
    waited for `patience` may ask those in use to take nobody new.
    """
    taken = [seat for seat in seats if seat.stay is not Stay.OUT]
    free = budget
    for seat in taken:
        free = free.minus(seat.need)
    if free.holds(need):
        return Plan(())
    for seat in taken:
        free = free.plus(seat.need if seat.stay is Stay.GOING else Room())
    if free.holds(need):
        return Plan(None)  # as soon as those have gone
    ripe = [s for s in taken if s.stay is Stay.IN and now - s.since >= residency]
    ripe.sort(key=lambda seat: (seat.users > 0, seat.used_at))
    chosen = _enough(need, free, ripe)
    if chosen is None:
        again = [s.since + residency for s in taken if s.stay is Stay.IN and s not in ripe]
        return Plan(None, again_at=min(again, default=float("inf")))
    if not any(seat.users for seat in chosen):
        return Plan(chosen)
    if waited >= patience:
        return Plan(None, drain=chosen)
    return Plan(None, again_at=now + patience - waited)


def _enough(need: Room, free: Room, ripe: list[Seat]) -> tuple[Seat, ...] | None:
    """Return the first of `ripe` that are enough, without those that would not help."""
    chosen: list[Seat] = []
    for seat in ripe:
        if free.holds(need):
            break
        chosen.append(seat)
        free = free.plus(seat.need)
    if not free.holds(need):
        return None
    for seat in reversed(chosen[:-1]):
        if free.minus(seat.need).holds(need):
            free = free.minus(seat.need)
            chosen.remove(seat)
    return tuple(chosen)
