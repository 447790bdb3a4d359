"""Bytes that come from a browser in pieces: a message must be no longer than a socket takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtor_kernel.protocol.errors import BadInput, TooLarge


class Parcel:
    """Puts one blob together. A new one replaces what was not finished."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._name = ""
        self._content = bytearray()

    def take(self, piece: dict[str, Any], buffers: Sequence[bytes | memoryview]) -> bytes | None:
        """Return all bytes with the last piece, and ``None`` before it.

        Raises
        ------
        TooLarge
            All pieces together would be over the limit.
        BadInput
            It is empty, or a piece is missing.
        """
        name, at, size = piece.get("name"), piece.get("at"), piece.get("size")
        if not (isinstance(name, str) and isinstance(at, int) and isinstance(size, int)):
            raise BadInput("The browser sent something that is no piece of a file. Try again.")
        if size > self._most:
            raise TooLarge(
                f"That has {size:,} bytes; at most {self._most:,} are taken. Make it smaller.",
                limit=self._most,
                used=size,
            )
        if at == 0:
            self._name, self._content = name, bytearray()
        if name != self._name or at != len(self._content):
            return None  # of one that was replaced
        for buffer in buffers:
            self._content += buffer
        if not 0 < len(self._content) <= size:
            self._name = ""
            raise BadInput("The file is empty, or was changed while it was read. Try again.")
        if len(self._content) < size:
            return None
        whole, self._name, self._content = bytes(self._content), "", bytearray()
        return whole
