"""Who serves: the workers that are linked, what each can do, and whether it is well.

A worker dials in by the link (`gateway/link.py`), says hello, beats every few seconds, and sends
its chunks and how each attempt ended. Everything it says names the attempt it is about; what does
not match the current attempt of a query is dropped, and the worker is told to stop working on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from mtor_kernel.protocol.errors import Forbidden, NotFound
from mtor_kernel.protocol.link import (
    Beat,
    Bye,
    Drain,
    Health,
    Load,
    Stop,
    Unload,
    WorkerChunk,
    WorkerHello,
    WorkerNGram,
    WorkerOutcome,
    WorkerProgress,
    WorkerSeveral,
)
from mtor_kernel.protocol.ngram import Progress
from mtor_kernel.protocol.query import Part
from mtor_kernel.protocol.task import Outcome
from mtor_kernel.protocol.units import units
from mtor_kernel.protocol.views import WorkerInfo
from mtor_kernel.realm.attempts import Attempt, Lost
from mtor_kernel.realm.worker import LEASE_SECONDS, Send, Worker
from mtor_kernel.storage.settings import Aside

log = logging.getLogger(__name__)

#: How long a worker whose connection broke has to dial in again. Of a killed worker Dask tells at
#: once.
REDIAL_SECONDS = 2.0
#: How long a worker that has left is expected back: queries for its models wait that long.
RETURN_SECONDS = 120.0
#: What was handed to Dask for a worker that is sent away, and it has not spoken of, comes up within
#: this time.
SETTLE_SECONDS = 1.0


class Audience(Protocol):
    """Who acts on what the workers say: the dispatcher."""

    def current(self, query: str) -> Attempt | None:
        """Return the attempt of `query` that counts now."""

    def capacity_changed(self) -> None:
        """Slots came or went."""


class Workers:
    """All linked workers, by name."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._linked: dict[str, Worker] = {}
        #: Which of them, linked or not, the sysop has set aside.
        self._aside = Aside()
        #: Until when a model is expected back whose worker has left, in monotonic seconds.
        self._missed_until: dict[str, float] = {}

    def join(self, hello: WorkerHello, send: Send, end: Callable[[], None] = lambda: None) -> Link:
        """Link a worker; an older link of the same name is over, and what ran on it is lost.

        Raises
        ------
        Forbidden
            The sysop has removed it.
        """
        former = self._linked.get(hello.worker)
        if hello.worker in self._aside.removed and former is None:
            raise Forbidden(
                f"The sysop has removed {hello.worker}: `mtor sysop resume` lets it in again."
            )
        worker = Worker(hello, send, end, time.monotonic())
        self._linked[hello.worker] = worker
        for model in worker.served:
            self._missed_until.pop(model, None)
        if former is not None:
            self._adopt(former, worker)
        if worker.name in self._aside.both:
            worker.draining = True
            send(Drain())
        elif worker.offers_nothing:
            # By an order that was taken back while it was away, for all that this process knows.
            send(Drain(on=False))
        log.info("worker %s linked, serving %s", worker.name, ", ".join(worker.served) or "nothing")
        self._audience.capacity_changed()
        return Link(self, worker, self._audience)

    def _adopt(self, former: Worker, worker: Worker) -> None:
        """A worker that dialled in again still runs what it ran: its next beat will say so."""
        for attempt in former.attempts.values():
            attempt.worker = worker
        worker.attempts, former.attempts = former.attempts, {}
        worker.zombies = former.zombies
        worker.leaving_since = former.leaving_since

    def leave(self, worker: Worker, reason: str) -> None:
        """Unlink a worker; its attempts are lost."""
        if self._linked.get(worker.name) is not worker:
            return
        del self._linked[worker.name]
        log.info("worker %s left: %s", worker.name, reason)
        if worker.name not in self._aside.removed:
            self.expect(worker.served)
        for attempt in list(worker.attempts.values()):
            attempt.decide(Lost(reason))
        self._audience.capacity_changed()

    def is_linked(self, worker: Worker) -> bool:
        """Tell whether `worker` is the one of its name that counts."""
        return self._linked.get(worker.name) is worker

    def expect(self, models: Iterable[str]) -> None:
        """Workers are about to look anew at what they serve: until they say, `models` may wait."""
        self._missed_until.update(dict.fromkeys(models, time.monotonic() + RETURN_SECONDS))

    def weights(self, model: str) -> tuple[str, ...]:
        """Return what the weights are known by that linked workers have of a model."""
        served = (worker.served.get(model) for worker in self._linked.values())
        return tuple(sorted({one.weights for one in served if one is not None and one.weights}))

    def slots(self, model: str) -> int:
        """Return how many attempts of `model` may run at once on all well workers."""
        now = time.monotonic()
        return sum(worker.slots(model, now) for worker in self._linked.values())

    def threads(self) -> int:
        """Return how many attempts of all models may run at once on all well workers."""
        now = time.monotonic()
        return sum(w.threads for w in self._linked.values() if w.state(now) == "well")

    def serves(self, model: str) -> bool:
        """Tell whether `model` can be expected to run: now, or when a worker is well or back."""
        nobody_yet = not self._linked and not self._aside.removed
        if nobody_yet or time.monotonic() < self._missed_until.get(model, 0.0):
            return True
        return any(
            served.slots or not served.trouble
            for worker in self._linked.values()
            if (served := worker.served.get(model)) is not None
        )

    def models(self) -> set[str]:
        """Return the names of all that any worker serves, or could but for a reason."""
        return {model for worker in self._linked.values() for model in worker.served}

    def trouble(self, model: str) -> str:
        """Return why nobody serves `model`, in a worker's words."""
        for worker in self._linked.values():
            served = worker.served.get(model)
            if served is not None and served.trouble:
                return served.trouble
        return ""

    def well(self, model: str) -> list[str] | None:
        """Return the Dask addresses that may run `model`; ``None`` where all of them may."""
        now = time.monotonic()
        linked = [w for w in self._linked.values() if w.address and model in w.served]
        fit = [w.address for w in linked if w.slots(model, now)]
        # One that was set aside may be a member of the cluster before it has linked, or after.
        return None if len(fit) == len(linked) and not self._aside.both else fit

    def has_loaded(self, model: str) -> bool:
        """Tell whether a well worker has `model` in memory."""
        now = time.monotonic()
        return any(w.slots(model, now) and w.served[model].loaded for w in self._linked.values())

    def near(self, model: str, running: Iterable[Attempt]) -> tuple[list[str], list[str], int]:
        """Return where `model` is in memory, where it could be, and how many more fit the first.

        An attempt of `running` that no worker has spoken of yet may be at the first.
        """
        now = time.monotonic()
        well = [w for w in self._linked.values() if w.address and w.slots(model, now)]
        near = [worker for worker in well if worker.served[model].loaded]
        far = [worker.address for worker in well if worker not in near]
        taken = sum(attempt.worker is None or attempt.worker in near for attempt in running)
        room = max(0, sum(worker.slots(model, now) for worker in near) - taken)
        return [worker.address for worker in near], far, room

    def infos(self) -> list[WorkerInfo]:
        """Return all of them as people see them."""
        now = time.monotonic()
        away = sorted(self._aside.removed.difference(self._linked))
        linked = [worker.info(now) for worker in self._linked.values()]
        return linked + [WorkerInfo(name, "removed") for name in away]

    def named(self, name: str) -> Worker:
        """Return the worker called `name`, or raise :class:`NotFound`."""
        try:
            return self._linked[name]
        except KeyError:
            raise NotFound(f"No worker called {name!r} is linked.") from None

    def require(self, name: str) -> None:
        """Raise :class:`NotFound` unless a worker called `name` is linked, or was set aside."""
        if name not in self._aside.both:
            self.named(name)

    def set_aside(self, to: Aside) -> None:
        """Have these workers take nothing new, also those that are away just now, and all others.

        Of those that are to be removed whoever is linked finishes what it runs and is let go then.
        """
        was, self._aside = self._aside, to
        for worker in self._linked.values():
            draining = worker.name in to.both
            if draining != (worker.name in was.both):
                worker.draining = draining
                worker.send(Drain(draining))
            leaving = worker.name in to.removed
            if leaving != (worker.name in was.removed):
                worker.leaving_since = time.monotonic() if leaving else None
        self._audience.capacity_changed()

    def load(self, name: str, model: str, on: bool) -> None:
        """Have a worker bring a model into memory, or take it out."""
        worker = self.named(name)
        worker.send(Load(model) if on else Unload(model))

    def stop(self, attempt: Attempt) -> None:
        """Tell whoever may run `attempt` to stop it."""
        order = Stop(attempt.ref.query, attempt.ref.attempt)
        known = [attempt.worker] if attempt.worker is not None else list(self._linked.values())
        for worker in known:
            worker.send(order)

    def abandon(self, attempt: Attempt) -> None:
        """The realm has given `attempt` up; until its worker says otherwise it fills a slot."""
        self.release(attempt)
        if attempt.worker is not None:
            attempt.worker.zombies[attempt.ref.query, attempt.ref.attempt] = attempt.slice

    def release(self, attempt: Attempt) -> None:
        """`attempt` is over on its worker too."""
        if attempt.worker is not None:
            attempt.worker.attempts.pop(attempt.query, None)

    def sweep(self, now: float) -> None:
        """Let go of workers that did not dial in again, and of what runs on silent ones."""
        for worker in list(self._linked.values()):
            if worker.gone_at is not None and now - worker.gone_at > REDIAL_SECONDS:
                self.leave(worker, "its connection closed")
            elif (
                worker.leaving_since is not None
                and not worker.attempts
                and now - worker.leaving_since > SETTLE_SECONDS
            ):
                worker.end()
                self.leave(worker, "the sysop has removed it")
            elif worker.attempts and worker.state(now) == "sick":
                for attempt in list(worker.attempts.values()):
                    attempt.decide(Lost(f"its worker was silent for {LEASE_SECONDS:.0f} s"))
                self._audience.capacity_changed()


