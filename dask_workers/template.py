"""A URL with places for parameters, of which nothing but these places is the user's.

Pure: strings in, strings out. Scheme, host, port, the path's shape and the names of the query's
values are the operator's. A user's value is percent-encoded into its place and can end neither the
place nor the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta

from mtor_kernel.protocol.errors import BadInput

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: In a path nothing that a server may take for a path's own, however often it decodes it.
_NOT_IN_A_PATH = re.compile(r"[/\\%?#;]")
_DOTS = frozenset({".", ".."})
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d+)\]")


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user may fill in."""

    #: A regular expression that the whole value matches.
    pattern: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    #: Taken where none is given; ``None``: the value is left out.
    default: str | None = None
    max_length: Annotated[int, Meta(ge=1, le=10_000)] = 200
    description: str = ""

    def take(self, name: str, value: str | None) -> str | None:
        """Return the value to send; raise :class:`BadInput` for one that may not be."""
        if value is None:
            if self.default is None and self.required:
                raise BadInput(f"The parameter {name!r} is missing: give it a value.")
            return self.default
        if len(value) > self.max_length:
            raise BadInput(f"The parameter {name!r} is longer than {self.max_length} characters.")
        if any(not one.isprintable() for one in value):
            raise BadInput(f"The parameter {name!r} holds a character that nobody can see.")
        if self.choices and value not in self.choices:
            raise BadInput(f"The parameter {name!r} is one of: {', '.join(self.choices)}.")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise BadInput(f"The parameter {name!r} does not match {self.pattern}.")
        return value


class Template:
    """A URL such as ``https://api.example/v1/{city}?days={days}``."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        self._parts = parts
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = port or (443 if self.secure else 80)
        self.places = frozenset(_PLACE.findall(url))
        self.path_places = frozenset(_PLACE.findall(parts.path))

    def fault(self) -> str:
        """Return what is wrong with the URL, as half a sentence; empty for a right one."""
        parts = self._parts
        if parts.scheme not in ("http", "https") or not self.host:
            return "begins with neither http:// nor https:// and a host"
        if "@" in parts.netloc:
            return "holds a user: name a variable in headers_env instead"
        if _PLACE.search(parts.netloc) or "{" in parts.netloc:
            return "has a place for a parameter in its host: the host is yours to name"
        if parts.fragment:
            return "has a fragment (#): it is never sent"
        names = [pair.partition("=")[0] for pair in parts.query.split("&")]
        if any("{" in name for name in names):
            return "has a place for a parameter in a name of its query"
        if re.search(r"[{}\s]", _PLACE.sub("", self._parts.geturl())):
            return "has a brace or a blank that is no place for a parameter"
        return ""

    def fill(self, values: Mapping[str, str]) -> str:
        """Return path and query with the values in their places.

        Raises
        ------
        BadInput
            A value that would reach out of its place in the path.
        """
        path = "/".join(_segment(one, values) for one in self._parts.path.split("/")) or "/"
        pairs = [_pair(one, values) for one in self._parts.query.split("&") if one]
        query = "&".join(pair for pair in pairs if pair)
        return f"{path}?{query}" if query else path


def _segment(written: str, values: Mapping[str, str]) -> str:
    """Return one part of the path."""

    def put(place: re.Match[str]) -> str:
        value = values.get(place[1], "")
        if _NOT_IN_A_PATH.search(value):
            raise BadInput(f"The parameter {place[1]!r} may not hold any of / \\ % ? # ;")
        return _encode(place[1], value)

    filled = _PLACE.sub(put, written)
    if filled != written and (filled in _DOTS or not filled):
        raise BadInput("A parameter in the path may be neither empty nor dots alone.")
    return filled


def _pair(written: str, values: Mapping[str, str]) -> str:
    """Return one name and value of the query; nothing where a value is left out."""
    if any(name not in values for name in _PLACE.findall(written)):
        return ""
    return _PLACE.sub(lambda place: _encode(place[1], values[place[1]]), written)


def _encode(name: str, value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise BadInput(f"The parameter {name!r} is no proper text.") from None


def pick(value: Any, path: str) -> Any:
    """Return what stands at a path such as ``results[0].name``.

    Raises
    ------
    LookupError
        Nothing stands there.
    """
    for step in _steps(path):
        match value, step:
            case (list(), int()) | (dict(), str()):
                value = value[step]
            case _:
                raise LookupError(step)
    return value


def is_path(path: str) -> bool:
    """Tell whether `path` can be read."""
    return "".join(found[0] for found in _STEP.finditer(path)) == path and not path.startswith(".")


def _steps(path: str) -> Iterator[str | int]:
    for found in _STEP.finditer(path):
        yield found[1] if found[1] is not None else int(found[2])


def say(sentence: str, value: Any) -> str:
    """Return a sentence with each ``{path}`` in it replaced by what stands there."""
    return re.sub(r"\{([^{}]+)\}", lambda place: show(pick(value, place[1])), sentence)


def show(value: Any) -> str:
    """Return a value of JSON as a person reads it."""
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
