"""The last cell that failed, and what a model is told of it: code, lines and names, no values."""

from __future__ import annotations

import linecache
import re
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
from IPython.core.error import UsageError

from mtor_kernel.magics.secrecy import Secrets, without_values
from mtor_kernel.protocol.errors import RealmError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

#: Lines of the way to the error: those of the person's own code, and the last one of a library.
_MOST_OWN_LINES = 5
#: How much of one line is told, in characters.
_LONGEST_LINE = 200
_LIBRARY = re.compile(r".*[/\\](?:(?:site|dist)-packages|lib[/\\]python[\d.]+)[/\\](.+)")
#: Errors whose words are names out of the code, and not values.
_OF_NAMES = (NameError, AttributeError, ImportError, TypeError, SyntaxError)
#: What no model needs to explain: it says itself what to do.
_PLAIN = (RealmError, UsageError, KeyboardInterrupt, SystemExit)


class Fault(msgspec.Struct, frozen=True):
    """A cell that failed, and its error."""

    code: str
    error: BaseException
    #: The cell's execution count.
    number: int

    def told(self, secrets: Secrets, shell: InteractiveShell, *, values: bool = False) -> str:
        """Return the error in a few lines; with `values` its words are told as they are."""
        lines = [_line(frame, secrets) for frame in _way(self.error, shell)]
        if isinstance(self.error, SyntaxError) and self.error.lineno:
            lines.append(f"line {self.error.lineno} of the cell")
        cause = self.error.__cause__ or self.error.__context__
        if cause is not None and not self.error.__suppress_context__:
            lines.append(f"caused by {self._words(cause, values)}")
        return "\n".join([*lines, self._words(self.error, values)])

    def _words(self, error: BaseException, values: bool) -> str:
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        if not values:
            words = without_values(words, self.code, names=isinstance(error, _OF_NAMES))
        return f"{type(error).__name__}: {words}" if words else type(error).__name__


class Faults:
    """Remembers the last cell that failed."""

    def __init__(self) -> None:
        self.last: Fault | None = None

    def after_cell(self, result: ExecutionResult) -> None:
        """Note an error; made for IPython's ``post_run_cell``."""
        error = result.error_before_exec or result.error_in_exec
        code = getattr(result.info, "raw_cell", "") or ""
        if isinstance(error, BaseException) and not isinstance(error, _PLAIN):
            self.last = Fault(code.strip("\n"), error, result.execution_count or 0)

    def fault(self) -> Fault:
        """Return it; raise :class:`UsageError` where no cell has failed."""
        if self.last is None:
            raise UsageError("No cell has failed so far: there is no error to look at.")
        return self.last


class _Frame(msgspec.Struct, frozen=True):
    #: ``this cell``, ``In [2]``, a file of the person's, or a library's place.
    where: str
    line: int
    function: str
    #: The line itself; empty of a library.
    text: str


def _way(error: BaseException, shell: InteractiveShell) -> list[_Frame]:
    """Return the lines that led to the error: own ones, and the last of a library after them."""
    own: list[_Frame] = []
    library: _Frame | None = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code, number = trace.tb_frame.f_code, trace.tb_lineno
        name, function = code.co_filename, code.co_name
        found = _LIBRARY.fullmatch(name)
        cell = _cell_name(name, shell)
        if cell or not found:
            where = cell or re.split(r"[/\\]", name)[-1]
            own.append(_Frame(where, number, function, linecache.getline(name, number).strip()))
            library = None
        else:
            library = _Frame(found[1], number, function, "")
        trace = trace.tb_next
    return [*own[-_MOST_OWN_LINES:], *([library] if library else [])]


def _cell_name(file: str, shell: InteractiveShell) -> str:
    told: Any = shell.compile.format_code_name(file)
    return " ".join(told) if told else ""


def _line(frame: _Frame, secrets: Secrets) -> str:
    place = f"{frame.where}, line {frame.line}"
    if frame.function not in ("<module>", "<cell line: 1>") and frame.function[0] != "<":
        place += f", in {frame.function}"
    return f"{place}: {secrets.take_out(frame.text)[:_LONGEST_LINE]}" if frame.text else place
