"""What Dask calls, for an attempt or for a slice of them, and what an attempt goes through in it.

The scheduler imports this module too, so nothing heavy is imported here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from dask_workers.rows import LASTING, Sink, take_turns
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Backend, Delta, Done, Step
from mtor_kernel.protocol.codec import MAX_DEPTH, MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    Malformed,
    RealmError,
    ResourceExhausted,
    Unavailable,
    WorkerLost,
)
from mtor_kernel.protocol.link import AttemptRef
from mtor_kernel.protocol.query import Query
from mtor_kernel.protocol.task import MAX_ROWS, Outcome, Slice, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_workers.attempts import Attempt
    from dask_workers.publisher import Publisher
    from dask_workers.runtime import Runtime

log = logging.getLogger(__name__)

#: A query came in one frame; its model's entry comes on top.
MAX_TASK_BYTES = 4 * MAX_FRAME_BYTES
MAX_SLICE_BYTES = MAX_ROWS * MAX_TASK_BYTES
#: Levels of nesting around a query in a slice.
SLICE_DEPTH = 3
#: Name of the attribute of a Dask worker that holds its :class:`~dask_workers.runtime.Runtime`.
RUNTIME = "mtor"


class _Named(msgspec.Struct):
    """What of a payload must be right for its outcome to have an address."""

    attempt: AttemptRef


class _AllNamed(msgspec.Struct):
    """The same of a slice."""

    rows: tuple[_Named, ...]


def task_key(query: str, attempt: int) -> str:
    """Return the Dask key of an attempt's task."""
    return f"mtor-{query}-{attempt}"


def slice_key(query: str, attempt: int) -> str:
    """Return the Dask key of the slice that begins with that attempt."""
    return f"mtor-slice-{query}-{attempt}"


def parse_key(key: object) -> tuple[str, int] | None:
    """Return query and attempt of a Dask key, or ``None`` for a slice or another's task."""
    match str(key).split("-"):
        case ["mtor", query, number] if number.isdecimal():
            return query, int(number)
    return None


def runtime_name(gateway: str) -> str:
    """Return the name of the attribute that holds a Dask worker's runtime for a gateway."""
    return f"{RUNTIME}_{gateway}" if gateway else RUNTIME


def run_query(payload: bytes) -> bytes:
    """Run one attempt on this Dask worker.

    Parameters
    ----------
    payload
        A :class:`~mtor_kernel.protocol.task.Task` as JSON.

    Returns
    -------
    bytes
        An :class:`~mtor_kernel.protocol.task.Outcome` as JSON, whatever happened.

    Raises
    ------
    Malformed
        The payload does not even name an attempt.
    """
    try:
        task = decode(payload, Task, limit=MAX_TASK_BYTES)
    except RealmError as error:
        return encode(Outcome(_attempt_of(payload), error=error.info()))
    runtime = _runtime(task.gateway)
    return encode(_not_ready(task.attempt) if runtime is None else carry(task, runtime))


def run_slice(payload: bytes) -> bytes:
    """Run attempts that take turns on this Dask worker.

    Parameters
    ----------
    payload
        A :class:`~mtor_kernel.protocol.task.Slice` as JSON.

    Returns
    -------
    bytes
        A list of :class:`~mtor_kernel.protocol.task.Outcome` as JSON, one for each, whatever
        happened.

    Raises
    ------
    Malformed
        The payload does not even name its attempts.
    """
    from dask_workers.slices import Turns

    try:
        told = decode(payload, Slice, limit=MAX_SLICE_BYTES, depth=MAX_DEPTH + SLICE_DEPTH)
    except RealmError as error:
        refs = _attempts_of(payload)
        return encode([Outcome(ref, error=error.info()) for ref in refs])
    runtime = _runtime(told.gateway)
    if runtime is None:
        return encode([_not_ready(row.attempt) for row in told.rows])
    return encode(Turns(told, runtime).run())


def _runtime(gateway: str) -> Runtime | None:
    from distributed import get_worker

    return getattr(get_worker(), runtime_name(gateway), None)


def _not_ready(ref: AttemptRef) -> Outcome:
    lacking = Unavailable("The worker was not ready for it: ask again.")
    return Outcome(ref, error=lacking.info(), retryable=True)


def carry(task: Task, runtime: Runtime) -> Outcome:
    """Have the model answer, publish what it says, and return how that ended. Never raises."""
    publisher = runtime.publisher(task.attempt)
    attempt = runtime.attempts.start(task.attempt)
    attempt.resend = publisher.flush
    return see_through(task, runtime, attempt, publisher)


def see_through(task: Task, runtime: Runtime, attempt: Attempt, publisher: Publisher) -> Outcome:
    """Carry an attempt that has been started to its end. Never raises."""
    clock = _Clock()
    try:
        done = _answer(task, runtime, attempt, publisher, clock)
    except Exception as error:  # noqa: BLE001 - whatever a backend raises becomes an outcome
        outcome = _failed(task, attempt, publisher, error)
    else:
        outcome = _ended(task, attempt, publisher, done)
    finally:
        runtime.attempts.end(attempt)
    usage = msgspec.structs.replace(outcome.usage, compute_ms=clock.milliseconds)
    outcome = msgspec.structs.replace(outcome, usage=usage)
    # After its end here: what is over for the realm is in no later heartbeat.
    publisher.finish(outcome)
    return outcome


