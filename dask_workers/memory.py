"""A worker's memory, shared by its models: who may come in, who waits, who leaves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from dask_workers.machine import gpus
from dask_workers.room import (
    BOUNDLESS,
    PATIENCE_SECONDS,
    RESIDENCY_SECONDS,
    Room,
    Seat,
    Stay,
    make_room,
)
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import ResourceExhausted

#: How much of what there is models may have, unless the operator says.
_SHARE = 0.8
_MB = 1 << 20


class Waiter(Protocol):
    """Who waits for room: an attempt."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Have `stop` called when that is so."""


class Forever:
    """Waits as long as it takes."""

    cancelled = False

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Never."""


class NoWait(Forever):
    """Does not wait at all."""


def detect() -> Room:
    """Return what models may have here: ``MTOR_MEMORY_MB``, ``MTOR_VRAM_MB``, or most of all.

    Of several GPUs the largest counts: one worker a GPU is the rule.
    """
    from distributed.system import MEMORY_LIMIT  # knows containers and limits

    memory = os.environ.get("MTOR_MEMORY_MB") or MEMORY_LIMIT * _SHARE / _MB
    vram = os.environ.get("MTOR_VRAM_MB") or max(gpus(), default=0) * _SHARE
    return Room(float(memory), float(vram))


class Memory:
    """Gives out the room of one worker. Safe to use from any thread.

    * A model in use is never unloaded, and one that has just come stays for a while.
    * Who waits for room waits in line. Where there is room already, one comes in all the same.
    * Who has waited long gets its turn: those in its way take nobody new until it has.

    Parameters
    ----------
    budget
        What all models may have together.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, budget: Room = BOUNDLESS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Without a GPU a model runs on the processor, and takes no GPU's memory.
        self._counts_vram = budget.vram_mb > 0
        self._budget = budget if self._counts_vram else budget._replace(vram_mb=float("inf"))
        self._clock = clock
        #: How long a model stays at least, and how long one waits before others must give way.
        self.residency, self.patience = RESIDENCY_SECONDS, PATIENCE_SECONDS
        self._changed = threading.Condition()
        #: Those of models that are served, or that somebody uses or waits for all the same.
        self._seats: dict[Seat, None] = {}
        self._line: list[Seat] = []

    def seat(self, spec: ModelSpec, unload: Callable[[], None]) -> Seat:
        """Return the place of a model that is not in memory yet; `unload` will take it out."""
        need = Room(spec.memory_mb, spec.vram_mb if self._counts_vram else 0)
        seat = Seat(spec.name, need, unload)
        with self._changed:
            self._seats[seat] = None
        return seat

    def refusal(self, spec: ModelSpec) -> str:
        """Return why a model can never come in; empty if it can."""
        budget = self._budget
        if spec.memory_mb > budget.memory_mb:
            return _too_large("memory", spec.memory_mb, budget.memory_mb, "MTOR_MEMORY_MB")
        if self._counts_vram and spec.vram_mb > budget.vram_mb:
            return _too_large("GPU memory", spec.vram_mb, budget.vram_mb, "MTOR_VRAM_MB")
        return ""

    def enter(
        self, seat: Seat, waiter: Waiter, tell: Callable[[str], None] = lambda note: None
    ) -> None:
        """Count one more user of a model, once there is room for it.

        Raises
        ------
        ResourceExhausted
            It was cancelled while it waited, or there is no room and it does not wait.
        """
        with self._changed:
            if self._welcome(seat):
                return
            self._line.append(seat)
            self._seats[seat] = None  # also one that was forgotten meanwhile: it counts
            began, told = self._clock(), False
            try:
                waiter.on_cancel(self.look_again)
                while not self._welcome(seat):
                    if waiter.cancelled:
                        raise ResourceExhausted(f"Nobody waits for {seat.name} any more.")
                    again = self._advance(seat, began)
                    if again is None:
                        continue
                    if isinstance(waiter, NoWait):
                        raise ResourceExhausted(f"There is no room in memory for {seat.name} now.")
                    if told:
                        self._changed.wait(again if again < float("inf") else None)
                        continue
                    told = True
                    with self._unlocked():
                        tell(f"waiting for room in memory for {seat.name}")
            finally:
                self._line.remove(seat)
                self._drop(seat)
                for other in self._seats:
                    other.draining = False  # whoever is the first now thinks anew
                self._changed.notify_all()

    def leave(self, seat: Seat) -> None:
        """One user less. The last of a model that is to leave sees it out."""
        with self._changed:
            seat.users -= 1
            seat.used_at = self._clock()
            self._changed.notify_all()
            if seat.leaving or seat.forgotten:
                self._see_out(seat)

    def expel(self, seat: Seat) -> None:
        """Have a model leave now, or when its last user is gone."""
        with self._changed:
            seat.leaving = True
            self._see_out(seat)

    def forget(self, seat: Seat) -> None:
        """A model is not served any more: it leaves for good, after those who have asked for it."""
        with self._changed:
            seat.forgotten = True
            self._see_out(seat)
            self._drop(seat)

    def _drop(self, seat: Seat) -> None:
        """Count no more with a model that is out, and that nobody will ask for again."""
        if seat.forgotten and seat.stay is Stay.OUT and seat not in self._line:
            self._seats.pop(seat, None)

    def _welcome(self, seat: Seat) -> bool:
        """Let one more user in where the model is there, and takes somebody new."""
        if seat.stay is not Stay.IN or seat.leaving or seat.draining:
            return False
        seat.users += 1
        seat.used_at = self._clock()
        return True

    def _advance(self, seat: Seat, began: float) -> float | None:
        """Do what can be done for one in line: others leave for the first only.

        Return for how many seconds to wait for something to change; ``None``: look again at once.
        """
        if seat.stay is not Stay.OUT:
            return float("inf")
        now = self._clock()
        plan = make_room(
            seat.need,
            self._budget,
            self._seats,
            now,
            now - began,
            residency=self.residency,
            patience=self.patience,
        )
        if plan.leave != () and self._line[0] is not seat:
            return float("inf")
        if plan.leave is None:
            for other in plan.drain:
                other.draining = True
            return max(0.0, plan.again_at - now)
        for other in plan.leave:
            self._see_out(other)
        if not plan.leave:
            seat.stay, seat.leaving = Stay.IN, False
            seat.since = seat.used_at = now
        return None

    def _see_out(self, seat: Seat) -> None:
        """Unload an idle model."""
        if seat.stay is not Stay.IN or seat.users:
            return
        seat.stay = Stay.GOING
        try:
            with self._unlocked():
                seat.unload()
        finally:
            seat.stay, seat.leaving = Stay.OUT, False
            self._drop(seat)
            self._changed.notify_all()

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        """Let others in while something takes its time."""
        self._changed.release()
        try:
            yield
        finally:
            self._changed.acquire()

    def look_again(self) -> None:
        """Have whoever waits look whether something has changed."""
        with self._changed:
            self._changed.notify_all()


def _too_large(what: str, need: float, budget: float, variable: str) -> str:
    return (
        f"It takes {need:,.0f} MB of {what} and the models of this worker may have {budget:,.0f} "
        f"MB: choose a smaller one, or raise {variable}."
    )
