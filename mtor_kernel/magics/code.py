"""The code in a model's answer, if there is any that can be used. Pure.

Models fence code in many ways, forget the closing fence, add prose, or write no code at all.
"""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections.abc import Callable

import msgspec

_FENCE = re.compile(r"^[ \t>]{0,8}(?P<mark>`{3,}|~{3,})[ \t]*(?P<rest>[^\n]*)$", re.MULTILINE)
_PYTHON = ("", "python", "python3", "py", "ipython", "ipython3", "jupyter", "pycon", "{python}")
_PROMPT = re.compile(r"^(?:>>>|\.\.\.|In \[\d+\]:) ?", re.MULTILINE)
#: Statements that a word of prose could also be.
_BARE = (ast.Name, ast.Constant, ast.Tuple, ast.Compare, ast.UnaryOp)

#: How much of two pieces of code is compared, in characters.
_COMPARED = 2000

#: Turns a cell into plain Python, as IPython does with its magics.
Transform = Callable[[str], str]


class Code(msgspec.Struct, frozen=True):
    """What was found in an answer."""

    #: The code; empty where there is none to use.
    text: str = ""
    #: Why there is none, as the end of a sentence.
    trouble: str = ""


def code_in(answer: str, like: str = "", transform: Transform = str) -> Code:
    """Return the code of an answer.

    Parameters
    ----------
    like
        Of several pieces the one that is most like this is meant; without it the longest.
    transform
        Makes plain Python of a cell with magics.
    """
    fenced = _fenced(answer)
    pieces = [_plain(text) for language, text in fenced if language in _PYTHON]
    pieces = [piece for piece in pieces if piece.strip()]
    if not pieces and not fenced and _is_code(plain := _plain(answer), transform):
        pieces = [plain]
    if not pieces:
        return Code(trouble="it has no Python code")
    usable = [piece for piece in pieces if not _fault(piece, transform)]
    if not usable:
        return Code(trouble=f"its code is no Python: {_fault(pieces[0], transform)}")
    if like and len(usable) > 1:
        return Code(max(usable, key=lambda text: _likeness(text, like)))
    return Code(max(usable, key=len))


def _fenced(answer: str) -> list[tuple[str, str]]:
    """Return the fenced pieces, each with its language; the last may lack its closing fence."""
    found: list[tuple[str, str]] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(answer):
        if opened is None:
            single = re.fullmatch(rf"(?:(?:python3?|py)\s+)?(.+?){fence['mark']}\s*", fence["rest"])
            if single:
                found.append(("", single[1]))
            else:
                opened = fence
        elif fence["mark"].startswith(opened["mark"]) and not fence["rest"].strip():
            found.append((_language(opened), answer[opened.end() + 1 : fence.start()]))
            opened = None
    if opened is not None:
        found.append((_language(opened), answer[opened.end() + 1 :]))
    return found


def _language(fence: re.Match[str]) -> str:
    words = fence["rest"].split()
    return words[0].lower() if words else ""


def _plain(text: str) -> str:
    """Return code without the indent of a list, a quote's marks, or a console's prompts."""
    text = textwrap.dedent(text.expandtabs(4)).strip("\n").rstrip()
    if re.match(r">>>|In \[\d+\]:", text):
        kept = [line for line in text.splitlines() if _PROMPT.match(line)]
        text = _PROMPT.sub("", "\n".join(kept))
    return text


def _fault(text: str, transform: Transform) -> str:
    """Return why a text is no Python; empty where it is."""
    try:
        ast.parse(transform(text))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        words = getattr(error, "msg", None) or str(error)
        return f"{words}, line {line}" if line else words
    except (RecursionError, MemoryError):  # Python's parser says either of what is too deep
        return "it nests too deep"
    return ""


def _is_code(text: str, transform: Transform) -> bool:
    """Tell whether an answer without fences is code from end to end, and no prose."""
    try:
        statements = ast.parse(transform(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        not (isinstance(one, ast.Expr) and isinstance(one.value, _BARE))
        and not isinstance(one, ast.AnnAssign)
        for one in statements
    )


def _likeness(text: str, like: str) -> float:
    # Comparing takes the product of both lengths, and an answer may be of any.
    return difflib.SequenceMatcher(None, text[:_COMPARED], like[:_COMPARED]).ratio()


def difference(before: str, after: str) -> str:
    """Return what changes from one cell to another, as a unified difference without its head."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return "\n".join([line for line in lines if not line.startswith(("---", "+++"))])


def fenced(text: str, language: str) -> str:
    """Return `text` in a fence that nothing in it closes."""
    longest = max((len(found[0]) for found in re.finditer("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
