"""A prompt with ``{name}`` in it, filled once a row.

Braces that are no field stay as they are, so a prompt may show JSON: a field is a column's name,
perhaps with a conversion and a format (``{price:.2f}``). ``{{name}}`` becomes ``{name}``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from typing import Any

from mtor_kernel.client.given import telling
from mtor_kernel.protocol.errors import BadInput

_TAIL = r"(?:!(?P<conversion>[rsa]))?(?::(?P<format>[^{}\s]+))?"
_NAME = r"[^\W\d]\w*"
_formatter = string.Formatter()


class Template:
    """One prompt for every row.

    Parameters
    ----------
    text
        The prompt.
    names
        The columns that rows have; ``None``: a row is one value, which any name stands for.

    Raises
    ------
    BadInput
        It is no text, or names what rows do not have.
    """

    def __init__(self, text: str, names: Iterable[str] | None) -> None:
        if not isinstance(text, str):
            raise BadInput(
                f"The prompt is a text such as 'Sentiment of: {{text}}', not a {_kind(text)}."
            )
        known = None if names is None else list(names)
        # Whole names first: a column may be called "first name", or "2".
        fixed = [re.escape(name) for name in sorted(known or (), key=len, reverse=True)]
        empty = [""] if known is None else []
        field = "|".join([*fixed, _NAME, *empty])
        self._pattern = re.compile(
            rf"\{{\{{(?P<escaped>{field})\}}\}}|\{{(?P<name>{field}){_TAIL}\}}"
        )
        self._text = text
        found = dict.fromkeys(
            match["name"] for match in self._pattern.finditer(text) if match["name"] is not None
        )
        #: The columns that it needs, in the order in which they come.
        self.fields = tuple(found)
        self._check(known)

    def fill(self, value: Callable[[str], Any]) -> str:
        """Return the prompt of one row; `value` returns what the row has under a name.

        Raises
        ------
        BadInput
            The row has nothing there, or what cannot be written as text.
        """
        return self._pattern.sub(lambda found: _filled(found, value), self._text)

    def _check(self, known: list[str] | None) -> None:
        if known is None:
            if len(self.fields) > 1:
                names = " and ".join(f"{{{name}}}" for name in self.fields)
                raise BadInput(
                    f"The prompt names {names}, but each row is one value: use one name for it."
                )
            return
        for name in self.fields:
            if name not in known:
                columns = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
                raise BadInput(
                    f"{{{name}}} in the prompt: there is no column {name!r}. There are: {columns}. "
                    f"Write {{{{{name}}}}} to keep the braces."
                )


def is_missing(value: Any) -> bool:
    """Tell whether a cell is empty: ``None``, NaN, ``pandas.NA``, ``NaT``."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except Exception:  # noqa: BLE001 - whatever a value's own comparison raises, it is there
        return False


def _filled(found: re.Match[str], value: Callable[[str], Any]) -> str:
    if found["escaped"] is not None:
        return found[0][1:-1]
    name, cell = found["name"], value(found["name"])
    called = f"in the column {name!r}" if name else "here"
    if is_missing(cell):
        raise BadInput(f"The row has no value {called}.")
    if isinstance(cell, bytes | bytearray | memoryview):
        raise BadInput(f"The row has bytes {called} and no text: decode them, or attach them.")
    try:
        converted = _formatter.convert_field(cell, found["conversion"])
        text = format(converted, found["format"] or "")
    except Exception as error:  # a value's own __format__ may raise anything
        raise BadInput(f"{found[0]} in the prompt: {type(error).__name__}: {error}.") from error
    return telling(found[0], cell, text)


def _kind(value: Any) -> str:
    return type(value).__name__
