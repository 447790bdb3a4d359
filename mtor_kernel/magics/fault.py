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
#: How much of one line is told, and of an error's words with their values, in characters.
_LONGEST_LINE, _LONGEST_WORDS = 200, 2000
#: Of a longer cell only the lines before and after the error are told.
LONGEST_CELL = 16_000
_LINES_BEFORE, _LINES_AFTER = 40, 20
#: What the cell that failed is called.
THIS_CELL = "this cell"
#: Errors of a group that are told.
_MOST_OF_GROUP = 3
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
        return "\n".join(self._lines(self.error, secrets, shell, values))

    def excerpt(self, secrets: Secrets, shell: InteractiveShell) -> str:
        """Return the cell without its secrets; of a very long one what stands around the error."""
        code = secrets.take_out(self.code)
        if len(code) <= LONGEST_CELL:
            return code
        lines = [line[:_LONGEST_LINE] for line in code.splitlines()]
        way = reversed(self._way(self.error, shell))
        at = next((one.line for one in way if one.where == THIS_CELL), 1)
        if isinstance(self.error, SyntaxError):
            at = self.error.lineno or at
        # A secret of several lines has left one.
        gone = len(self.code.splitlines()) - len(lines)
        first, last = max(0, at - gone - _LINES_BEFORE), min(len(lines), at + _LINES_AFTER)
        above = [f"# … {first:,} lines before"] if first else []
        below = [f"# … {len(lines) - last:,} lines after"] if last < len(lines) else []
        return "\n".join([*above, *lines[first:last], *below])

    def _lines(
        self, error: BaseException, secrets: Secrets, shell: InteractiveShell, values: bool
    ) -> list[str]:
        way = self._way(error, shell)
        lines = [_line(frame, secrets) for frame in way]
        if isinstance(error, SyntaxError) and error.lineno:
            # Where the cell itself could not be compiled, no line of it has run.
            of_cell = not any(frame.own for frame in way)
            lines = [f"line {error.lineno} of the cell"] if of_cell else lines
            lines += [] if of_cell else [_line(_place_of(error, shell), secrets)]
        implied = None if error.__suppress_context__ else error.__context__
        if cause := error.__cause__ or implied:
            lines.append(f"caused by {self._words(cause, values)}")
        lines.append(self._words(error, values))
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions[:_MOST_OF_GROUP]:
                lines += ["which holds", *self._lines(one, secrets, shell, values)]
        return [line for line, before in zip(lines, ["", *lines], strict=False) if line != before]

    def _way(self, error: BaseException, shell: InteractiveShell) -> list[_Frame]:
        """Return the way to the error. Where the cell is meant, no number says which it is: it has
        another one when the notebook is run again, and a recorded answer would not be found.
        """
        here = f"Cell In[{self.number}]"
        return [
            msgspec.structs.replace(one, where=THIS_CELL) if one.where == here else one
            for one in _way(error, shell)
        ]

    def _words(self, error: BaseException, values: bool) -> str:
        try:
            words = error.msg if isinstance(error, SyntaxError) else str(error)
        except Exception:  # noqa: BLE001 - an error's own __str__ may raise anything
            words = ""
        if not values:
            words = without_values(words, self.code, names=isinstance(error, _OF_NAMES))
        elif len(words) > _LONGEST_WORDS:
            words = words[:_LONGEST_WORDS] + "…"
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
    #: ``this cell``, ``Cell In[2]``, a file of the person's, or a library's place.
    where: str
    line: int
    function: str
    #: The line itself; empty of a library.
    text: str
    #: Whether it is the person's own code.
    own: bool = True


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
            library = _Frame(found[1], number, function, "", own=False)
        trace = trace.tb_next
    # One that calls itself stands there a thousand times.
    met = [one for one, before in zip(own, [None, *own], strict=False) if one != before]
    return [*met[-_MOST_OWN_LINES:], *([library] if library else [])]


def _place_of(error: SyntaxError, shell: InteractiveShell) -> _Frame:
    """Return the line that is no Python, in a module or a text that a cell has run."""
    file = error.filename or "the code"
    library = _LIBRARY.fullmatch(file)
    where = _cell_name(file, shell) or (library[1] if library else re.split(r"[/\\]", file)[-1])
    text = "" if library else (error.text or "").strip()
    return _Frame(where, error.lineno or 0, "<module>", text, own=library is None)


def _cell_name(file: str, shell: InteractiveShell) -> str:
    told: Any = shell.compile.format_code_name(file)
    return " ".join(told) if told else ""


def _line(frame: _Frame, secrets: Secrets) -> str:
    place = f"{frame.where}, line {frame.line}"
    if frame.function not in ("<module>", "<cell line: 1>") and frame.function[0] != "<":
        place += f", in {frame.function}"
    return f"{place}: {secrets.take_out(frame.text)[:_LONGEST_LINE]}" if frame.text else place
