"""Errors as a notebook shows them: what is wrong and what to do, without our own call stack."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TypeVar

from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.telling.figures import show_retry
from mtor_kernel.telling.markdown import readable

E = TypeVar("E", bound=RealmError | KeyboardInterrupt | CancelledError)

_RED, _PLAIN = "\x1b[0;31m", "\x1b[0m"


def explained(error: E, note: str = "") -> E:
    """Return `error`, made to show itself in a few lines. Its type stays what it was.

    IPython asks an exception for ``_render_traceback_`` before it draws a call stack.
    """
    error._render_traceback_ = lambda: _lines(error, note)  # type: ignore[union-attr]  # IPython's seam
    return error


def _lines(error: RealmError | KeyboardInterrupt | CancelledError, note: str) -> list[str]:
    name = f"{_RED}{type(error).__name__}{_PLAIN}"
    if not isinstance(error, RealmError):
        return [f"{name}: {note}" if note else name]
    lines = [f"{name}: {readable(error.message)}"]
    if error.rule:
        lines.append(f"rule: {error.rule.replace('_', ' ')}")
    if when := show_retry(error):
        lines.append(when)
    return lines
