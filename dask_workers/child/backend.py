"""The worker's side: a backend like any other, whose work is done by a child process."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from dask_workers.child.frames import Ask, Ended, Kept, Ready, Said, Stop, ToWorker, Want
from dask_workers.child.process import Child
from mtor_kernel.protocol.backend import Backend, Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, RealmError, Unavailable, from_info
from mtor_kernel.protocol.query import Modality, Query

log = logging.getLogger(__name__)

#: How long a child may go on with a query after it was told to stop.
HEED_SECONDS = 2.0
#: How long one that was killed is waited for; the kernel may take its time with much memory.
GONE_SECONDS = 10.0
#: How long it may take to load its model.
LOAD_SECONDS = 900.0
#: Seconds before the next start, after the first, second, … death in a row without an answer.
BACKOFF_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: Things that a child has said and nobody has taken yet; then it has to wait.
_AHEAD = 256
#: Between two looks whether somebody will still take something.
_LOOK_SECONDS = 0.5


class _Died(Exception):
    """The child is gone; the text says how."""


class _Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Talk:
    """One query that the child answers. What it says is put here by the thread that listens."""

    def __init__(self, context: Context, child: Child) -> None:
        self.context, self.child = context, child
        self.heard: queue.Queue[Said | Ended | _Died | None] = queue.Queue(_AHEAD)

    def wake(self) -> None:
        """Have whoever takes look up; if it has something to take it does so anyway."""
        with suppress(queue.Full):
            self.heard.put_nowait(None)

    def break_off(self, died: _Died) -> None:
        """Say that nothing more comes. What was not taken yet does not matter any more."""
        while True:
            try:
                self.heard.put_nowait(died)
                return
            except queue.Full:
                with suppress(queue.Empty):
                    self.heard.get_nowait()


class IsolatedBackend:
    """Any backend, in a process of its own.

    * A child that dies fails the queries it was answering, so that they are tried again, and
      nothing else. The next query starts it anew, after a pause that grows from death to death.
    * One that says nothing for the model's `silence_seconds`, or does not heed a cancel within two
      seconds, is killed.
    * Its room is free, and the next one is started, only when it is gone.
    * It never outlives the worker.
    """

    modalities: ClassVar[frozenset[Modality]] = frozenset(Modality)

    def __init__(self, spec: ModelSpec, place: str, inner: Backend) -> None:
        self._spec, self._place, self._inner = spec, place, inner
        self._starting = threading.Lock()
        self._child: Child | None = None
        #: Those that were killed, and may still hold their memory.
        self._dying: set[Child] = set()
        self._talks: dict[int, Talk] = {}
        self._numbers = itertools.count(1)
        self._deaths = 0
        self._died_at = 0.0

    def missing(self) -> str:
        return self._inner.missing()

    def files(self) -> Iterable[Path]:
        """Return the files of its weights, where the backend can tell."""
        files = getattr(self._inner, "files", None)
        return files() if files else ()

    @property
    def pid(self) -> int:
        """The child's process; 0 while there is none."""
        child = self._child
        return child.pid if child else 0

    def load(self) -> None:
        with self._starting:
            if self._child is None:
                self._bury()
                self._start()

    def unload(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._kill(child, "it was unloaded")
        self._bury()

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        yield from self._revive(context)
        child = self._child
        if child is None or context.cancelled:
            return
        talk, number = Talk(context, child), next(self._numbers)
        self._talks[number] = talk
        context.on_cancel(talk.wake)
        child.send(Ask(number, query))
        if self._child is not child:  # it has died before it could know who waits
            talk.break_off(_Died("it died just before"))
        ended = False
        try:
            for said in self._listen(talk, child):
                yield said
                self._deaths = 0 if isinstance(said, Done) else self._deaths
            ended = True
        except (RealmError, MemoryError):
            ended = True
            raise
        except _Cancelled:
            return
        finally:
            if not ended:
                self._halt(talk, number, child)
            self._talks.pop(number, None)

    def _listen(self, talk: Talk, child: Child) -> Iterator[Delta | Step | Done]:
        """Yield what the child says, until it has ended; raise what it raised.

        A cancel ends it at once, with the child still at work.
        """
        while True:
            try:
                heard = talk.heard.get(timeout=self._spec.silence_seconds)
            except queue.Empty:
                self._end(child, f"it said nothing for {self._spec.silence_seconds:g} s")
                heard = self._last(talk)
            if talk.context.cancelled:
                raise _Cancelled
            match heard:
                case Said(delta=delta, step=step, done=done):
                    yield delta or step or done  # type: ignore[misc]  # one of them is there
                case Ended(error=None):
                    return
                case Ended() | _Died():
                    raise self._error(heard)

    def _halt(self, talk: Talk, number: int, child: Child) -> None:
        """Have the child stop working on a query, or end it if it does not."""
        child.send(Stop(number))
        until = time.monotonic() + HEED_SECONDS
        while True:
            try:
                heard = talk.heard.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self._end(child, "it did not heed the cancel of a query")
                return
            if isinstance(heard, Ended | _Died):
                return

    def _last(self, talk: Talk) -> Said | Ended | _Died | None:
        """Return what a child that was killed leaves."""
        while not isinstance(heard := talk.heard.get(), _Died | Ended):
            pass
        return heard

    def _revive(self, context: Context) -> Iterator[Step]:
        """Start the child anew if it has died, after a pause if it does so again and again."""
        while self._child is None and not context.cancelled:
            pause = BACKOFF_SECONDS[min(self._deaths, len(BACKOFF_SECONDS)) - 1]
            left = self._died_at + (pause if self._deaths else 0.0) - time.monotonic()
            yield Step(0.0, f"starting {self._spec.name} anew…")
            if left > 0:
                cancelled = threading.Event()
                context.on_cancel(cancelled.set)
                if cancelled.wait(left):
                    return
            self.load()

    def _start(self) -> None:
        ready: queue.Queue[Ready | _Died] = queue.Queue()

        def ended(why: str) -> None:
            ready.put(_Died(why))
            self._gone(child, why)

        def hear(frame: ToWorker, attached: bytes) -> None:
            if isinstance(frame, Ready):
                ready.put(frame)
            else:
                self._hear(child, frame, attached)

        child = Child(self._spec)
        child.open(self._place, hear, ended)
        try:
            told = ready.get(timeout=LOAD_SECONDS)
        except queue.Empty:
            told = _Died(f"it was not ready within {LOAD_SECONDS:.0f} s")
        if isinstance(told, Ready) and told.error is None:
            self._child = child
            if not ready.empty():  # it died the moment after
                self._child = None
            return
        self._kill(child, "its model could not be loaded")
        if isinstance(told, _Died):
            self._count_death()
            raise self._error(told)
        raise MemoryError if told.memory else from_info(_info(told))

    def _hear(self, child: Child, frame: ToWorker, attached: bytes) -> None:
        match frame:
            case Said(talk=number) | Ended(talk=number):
                self._give(number, frame)
            case Want():
                # It waits for the gateway, and the others' words must not wait with it.
                threading.Thread(
                    target=self._serve, args=(child, frame, attached), daemon=True
                ).start()

    def _give(self, number: int, frame: Said | Ended) -> None:
        """Hand on what the child says; wait while nobody takes it, as long as somebody will."""
        while (talk := self._talks.get(number)) is not None:
            with suppress(queue.Full):
                talk.heard.put(frame, timeout=_LOOK_SECONDS)
                return

    def _serve(self, child: Child, want: Want, attached: bytes) -> None:
        """Read or keep a blob for the child."""
        talk = self._talks.get(want.talk)
        try:
            if talk is None:
                raise Unavailable("The query is over.")
            if want.mime:
                child.send(Kept(want.want, talk.context.write_blob(attached, want.mime)))
            else:
                child.send(Kept(want.want), talk.context.read_blob(want.blob))
        except RealmError as error:
            child.send(Kept(want.want, error=error.info()))
        except Exception:
            log.exception("a blob for %s failed", self._spec.name)
            failed = Unavailable("The blob could not be had: ask again.")
            child.send(Kept(want.want, error=failed.info()))

    def _end(self, child: Child, why: str) -> None:
        """Kill a child that has gone wrong; the next query gets another one."""
        self._kill(child, why)
        self._lost(child, why)

    def _kill(self, child: Child, why: str) -> None:
        """Kill a child. Whoever needs its room waits until it is gone, and nobody else."""
        self._dying.add(child)
        child.kill(why)

    def _bury(self) -> None:
        """Wait until those that were killed are gone; not for ever."""
        for child in list(self._dying):
            if not child.wait(GONE_SECONDS):
                log.warning("process %d of %s does not end", child.pid, self._spec.name)
            self._dying.discard(child)

    def _gone(self, child: Child, why: str) -> None:
        """The child has ended: tell everybody who waits for it."""
        self._lost(child, why)
        for talk in list(self._talks.values()):
            if talk.child is child:
                talk.break_off(_Died(why))

    def _lost(self, child: Child, why: str) -> None:
        if self._child is child:
            self._child = None
            self._count_death()
            log.warning("the process of %s has ended: %s", self._spec.name, why)

    def _count_death(self) -> None:
        self._deaths += 1
        self._died_at = time.monotonic()

    def _error(self, heard: Ended | _Died) -> Exception:
        if isinstance(heard, _Died):
            return BackendFailed(
                f"The process of {self._spec.name} broke off: {heard}. Ask again; it is started "
                "anew."
            )
        return MemoryError() if heard.memory else from_info(_info(heard))


def _info(frame: Any) -> Any:
    assert frame.error is not None
    return frame.error
