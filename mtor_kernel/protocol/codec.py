"""Bytes to values and back, with the limits that stand before parsing.

One decoder a direction, made once. Whatever arrives, :func:`decode` either returns a value of the
asked type or raises a :class:`~mtor_kernel.protocol.errors.BadInput` that says what to mend.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable
from typing import Any, TypeVar, cast

import msgspec

from mtor_kernel.protocol.errors import Malformed, TooLarge

#: The longest frame, and the longest JSON body of an HTTP request, in bytes.
MAX_FRAME_BYTES = 256 * 1024
#: How deep arrays and objects may nest.
MAX_DEPTH = 32

T = TypeVar("T")

#: Objects nest as arrays do; and everything but what nests, or could hide that from view.
_ALIKE = bytes.maketrans(b"{}", b"[]")
_WORDS = bytes(set(range(256)) - set(b'[]{}"\\'))

_encoder = msgspec.json.Encoder()
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


# msgspec crashes where two threads make the decoder of one type at the same time (seen with 0.22):
# each is made once, by one thread. `msgspec.convert` and `msgspec.json.decode(…, type=…)` make one
# too: what many threads do goes through `decode`.
_decoders: dict[Hashable, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()


def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    found = _decoders.get(kind)
    if found is None:
        with _making:
            found = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def encode(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8."""
    return _encoder.encode(value)


def decode(
    frame: bytes | str,
    kind: type[T],
    *,
    limit: int = MAX_FRAME_BYTES,
    depth: int = MAX_DEPTH,
) -> T:
    """Return the value of type `kind` (a struct, or a union of structs) that `frame` holds.

    Parameters
    ----------
    frame
        One JSON text.
    kind
        What it must be.
    limit
        How long it may be, in bytes.
    depth
        How deep it may nest.

    Raises
    ------
    TooLarge
        It is longer than `limit`.
    Malformed
        It is not JSON, nests deeper than `depth`, or is not a `kind`; says where.
    """
    data = _bytes_of(frame)
    if len(data) > limit:
        raise TooLarge(
            f"That is {len(data):,} bytes; at most {limit:,} fit. Shorten it, or upload large "
            "content as a blob.",
            limit=limit,
            used=len(data),
        )
    if nests_deeper(data, depth):
        raise Malformed(f"That nests deeper than {depth} levels: flatten it.", limit=depth)
    try:
        decoded: T = _decoder(cast(Hashable, kind)).decode(data)
    except msgspec.ValidationError as error:
        raise Malformed(f"Not a valid message: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"Not valid JSON: {error}.") from None
    return decoded


def _bytes_of(frame: bytes | str) -> bytes:
    try:
        return frame.encode() if isinstance(frame, str) else frame
    except UnicodeEncodeError:
        raise Malformed("Not valid JSON: it holds half of a surrogate pair.") from None


def nests_deeper(data: bytes, depth: int) -> bool:
    """Tell whether JSON has more levels than `depth`; what stands in strings does not count."""
    if data.count(b"[") + data.count(b"{") <= depth or _is_plainly_flat(data, depth):
        return False
    level = 0
    for found in _STRUCTURE.finditer(data):
        mark = found[0][0]
        if mark in b"[{":
            level += 1
            if level > depth:
                return True
        elif mark in b"]}":
            level -= 1
    return False


def _is_plainly_flat(data: bytes, depth: int) -> bool:
    """Tell whether it is seen at a glance that JSON has no more levels than `depth`.

    Long frames of many small things are looked at without a step for each of them. Where a string
    holds a bracket, quotes are left over, as one stands before it that has no neighbour; and where
    brackets do not close each other, they are.
    """
    marks = data.translate(_ALIKE, _WORDS)
    if b"\\" in marks:
        return False
    marks = marks.replace(b'""', b"")
    for _ in range(depth):
        if not marks:
            return True
        marks = marks.replace(b"[]", b"")  # the innermost, and no other
    return not marks
