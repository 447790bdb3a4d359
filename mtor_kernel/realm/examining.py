"""What a query that comes in would take, and where, or what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import QuotaExceeded
from mtor_kernel.protocol.identity import User
from mtor_kernel.protocol.query import Audio, Query, Text
from mtor_kernel.realm import recordings
from mtor_kernel.realm.lanes import Lane, Lanes
from mtor_kernel.scheduling import fit, pricing
from mtor_kernel.storage.blobs import Blobs


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a query takes of funds and of a quota of tokens."""

    hold_micro: int
    tokens: int

    def or_more(self, other: Bound) -> Bound:
        """Return what covers both."""
        return Bound(max(self.hold_micro, other.hold_micro), max(self.tokens, other.tokens))


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a query goes, and what it may take there (`least`) or anywhere in its chain."""

    lane: Lane
    #: The most that it uses there.
    worst: Usage
    least: Bound
    most: Bound


async def seconds_of(blobs: Blobs, user: User, query: Query) -> float | None:
    """Return how long the longest recording of a query is, as far as that can be seen."""
    found: list[float] = []
    for blob, kind in query.named.items():
        if kind is Audio:
            path, _ = await blobs.open(user.name, blob)
            seconds = await asyncio.to_thread(recordings.seconds_of, path)
            found += [] if seconds is None else [seconds]
    return max(found, default=None)


def check_room(under_way: int, limit: int) -> None:
    """Raise :class:`QuotaExceeded` where no more queries may be under way in all."""
    if under_way >= limit:
        raise QuotaExceeded(
            f"The realm has {under_way:,} queries under way and takes no more: try again in a "
            "while.",
            rule="realm_waiting",
            retry_after_seconds=30.0,
            limit=limit,
            used=under_way,
        )


def examine(
    lanes: Lanes, user: User, query: Query, *, seconds: float | None, max_waiting: int
) -> Plan:
    """Return the lane of a query and what it may take, or raise what is wrong with it.

    `seconds` is the length of its longest recording, where that is known.
    """
    catalogue = lanes.catalogue

    worst: dict[str, Usage] = {}

    def check(spec: ModelSpec) -> None:
        worst[spec.name] = fit.check(catalogue, user, query, spec)
        recordings.check_length(seconds, spec)

    lane, chain = lanes.routes(query.model, check)
    check_room(lanes.under_way, max_waiting)
    least = most = _bound(worst[lane.model], lane.spec)
    for spec in chain:
        if spec is not lane.spec:
            most = most.or_more(_bound(worst[spec.name], spec))
    return Plan(lane, worst[lane.model], least, most)


class Likes:
    """Queries that come together, and differ in their words only: one plan for each length.

    Parameters
    ----------
    examine
        Returns the plan of a query, or raises what is wrong with it.
    check_room
        Raises where no more is taken.
    """

    def __init__(self, examine: Callable[[Query], Plan], check_room: Callable[[], None]) -> None:
        self._examine, self._check_room = examine, check_room
        self._first: Query | None = None
        self._plans: dict[tuple[int, int], Plan] = {}

    def plan(self, query: Query) -> Plan:
        """Return the plan of one of them, or raise what is wrong with it."""
        words = query.messages[-1].text
        if not self._is_like_the_first(query) or "\0" in words:
            return self._examine(query)
        length = len(words), len(words.encode())
        plan = self._plans.get(length)
        if plan is None:
            plan = self._plans[length] = self._examine(query)
        else:
            self._check_room()
        return plan

    def _is_like_the_first(self, query: Query) -> bool:
        """Tell whether only the words of the last message differ."""
        if self._first is None:
            self._first = query
        first, last = self._first.messages[-1], query.messages[-1]
        return (
            len(last.parts) == len(first.parts) == 1
            and isinstance(last.parts[0], Text)
            and isinstance(first.parts[0], Text)
            and first.role == last.role
            and query.messages[:-1] == self._first.messages[:-1]
            and structs.replace(query, messages=()) == structs.replace(self._first, messages=())
        )


def _bound(worst: Usage, spec: ModelSpec) -> Bound:
    return Bound(pricing.price(worst, spec.rates), pricing.tokens_of(worst))
