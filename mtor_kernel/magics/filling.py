r"""``{name}`` in a prompt, filled from the notebook's variables.

A prompt is often about code, so braces are touched only where they are certainly a field: an
identifier, attributes and indices after it, and perhaps a format. ``{"a": 1}``, ``{x + 1}``,
``x^{n}`` and ``\frac{a}{b}`` stay as they are, and so does ``${HOME}`` unless there is a variable
``HOME``. ``{{name}}`` becomes ``{name}``.
"""

from __future__ import annotations

import keyword
import re
import string
from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError

from mtor_kernel.client.given import telling
from mtor_kernel.client.media import is_picture
from mtor_kernel.protocol.errors import BadInput

_FIELD = r"""
    (?P<field> (?P<root>[^\W\d]\w*) (?: \.[^\W\d]\w* | \[[^\[\]{}\s]+\] )* )
    (?: !(?P<conversion>[rsa]) )?
    (?: :(?P<format>[^{}\s]+) )?
"""
_BRACES = re.compile(
    rf"""
      \\[A-Za-z]+\*? (?:\[[^\]]*\])? (?:\{{[^{{}}]*\}})+   # a LaTeX command with its arguments
    | \^\{{[^{{}}]*\}}                                      # a power
    | (?P<escaped>\{{\{{{_FIELD.replace("?P<", "?P<_")}\}}\}})
    | (?P<dollar>\$)? \{{{_FIELD}\}}
    """,
    re.VERBOSE,
)
#: Formats of Python's own mini-language: what follows another colon, as in CSS, is none.
_FORMAT = re.compile(r"(.?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(\.\d+)?[bcdeEfFgGnosxX%]?")


def fill(prompt: str, variables: Mapping[str, Any], pictures: list[Any] | None = None) -> str:
    """Return `prompt` with its fields filled in; what was filled in is not looked at again.

    Parameters
    ----------
    pictures
        Takes the pictures that fields name (figures, images, pixels); in the prompt their numbers
        stand for them. ``None``: they are values like any other.

    Raises
    ------
    UsageError
        A field names no variable, something that the variable does not have, or what has no words.
    """
    return _BRACES.sub(lambda found: _filled(found, variables, pictures), prompt)


def value_of(field: str, variables: Mapping[str, Any]) -> Any:
    """Return the value that ``{name}``, ``{name.attribute}`` or ``{name[0]}`` names.

    Raises
    ------
    UsageError
        It is no such field, or names nothing.
    """
    found = _BRACES.fullmatch(field)
    if found is None or found["root"] is None or found["dollar"]:
        raise UsageError(f"{field} names no variable: write {{name}}.")
    if found["root"] not in variables:
        raise UsageError(f"{field}: there is no variable {found['root']!r}. Define it first.")
    return _looked_up(found, variables)


def named(prompt: str, variables: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the variables whose values :func:`fill` would put into `prompt`."""
    roots = (found["root"] for found in _BRACES.finditer(prompt))
    return frozenset(root for root in roots if root and root in variables)


def _filled(found: re.Match[str], variables: Mapping[str, Any], pictures: list[Any] | None) -> str:
    if found["escaped"]:
        return found["escaped"][1:-1]
    root, whole = found["root"], found[0]
    if root is None or keyword.iskeyword(root):
        return whole
    if root in variables:
        return (found["dollar"] or "") + _value(found, variables, pictures)
    if found["dollar"] or not _FORMAT.fullmatch(found["format"] or ""):
        return whole
    raise UsageError(
        f"{whole} in the prompt: there is no variable {root!r}. Define it first, or write "
        f"{{{whole}}} to keep the braces."
    )


def _looked_up(found: re.Match[str], variables: Mapping[str, Any]) -> Any:
    try:
        return string.Formatter().get_field(found["field"], (), variables)[0]
    except Exception as error:  # a user's own __getattr__ may raise anything
        raise UsageError(f"{found[0]}: {type(error).__name__}: {error}.") from error


def _value(found: re.Match[str], variables: Mapping[str, Any], pictures: list[Any] | None) -> str:
    formatter = string.Formatter()
    try:
        value, _ = formatter.get_field(found["field"], (), variables)
        if pictures is not None and is_picture(value):
            pictures.append(value)
            return f"[picture {len(pictures)}]"
        text = format(formatter.convert_field(value, found["conversion"]), found["format"] or "")
    except Exception as error:  # a user's own __getattr__ or __format__ may raise anything
        raise UsageError(
            f"{found[0]} in the prompt: {type(error).__name__}: {error}. Write {{{found[0]}}} to "
            "keep the braces."
        ) from error
    try:
        return telling(found[0], value, text)
    except BadInput as error:
        raise UsageError(error.message) from None
