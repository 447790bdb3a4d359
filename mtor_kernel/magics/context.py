"""What a question in plain language may know of the notebook: names, types and shapes.

Never a value: no element, key, category, default or repr of anything. Values travel only where the
person writes ``{name}``. Nothing is imported for it, and no code of the objects runs but their
``len``, ``shape``, ``dtype`` and ``columns``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

_WORD = re.compile(r"[^\W\d]\w*")
#: A type's name that shows no value: ``int64``, ``datetime64[ns]``, not ``Enum(categories=…)``.
_PLAIN_TYPE = re.compile(r"[A-Za-z_][\w.]{0,40}(\[[\w, ]{1,40}\])?")
#: English words that are also good names: a variable only where the question sets it in backticks.
_ENGLISH = frozenset({"a", "I", "i"})
_MOST_VARIABLES, _MOST_COLUMNS, _LONGEST_NAME = 12, 16, 40


def mentioned(question: str, variables: Mapping[str, Any], hidden: Collection[str]) -> list[str]:
    """Return the names in `question` that are variables of the person's own, in order."""
    ticked = set(re.findall(r"`(\w+)`", question))
    words = dict.fromkeys(_WORD.findall(question))
    return [
        word
        for word in words
        if word in variables
        and word not in hidden
        and not word.startswith("_")
        and (word not in _ENGLISH or word in ticked)
    ][:_MOST_VARIABLES]


def context_line(question: str, variables: Mapping[str, Any], hidden: Collection[str]) -> str:
    """Return one line on the variables that `question` mentions; empty where it mentions none."""
    names = mentioned(question, variables, hidden)
    if not names:
        return ""
    return (
        f"In the notebook: {'; '.join(f'{name} is {shape_of(variables[name])}' for name in names)}."
    )


def shape_of(value: Any) -> str:
    """Return what `value` is, and how large, without any of what it holds.

    >>> shape_of([1, 2, 3]), shape_of(4.5), shape_of("secret")
    ('a list of length 3', 'a float', 'a str of length 6')
    """
    if isinstance(value, ModuleType):
        return "a module"
    if isinstance(value, type):
        return "a class"
    if callable(value):
        return "a function"
    kind = _article(type(value).__name__)
    facts = [_columns(value)] if _is_frame(value) else [_dtype(value)]
    return " ".join(filter(None, [kind, _size(value), *facts]))


def _size(value: Any) -> str:
    shape = _ask(lambda: tuple(value.shape))
    if shape is not None:
        return f"of shape ({', '.join(str(n) if type(n) is int else '?' for n in shape)})"
    length = _ask(lambda: len(value))
    return "" if length is None else f"of length {length}"


def _dtype(value: Any) -> str:
    kind = _ask(lambda: value.dtype)
    return "" if kind is None else f"of {_type_name(kind)}"


def _columns(value: Any) -> str:
    names = _ask(lambda: list(value.columns)) or []
    kinds = _ask(lambda: list(value.dtypes)) or []
    if len(kinds) != len(names):
        kinds = [None] * len(names)
    shown = [_column(name, kind) for name, kind in zip(names, kinds, strict=True)]
    more = len(shown) - _MOST_COLUMNS
    ending = f" and {more} more" if more > 0 else ""
    return f"with columns {', '.join(shown[:_MOST_COLUMNS])}{ending}" if shown else ""


def _column(name: Any, kind: Any) -> str:
    label = " ".join(str(name).split())[:_LONGEST_NAME] if isinstance(name, str | int) else "?"
    return label if kind is None else f"{label} ({_type_name(kind)})"


def _type_name(kind: Any) -> str:
    name = _ask(lambda: kind.name) or _ask(lambda: str(kind))
    if isinstance(name, str) and _PLAIN_TYPE.fullmatch(name):
        return name
    return type(kind).__name__


def _is_frame(value: Any) -> bool:
    return any(base.__name__ in ("DataFrame", "LazyFrame") for base in type(value).__mro__)


def _article(kind: str) -> str:
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _ask(look: Any) -> Any:
    """Return what `look` finds, or ``None`` where the object does not have it or will not say."""
    try:
        return look()
    except Exception:  # noqa: BLE001 - an object's own property may raise anything
        return None
