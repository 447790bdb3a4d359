"""One linked worker: what it serves, what runs on it, and whether it is well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mtor_kernel.protocol.link import LinkNGram, Served, WorkerHello
from mtor_kernel.protocol.views import ServedInfo, WorkerInfo

if TYPE_CHECKING:
    from mtor_kernel.realm.attempts import Attempt
    from mtor_kernel.realm.slices import Slice

#: A worker that says nothing for this long is sick, and its attempts are lost.
LEASE_SECONDS = 15.0
#: A silence up to this is none: the worker beats every few seconds.
QUIET_SECONDS = 6

Send = Callable[[LinkNGram], None]


class Worker:
    """One linked worker."""

    def __init__(self, hello: WorkerHello, send: Send, end: Callable[[], None], now: float) -> None:
        self.name = hello.worker
        self.address = hello.address
        self.threads = hello.threads
        self.send = send
        #: Ends its connection.
        self.end = end
        self.served: dict[str, Served] = {}
        self.update(hello.served)
        self.heard_at = now
        self.memory_bytes = 0
        self.cpu_percent = 0.0
        self.draining = False
        #: Since when it is wanted away, once it has nothing to do any more; ``None``: it is not.
        self.leaving_since: float | None = None
        #: Attempts known to run on it, by query.
        self.attempts: dict[str, Attempt] = {}
        #: Attempts that the realm has given up and the worker has not, with the slots that they
        #: still fill.
        self.zombies: dict[tuple[str, int], Slice] = {}
        #: When its connection broke; ``None`` while it is linked.
        self.gone_at: float | None = None

    def update(self, served: Iterable[Served]) -> None:
        """Take over what it says that it serves."""
        self.served = {model.model: model for model in served}

    @property
    def offers_nothing(self) -> bool:
        """Whether it says that it takes nothing of what it serves, as one does that drains."""
        return bool(self.served) and not any(served.slots for served in self.served.values())

    def state(self, now: float) -> str:
        """Return ``well``, ``sick``, ``draining`` or ``lost``."""
        if self.gone_at is not None:
            return "lost"
        if now - self.heard_at > LEASE_SECONDS:
            return "sick"
        return "draining" if self.draining else "well"

    def slots(self, model: str, now: float) -> int:
        """Return how many attempts of `model` it may run at once now."""
        served = self.served.get(model)
        if served is None or self.state(now) != "well":
            return 0
        filled = {slot for slot in self.zombies.values() if slot.lane.model == model and slot.over}
        return max(0, served.slots - len(filled))

    def info(self, now: float) -> WorkerInfo:
        """Return it as people see it."""
        slots = {attempt.slice for attempt in self.attempts.values()}
        running = [slot.lane.model for slot in slots]
        silent = round(now - self.heard_at)
        return WorkerInfo(
            self.name,
            self.state(now),
            tuple(
                ServedInfo(s.model, s.slots, running.count(s.model), s.loaded, s.trouble, s.weights)
                for s in self.served.values()
            ),
            silent_seconds=float(silent if silent > QUIET_SECONDS else 0),
            memory_bytes=self.memory_bytes,
            cpu_percent=self.cpu_percent,
        )
