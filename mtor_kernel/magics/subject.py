"""What ``%mtor doc NAME`` tells a model of a name: what it is, its signature, its documentation."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from IPython.core.error import UsageError

from mtor_kernel.magics.code import fenced
from mtor_kernel.magics.context import shape_of
from mtor_kernel.magics.secrecy import Secrets

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
#: How much of its documentation, and of its code, is told, in characters.
_MOST_DOC, _MOST_CODE = 1500, 3000


def found(name: str, variables: Mapping[str, Any]) -> Any:
    """Return what a dotted name means here, running none of its code.

    Raises
    ------
    UsageError
        It is no name, or means nothing.
    """
    name = name.strip().strip("`").removesuffix("()")
    if not _DOTTED.fullmatch(name):
        raise UsageError(f"{name!r} is no name: write %mtor doc NAME, such as %mtor doc sorted.")
    root, *attributes = name.split(".")
    if root not in variables and not hasattr(builtins, root):
        raise UsageError(f"There is no {root!r} here: define it or import it first.")
    value = variables[root] if root in variables else getattr(builtins, root)
    for attribute in attributes:
        try:
            value = _member(value, attribute)
        except AttributeError:
            raise UsageError(f"{name}: there is no {attribute!r} in it.") from None
    return value


def is_code(value: Any) -> bool:
    """Tell whether a value is a piece of code and no piece of data."""
    return isinstance(value, ModuleType | type) or callable(value)


def told(name: str, value: Any, secrets: Secrets) -> str:
    """Return what a model is told of it; never what it holds."""
    if not is_code(value):
        kind = type(value)
        doc = _doc(kind, secrets)
        return f"The variable {name} is {shape_of(value)}.\n{kind.__name__}: {doc}".strip()
    lines = [f"{name} is {shape_of(value)}{_home(value)}."]
    if signature := _signature(value):
        lines.append(secrets.take_out(f"{name}{signature}"))
    if source := _own_source(value):
        lines.append(fenced(secrets.take_out(source), "python"))
    elif doc := _doc(value, secrets):
        lines.append(doc)
    return "\n".join(lines)


def _member(value: Any, name: str) -> Any:
    member = inspect.getattr_static(value, name)
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    return member.fget if isinstance(member, property) and member.fget else member


def _home(value: Any) -> str:
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    return f" of {home}" if isinstance(home, str) and home not in ("", "__main__") else ""


def _signature(value: Any) -> str:
    if isinstance(value, ModuleType):
        return ""
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):
        return ""
    # A default may be any value: only that there is one is told, unless it is a plain one.
    parameters = [
        one
        if one.default is one.empty or isinstance(one.default, bool | int | None)
        else one.replace(default=_Ellipsis())
        for one in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters))


class _Ellipsis:
    def __repr__(self) -> str:
        return "…"


def _own_source(value: Any) -> str:
    """Return the code of what the person has written in this notebook."""
    if getattr(value, "__module__", "") != "__main__":
        return ""
    try:
        return inspect.getsource(value)[:_MOST_CODE]
    except (OSError, TypeError):
        return ""


def _doc(value: Any, secrets: Secrets) -> str:
    try:
        doc = inspect.getdoc(value)
    except Exception:  # noqa: BLE001 - an object's own __doc__ may raise anything
        return ""
    return secrets.take_out(doc[:_MOST_DOC]) if isinstance(doc, str) else ""