class Link:
    """What one worker says, carried to where it belongs. All calls are on the event loop."""

    def __init__(self, workers: Workers, worker: Worker, audience: Audience) -> None:
        self._workers = workers
        self._worker = worker
        self._audience = audience

    def heard(self, said: WorkerNGram) -> None:
        """Act on one n-gram of the worker; nothing once another link has taken its place."""
        worker = self._worker
        if not self._workers.is_linked(worker):
            return
        was_sick = worker.state(now := time.monotonic()) == "sick"
        worker.heard_at = now
        if was_sick:
            self._audience.capacity_changed()
        for one in said.said if isinstance(said, WorkerSeveral) else (said,):
            self._take(one, now)

    def _take(self, said: WorkerNGram, now: float) -> None:
        worker = self._worker
        match said:
            case WorkerChunk():
                self._chunk(said, now)
            case Beat():
                self._beat(said, now)
            case WorkerOutcome():
                self._outcome(said, now)
            case WorkerProgress():
                self._progress(said, now)
            case Health():
                worker.update(said.served)
                self._audience.capacity_changed()
            case Bye():
                self._workers.leave(worker, said.reason or "it said goodbye")
            case WorkerHello():
                worker.update(said.served)

    def left(self) -> None:
        """The link is closed."""
        self._worker.gone_at = time.monotonic()
        self._audience.capacity_changed()

    def _attempt(self, query: str, attempt: int, epoch: int, now: float) -> Attempt | None:
        """Return the current attempt if that is what the worker speaks of and it is its own."""
        current = self._audience.current(query)
        if current is None or not current.is_of(query, attempt, epoch):
            return None
        if current.verdict is not None:
            return None
        if current.worker is None:
            current.worker = self._worker
            self._worker.attempts[query] = current
        elif current.worker is not self._worker:
            return None
        current.lease_until = now + LEASE_SECONDS
        return current

    def _chunk(self, said: WorkerChunk, now: float) -> None:
        attempt = self._attempt(said.query, said.attempt, said.epoch, now)
        if attempt is None or said.seq > attempt.stream.length:
            # Stale, or after a loss on the way: the outcome brings all of it.
            if attempt is None:
                self._worker.send(Stop(said.query, said.attempt))
            return
        attempt.heard_at = now
        _add(attempt, said.seq, said.text, said.part)

    def _outcome(self, said: WorkerOutcome, now: float) -> None:
        attempt = self._attempt(said.query, said.attempt, said.epoch, now)
        if attempt is None:
            return
        begin = said.next - len(said.text)
        if begin <= attempt.stream.length:
            _add(attempt, begin, said.text, None)
        if said.next != attempt.stream.length:
            return  # chunks are missing, and the task's result brings them
        attempt.decide(
            Outcome(
                attempt.ref,
                usage=said.usage,
                finish_reason=said.finish_reason,
                cancelled=said.cancelled,
                error=said.error,
                retryable=said.retryable,
                begun=said.begun,
                weights=said.weights,
            )
        )

    def _progress(self, said: WorkerProgress, now: float) -> None:
        attempt = self._attempt(said.query, said.attempt, said.epoch, now)
        if attempt is not None:
            attempt.heard_at = now
            attempt.stream.show(
                Progress(said.query, said.attempt, said.fraction, said.note, said.preview)
            )

    def _beat(self, said: Beat, now: float) -> None:
        worker = self._worker
        worker.memory_bytes, worker.cpu_percent = said.memory_bytes, said.cpu_percent
        for ref in said.running:
            current = self._attempt(ref.query, ref.attempt, ref.epoch, now)
            if current is None:
                worker.send(Stop(ref.query, ref.attempt))
        still = {(ref.query, ref.attempt) for ref in said.running}
        rest = {ref: slot for ref, slot in worker.zombies.items() if ref in still}
        if len(rest) < len(worker.zombies):
            worker.zombies = rest
            self._audience.capacity_changed()


def _add(attempt: Attempt, seq: int, text: str, part: Part | None) -> None:
    """Have an answer grow by what lies at `seq`, but for what it has of that already."""
    skip = attempt.stream.length - seq
    if skip < units(text, part):
        attempt.stream.add(text[skip:], part)
