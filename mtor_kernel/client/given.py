"""What a caller gives, looked at before it travels: a mistake shows here, and in a sentence."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any

from mtor_kernel.protocol.errors import BadInput

#: The end of what an object is shown as that has no words of its own: where it lies in memory.
_PLACE = re.compile(r" at 0x[0-9a-fA-F]{4,}>")
#: How deep lists and mappings are looked through for such objects.
_DEEPEST = 6


def words(name: str, value: Any) -> str:
    """Return `value` if it is a text that can travel.

    Raises
    ------
    BadInput
        It is no text, or has a character that is none: half of a pair of surrogates, or NUL.
    """
    if not isinstance(value, str):
        raise BadInput(f"{name} must be a text, not {_short(value)}.")
    if "\0" in value:
        raise BadInput(f"{name} holds a NUL character: remove it.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{name} holds half a character at position {error.start} ({_short(value[error.start])}"
            "): the text was decoded wrongly, or cut in the middle of it."
        ) from None
    return value


def telling(field: str, value: Any, text: str) -> str:
    """Return `text`, which `value` was written as in a prompt, if it tells anything.

    Raises
    ------
    BadInput
        It is where an object lies in memory. That means nothing to a model, and differs each
        time: neither a recorded answer nor a row of a map would be known again.
    """
    if _PLACE.search(text) and (nameless := _nameless(value)) is not None:
        raise BadInput(
            f"{field} in the prompt is, or holds, a {type(nameless).__name__}, which has no words "
            "of its own: a model would read where it lies in memory, and elsewhere each time. Name "
            "an attribute or an item of it, or make a text of it first."
        )
    return text


def _nameless(value: Any, depth: int = 0) -> Any:
    """Return what in `value` is shown as a place in memory; ``None`` where it is only told of."""
    if isinstance(value, str | BaseException) or depth > _DEEPEST:
        return None
    inside: list[Any] | None = None
    if isinstance(value, Mapping):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inside = list(value)
    if inside is not None:
        found = (_nameless(one, depth + 1) for one in inside)
        return next((one for one in found if one is not None), None)
    return value if _PLACE.search(str(value)) else None


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return `value` if it is a whole number, and not less than `least`.

    Raises
    ------
    BadInput
        It is none, or less.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise BadInput(f"{name} must be a whole number, not {_short(value)}.")
    if number < least:
        raise BadInput(f"{name} must be {least} or more, not {number}.")
    return number


def _short(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
