"""Where in the text of a catalogue a mistake stands. Strings in, strings out."""

from __future__ import annotations

import re
import tomllib

import msgspec

from mtor_kernel.protocol.query import ModelName

#: What to do about a fault that msgspec finds.
_HINTS = {
    "missing required": "add it",
    "unknown field": "mend its spelling or take it out",
    "matching regex": "names are lower-case letters, digits and . _ : / -",
}


def place(error: str, text: str) -> str:
    """Say a validation error with the name of the table and its line, in place of a path."""
    fault, _, path = error.partition(" - at ")
    fault += next((f": {hint}" for sign, hint in _HINTS.items() if sign in fault), "")
    found = re.match(r"`\$\.models\[(\d+)\]\.?([^`]*)`", path)
    if not found:
        outside = _outside_models(fault, path, text)
        return f"{fault} ({outside})" if outside else fault
    return f"{fault} ({where(text, int(found[1]), found[2])})"


def _outside_models(fault: str, path: str, text: str) -> str:
    """Say where a mistake stands that is in no model's table."""
    unknown = re.search(r"unknown field `([^`]*)`", fault)
    table = re.search(r"\$\.(\w+)", path)
    if unknown or not table:
        return _line_of_table(text, unknown[1]) if unknown else ""
    wrong = _wrong_alias(text) if table[1] == "aliases" else ""
    line = line_of(text, wrong) if wrong else _line_of_table(text, table[1])
    told = (f"in {table[1]}", wrong and f"at {wrong!r}", line)
    return ", ".join(filter(None, told))


def _wrong_alias(text: str) -> str:
    """Return the first alias that is none."""
    aliases = tomllib.loads(text).get("aliases", {})
    for name, targets in aliases.items() if isinstance(aliases, dict) else ():
        try:
            msgspec.convert({name: targets}, dict[ModelName, tuple[ModelName, ...]])
        except msgspec.ValidationError:
            return str(name)
    return ""


def _line_of_table(text: str, name: str) -> str:
    """Say in which line a field or table stands that is in no other table."""
    plain = rf"\s*['\"]?{re.escape(name)}['\"]?\s*[.=]"
    table = rf"\s*\[+\s*['\"]?{re.escape(name)}['\"]?\s*[.\]]"
    inside = False
    for at, line in enumerate(text.splitlines(), 1):
        if re.match(table, line) or (not inside and re.match(plain, line)):
            return f"in line {at}"
        inside = inside or line.lstrip().startswith("[")
    return ""


def where(text: str, number: int, key: str) -> str:
    """Say where in a catalogue the field `key` of a model stands; empty: the model itself."""
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines, 1) if _is_model(line)]
    if number >= len(heads):
        return f"in [[models]] number {number + 1}" + (f", at {key}" if key else "")
    begin = heads[number]
    end = heads[number + 1] if number + 1 < len(heads) else len(lines) + 1
    place = f"in [[models]] number {number + 1} that begins in line {begin}"
    if not key:
        return place
    field = re.compile(rf"\s*(\[\s*models\s*\.\s*)?\"?{re.escape(key.partition('.')[0])}\b")
    at = next((at for at in range(begin + 1, end) if field.match(lines[at - 1])), None)
    return f"{place}, at {key}" + (f" in line {at}" if at else "")


def line_of(text: str, name: str) -> str:
    """Say in which line a name was given last; empty where that cannot be seen."""
    quoted = re.escape(name)
    given = re.compile(rf"\s*(name\s*=\s*['\"]{quoted}['\"]|['\"]?{quoted}['\"]?\s*=)")
    found = [at for at, line in enumerate(text.splitlines(), 1) if name and given.match(line)]
    return f"in line {found[-1]}" if found else ""


def _is_model(line: str) -> bool:
    return re.match(r"\s*\[\[\s*models\s*\]\]", line) is not None
