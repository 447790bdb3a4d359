"""Cells in plain language: what begins with ``Computer,`` is a question, not Python.

The cell becomes ``%%mtor computer`` before IPython looks at it, so the history keeps what was typed
and completion, the prompt numbers and the rest of IPython go on as they are.
"""

from __future__ import annotations

import ast
import re

_CALL = re.compile(r"\s*computer\s*[,:](?!=)", re.IGNORECASE)


def address_computer(lines: list[str]) -> list[str]:
    """Turn a cell that begins with ``Computer,`` (or ``Computer:``) into ``%%mtor computer``.

    An assignment to a variable of that name (``Computer, other = 1, 2``) stays what it is. Made for
    IPython's ``input_transformers_cleanup``: a cell's lines in, a cell's lines out.
    """
    cell = "".join(lines)
    called = _CALL.match(cell)
    if called is None or _assigns(cell):
        return lines
    question = cell[called.end() :].lstrip()
    # Not without a line: of an empty cell IPython says something else than what is missing.
    return ["%%mtor computer\n", *(question.splitlines(keepends=True) or ["\n"])]


def _assigns(cell: str) -> bool:
    try:
        statements = ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False  # the last two: too much for the parser
    match statements[0]:
        case ast.Assign() | ast.AnnAssign(value=ast.expr()):
            return True
        case _:
            return False