def never_begun(
    runtime: Runtime, attempt: Attempt, publisher: Publisher, error: RealmError | None = None
) -> Outcome:
    """End an attempt that has been started and whose model was not asked.

    It cannot be read, it was cancelled, or it is handed back: another one costs nobody anything.
    """
    if error is not None:
        outcome = Outcome(attempt.ref, error=error.info())
    elif attempt.cancelled:
        outcome = _cancelled(attempt, publisher)
    else:
        outcome = Outcome(attempt.ref, cancelled=True, begun=False)
    runtime.attempts.end(attempt)
    publisher.finish(outcome)
    return outcome


class _Clock:
    """How long the backend worked."""

    milliseconds = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.milliseconds = round((time.monotonic() - start) * 1000)


def _answer(
    task: Task, runtime: Runtime, attempt: Attempt, publisher: Publisher, clock: _Clock
) -> Done | None:
    """Return what the backend said last; ``None`` if the attempt was cancelled before."""
    if attempt.cancelled:
        return None
    model = runtime.models.get(task.model.name)
    with model.in_use(attempt, publisher.progress) as backend, clock.running():
        done = _pump(backend, task, attempt, publisher, runtime.rows_seconds)
    if done is not None and not done.weights and model.weights:
        return msgspec.structs.replace(done, weights=model.weights)
    return done


def _pump(
    backend: Backend, task: Task, attempt: Attempt, publisher: Publisher, rows_seconds: float
) -> Done | None:
    if not task.query.rows:
        return _listen(backend, task, task.query, attempt, publisher)

    def ask(query: Query, sink: Sink) -> Done | None:
        with attempt.meanwhile():
            try:
                return _listen(backend, task, query, attempt, sink)
            except Exception:
                if attempt.cancelled:  # a backend whose socket was closed under it may raise
                    return None
                raise

    return take_turns(task.query, ask, publisher, rows_seconds)


def _listen(
    backend: Backend, task: Task, query: Query, attempt: Attempt, sink: Sink
) -> Done | None:
    stream = cast("Generator[Delta | Step | Done, Any, None]", backend.stream(query, attempt))
    with closing(stream):
        for said in stream:
            if isinstance(said, Done):
                return _checked(said, task)
            if attempt.cancelled:
                return None
            if isinstance(said, Delta):
                sink.publish(said)
            else:
                sink.progress(said)
    if attempt.cancelled:
        return None
    raise BackendFailed(f"The model {task.model.name} broke off in its answer: ask again.")


def _checked(done: Done, task: Task) -> Done:
    """Return what a backend said last; a miscount fails this query and no more."""
    try:
        decode(encode(done), Done)
    except (BadInput, TypeError, ValueError) as error:
        raise BackendFailed(
            f"The model {task.model.name} miscounted ({error}): tell the sysop."
        ) from None
    return done  # itself: what it leaves at its default stays so, and is left out on the wire


def _ended(task: Task, attempt: Attempt, publisher: Publisher, done: Done | None) -> Outcome:
    if done is None:
        return _cancelled(attempt, publisher)
    return Outcome(
        task.attempt, publisher.parts(), done.usage, done.finish_reason, weights=done.weights
    )


def _cancelled(attempt: Attempt, publisher: Publisher) -> Outcome:
    parts = publisher.parts()
    usage = Usage(output_tokens=publisher.tokens, estimated=True)
    if attempt.lost:
        gone = WorkerLost(f"The worker gave the attempt up: {attempt.lost}.")
        return Outcome(attempt.ref, parts, usage, error=gone.info(), retryable=True)
    return Outcome(attempt.ref, parts, usage, cancelled=True)


def _failed(task: Task, attempt: Attempt, publisher: Publisher, error: Exception) -> Outcome:
    if attempt.cancelled:  # a backend whose socket was closed under it may say so by raising
        log.debug("%s, cancelled, raised %r", task_key(*_name(task)), error)
        return _cancelled(attempt, publisher)
    log.error("%s failed", task_key(*_name(task)), exc_info=error)
    shown = _shown(task, error)
    return Outcome(
        task.attempt,
        publisher.parts(),
        Usage(output_tokens=publisher.tokens, estimated=True),
        error=shown.info(),
        retryable=not isinstance(shown, LASTING),
    )


def _shown(task: Task, error: Exception) -> RealmError:
    """Return what a user may see of an error: never its text, unless it is one of the realm's."""
    if isinstance(error, RealmError):
        return error
    if isinstance(error, MemoryError):
        return ResourceExhausted(
            f"The worker ran out of memory for {task.model.name}: ask for less, or a smaller model."
        )
    return BackendFailed(
        f"The model {task.model.name} failed ({type(error).__name__}): try again, or ask the sysop "
        "to look into the worker's log."
    )


def _name(task: Task) -> tuple[str, int]:
    return task.attempt.query, task.attempt.attempt


def _attempt_of(payload: bytes) -> AttemptRef:
    try:
        return decode(payload, _Named, limit=len(payload)).attempt
    except Malformed as error:
        raise Malformed(f"Not a task. {error.message}") from None


def _attempts_of(payload: bytes) -> list[AttemptRef]:
    try:
        depth = MAX_DEPTH + SLICE_DEPTH
        named = decode(payload, _AllNamed, limit=len(payload), depth=depth)
        return [row.attempt for row in named.rows]
    except Malformed as error:
        raise Malformed(f"Not a slice. {error.message}") from None
