"""The replay of this process. A kernel has one notebook, so one replay serves all its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtor_kernel.client.replay.replay import Replay

_here: list[Replay] = []


def current() -> Replay | None:
    """Return the replay that clients of this process look at, if there is one."""
    return _here[0] if _here else None


def use(replay: Replay | None) -> None:
    """Have every client of this process look at `replay` from now on."""
    _here[:] = [] if replay is None else [replay]
