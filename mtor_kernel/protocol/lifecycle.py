"""The stages of a query and the one table of legal steps.

::

    queued ──► running ──► settled
      ▲  │        │ │ │
      │  │        │ │ └──► failed
      └──┼────────┘ └────► cancelled
         └──► failed, cancelled

A query is born ``queued``, in the transaction that also places its hold; until then it does not
exist. ``running`` means that an attempt was written down and handed to a worker. Back from
``running`` to ``queued`` is a requeue: the attempt is over and the next one will have the next
number. The three ends are final: nothing leaves them.
"""

from __future__ import annotations

import enum


class Stage(enum.StrEnum):
    """Where a query stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: From each stage, the stages that may follow.
STEPS: dict[Stage, frozenset[Stage]] = {
    Stage.QUEUED: frozenset({Stage.RUNNING, Stage.FAILED, Stage.CANCELLED}),
    Stage.RUNNING: frozenset({Stage.QUEUED, Stage.SETTLED, Stage.FAILED, Stage.CANCELLED}),
    Stage.SETTLED: frozenset(),
    Stage.FAILED: frozenset(),
    Stage.CANCELLED: frozenset(),
}

#: Stages that nothing leaves.
ENDS = frozenset(stage for stage, following in STEPS.items() if not following)


class IllegalStep(AssertionError):
    """A step that the table does not have: a bug, never a user's mistake."""


def step(start: Stage, finish: Stage) -> Stage:
    """Return `finish`, or raise :class:`IllegalStep` where the table has no such step."""
    if finish not in STEPS[start]:
        raise IllegalStep(f"no query goes from {start} to {finish}")
    return finish
