"""A widget's script: small files of plain ECMAScript, joined into the one module it takes.

A widget's module is loaded from a blob, where no import of a neighbour leads anywhere, and
nothing may be fetched at run time. So imports of neighbours are left out and the files put one
after the other; each is a module that an editor and a test can load as it lies there.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r"^import [^;]*? from '\./[a-z]+\.js';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


@cache
def script(*names: str) -> str:
    """Return the files `names`, without ``.js``, as one module; the last has the default export."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _read(f"{name}.js"))) for name in names)


@cache
def style() -> str:
    """Return the style sheet of all widgets."""
    return _read("style.css")


def _read(name: str) -> str:
    return (files(__package__) / "js" / name).read_text(encoding="utf-8")
