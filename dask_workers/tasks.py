"""The one function that Dask calls, and what an attempt goes through in it.

The scheduler imports this module too, so nothing heavy is imported here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Backend, Delta, Done, Step
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, decode, encode
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    Denied,
    Malformed,
    NotFound,
    RealmError,
    Refused,
    ResourceExhausted,
    Unavailable,
    WorkerLost,
)
from mtor_kernel.protocol.ngram import AttemptRef
from mtor_kernel.protocol.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_workers.attempts import Attempt
    from dask_workers.publisher import Publisher
    from dask_workers.runtime import Runtime

log = logging.getLogger(__name__)

#: A query came in one frame; its model's entry comes on top.
MAX_TASK_BYTES = 4 * MAX_FRAME_BYTES
#: Name of the attribute of a Dask worker that holds its :class:`~dask_workers.runtime.Runtime`.
RUNTIME = "mtor"

#: Errors that the same query would meet anywhere, at any time.
_LASTING = (BadInput, Denied, Refused, NotFound)


class _Named(msgspec.Struct):
    """What of a payload must be right for its outcome to have an address."""

    attempt: AttemptRef


def task_key(query: str, attempt: int) -> str:
    """Return the Dask key of an attempt's task."""
    return f"mtor-{query}-{attempt}"


def parse_key(key: object) -> tuple[str, int] | None:
    """Return query and attempt of a Dask key, or ``None`` for another's task."""
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
    from distributed import get_worker

    try:
        task = decode(payload, Task, limit=MAX_TASK_BYTES)
    except RealmError as error:
        return encode(Outcome(_attempt_of(payload), error=error.info()))
    runtime: Runtime | None = getattr(get_worker(), runtime_name(task.gateway), None)
    if runtime is None:
        lacking = Unavailable("The worker was not ready for it: ask again.")
        return encode(Outcome(task.attempt, error=lacking.info(), retryable=True))
    return encode(carry(task, runtime))


def carry(task: Task, runtime: Runtime) -> Outcome:
    """Have the model answer, publish what it says, and return how that ended. Never raises."""
    publisher = runtime.publisher(task.attempt)
    attempt = runtime.attempts.start(task.attempt)
    attempt.resend = publisher.flush
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
        return _pump(backend, task, attempt, publisher)


def _pump(backend: Backend, task: Task, attempt: Attempt, publisher: Publisher) -> Done | None:
    stream = cast("Generator[Delta | Step | Done, Any, None]", backend.stream(task.query, attempt))
    with closing(stream):
        for said in stream:
            if isinstance(said, Done):
                publisher.flush()
                return _checked(said, task)
            if attempt.cancelled:
                return None
            if isinstance(said, Delta):
                publisher.publish(said)
            else:
                publisher.progress(said)
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
        return _cancelled(task, attempt, publisher)
    return Outcome(task.attempt, publisher.parts(), done.usage, done.finish_reason)


def _cancelled(task: Task, attempt: Attempt, publisher: Publisher) -> Outcome:
    parts = publisher.parts()
    usage = Usage(output_tokens=publisher.tokens, estimated=True)
    if attempt.lost:
        gone = WorkerLost(f"The worker gave the attempt up: {attempt.lost}.")
        return Outcome(task.attempt, parts, usage, error=gone.info(), retryable=True)
    return Outcome(task.attempt, parts, usage, cancelled=True)


def _failed(task: Task, attempt: Attempt, publisher: Publisher, error: Exception) -> Outcome:
    if attempt.cancelled:  # a backend whose socket was closed under it may say so by raising
        log.debug("%s, cancelled, raised %r", task_key(*_name(task)), error)
        return _cancelled(task, attempt, publisher)
    log.error("%s failed", task_key(*_name(task)), exc_info=error)
    shown = _shown(task, error)
    return Outcome(
        task.attempt,
        publisher.parts(),
        Usage(output_tokens=publisher.tokens, estimated=True),
        error=shown.info(),
        retryable=not isinstance(shown, _LASTING),
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
