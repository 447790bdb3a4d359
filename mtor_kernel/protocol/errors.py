"""The one tree of errors.

::

    RealmError                  anything the realm says no to, or could not do
    ├── BadInput                the question itself is at fault: change it
    │   ├── Malformed           not JSON, not an n-gram, a wrong type or an unknown field
    │   ├── TooLarge            a frame, prompt or blob is over its limit
    │   ├── UnknownModel        no model, alias or fallback chain has this name
    │   ├── UnknownOption       the model does not take this option, or not this value
    │   ├── KeyConflict         the idempotency key was used for another query
    │   └── RowsKnown           rows of it are asked already: ``details`` says by which queries
    ├── Denied                  who is asking may not
    │   ├── Unauthenticated     no credential, or one that the realm does not know
    │   ├── Forbidden           the credential lacks a scope
    │   └── Banned              the sysop has closed the realm to this person
    ├── Refused                 admission said no: the same query may pass later
    │   ├── QuotaExceeded       a rule of the person's role is used up
    │   ├── InsufficientFunds   the hold is more than balance − holds
    │   └── AdmissionPaused     the sysop has paused admission
    ├── NotFound                no such query, blob or worker, or it is somebody else's
    ├── Unavailable             the realm can't do it now
    │   ├── NoModel             nothing serves this modality; says which command mends it
    │   ├── StorageFull         the disk is full: nothing was written, nothing charged
    │   ├── RealmStopping       the realm is closing
    │   ├── RealmUnreachable    no realm answers (raised by clients only)
    │   ├── NotRecorded         a replay has no answer to this question (by clients only)
    │   └── ReplayDamaged       a recorded answer was changed, or cut off (by clients only)
    └── QueryFailed             an admitted query ended without an answer
        ├── BackendFailed       the model's backend raised an error
        ├── ResourceExhausted   the worker ran out of memory for it
        ├── WorkerLost          its worker died, on every attempt
        ├── Expired             its ``ttl_seconds`` passed before it ended
        └── QueryCancelled      it was cancelled

Each class has a stable ``code``; each instance a sentence that says what to do next, and details
for programs. :class:`ErrorInfo` is the form on the wire; only these errors are ever shown to a
user.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error on the wire."""

    #: Stable name of the error's class, e.g. ``quota_exceeded``.
    code: str
    #: One sentence for a person: what is wrong and what to do.
    message: str
    #: The rule that refused, e.g. ``queries_per_minute``; empty where no rule did.
    rule: str = ""
    #: Seconds until the same query may be tried again; ``None`` where waiting does not help.
    retry_after_seconds: float | None = None
    #: Figures for programs: ``limit``, ``used``, ``needed``, ``available``, ``scope``…
    details: dict[str, str | int | float] = msgspec.field(default_factory=dict)


class RealmError(Exception):
    """Anything the realm says no to, or could not do."""

    code: ClassVar[str] = "realm_error"

    def __init__(
        self,
        message: str,
        *,
        rule: str = "",
        retry_after_seconds: float | None = None,
        **details: str | int | float,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.rule = rule
        self.retry_after_seconds = retry_after_seconds
        self.details = details

    def info(self) -> ErrorInfo:
        """Return the error as it travels."""
        return ErrorInfo(
            self.code, self.message, self.rule, self.retry_after_seconds, dict(self.details)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return from_info, (self.info(),)


class BadInput(RealmError):
    """The question itself is at fault: change it."""

    code = "bad_input"


class Malformed(BadInput):
    """Not JSON, not an n-gram, a wrong type or an unknown field."""

    code = "malformed"


class TooLarge(BadInput):
    """A frame, prompt or blob is over its limit."""

    code = "too_large"


class UnknownModel(BadInput):
    """No model, alias or fallback chain has this name."""

    code = "unknown_model"


class UnknownOption(BadInput):
    """The model does not take this option, or not this value."""

    code = "unknown_option"


class KeyConflict(BadInput):
    """The idempotency key was used for another query."""

    code = "key_conflict"


class RowsKnown(BadInput):
    """Rows of it are asked already. ``details`` says of each, by its position, ``QUERY:POSITION``.

    Nothing was asked: what is known can be followed, and the rest be asked without it.
    """

    code = "rows_known"


class Denied(RealmError):
    """Who is asking may not."""

    code = "denied"


class Unauthenticated(Denied):
    """No credential, or one that the realm does not know."""

    code = "unauthenticated"


class Forbidden(Denied):
    """The credential lacks a scope; ``details["scope"]`` names it."""

    code = "forbidden"


class Banned(Denied):
    """The sysop has closed the realm to this person."""

    code = "banned"


class Refused(RealmError):
    """Admission said no: the same query may pass later."""

    code = "refused"


class QuotaExceeded(Refused):
    """A rule of the person's role is used up; ``details`` has ``limit`` and ``used``."""

    code = "quota_exceeded"


class InsufficientFunds(Refused):
    """The hold is more than balance − holds; ``details`` has ``needed`` and ``available``."""

    code = "insufficient_funds"


class AdmissionPaused(Refused):
    """The sysop has paused admission."""

    code = "admission_paused"


class NotFound(RealmError):
    """No such query, blob or worker, or it is somebody else's."""

    code = "not_found"


class Unavailable(RealmError):
    """The realm can't do it now."""

    code = "unavailable"


class NoModel(Unavailable):
    """Nothing serves this modality; the message says which command mends it."""

    code = "no_model"


class StorageFull(Unavailable):
    """The disk is full: nothing was written, nothing charged."""

    code = "storage_full"


class RealmStopping(Unavailable):
    """The realm is closing."""

    code = "realm_stopping"


class RealmUnreachable(Unavailable):
    """No realm answers."""

    code = "realm_unreachable"


class NotRecorded(Unavailable):
    """A replay has no answer to this question, and may ask nobody."""

    code = "not_recorded"


class ReplayDamaged(Unavailable):
    """A recorded answer was changed after it was written, or cut off."""

    code = "replay_damaged"


class QueryFailed(RealmError):
    """An admitted query ended without an answer."""

    code = "query_failed"


class BackendFailed(QueryFailed):
    """The model's backend raised an error."""

    code = "backend_failed"


class ResourceExhausted(QueryFailed):
    """The worker ran out of memory for it."""

    code = "resource_exhausted"


class WorkerLost(QueryFailed):
    """Its worker died, on every attempt."""

    code = "worker_lost"


class Expired(QueryFailed):
    """Its ``ttl_seconds`` passed before it ended."""

    code = "expired"


class QueryCancelled(QueryFailed):
    """It was cancelled."""

    code = "cancelled"


def _tree(root: type[RealmError]) -> dict[str, type[RealmError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def from_info(info: ErrorInfo) -> RealmError:
    """Return the exception that `info` describes; an unknown code gives the base class."""
    kind = _tree(RealmError).get(info.code, RealmError)
    return kind(
        info.message,
        rule=info.rule,
        retry_after_seconds=info.retry_after_seconds,
        **info.details,
    )
