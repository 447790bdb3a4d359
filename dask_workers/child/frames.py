"""What a worker and its child say to each other, and how it travels."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Generic, TypeVar

import msgspec

from mtor_kernel.protocol.backend import Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.query import Query

T = TypeVar("T")

#: Nothing of either kind is larger: a blob of 64 MiB, and what is around it.
MAX_BYTES = 96 * 1024 * 1024
_HEAD = struct.Struct("!II")


class _Frame(msgspec.Struct, frozen=True, tag_field="op", tag=str.lower, omit_defaults=True):
    """One of the messages below."""


# From the worker.


class Begin(_Frame, frozen=True):
    """Be this backend, and load it."""

    spec: ModelSpec
    #: ``module:Class``.
    place: str


class Ask(_Frame, frozen=True):
    """Answer a query, as number `talk`."""

    talk: int
    query: Query


class Stop(_Frame, frozen=True):
    """Stop answering."""

    talk: int


class Kept(_Frame, frozen=True):
    """What came of a `Want`: a blob's bytes, attached, or the id of one that was kept."""

    want: int
    blob: str = ""
    error: ErrorInfo | None = None


# From the child.


class Ready(_Frame, frozen=True):
    """It is loaded; or not, and why."""

    error: ErrorInfo | None = None
    #: It was memory that was lacking.
    memory: bool = False


class Said(_Frame, frozen=True):
    """One thing that the backend yielded."""

    talk: int
    delta: Delta | None = None
    step: Step | None = None
    done: Done | None = None


class Ended(_Frame, frozen=True):
    """The backend has ended with a talk, and how where it raised."""

    talk: int
    error: ErrorInfo | None = None
    memory: bool = False


class Want(_Frame, frozen=True):
    """A blob is wanted; or one, attached, is to be kept: then it has a `mime`."""

    want: int
    talk: int
    blob: str = ""
    mime: str = ""


ToChild = Begin | Ask | Stop | Kept
ToWorker = Ready | Said | Ended | Want


#: Each made once, by one thread: msgspec does not bear two that make the same.
FROM_WORKER: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild)
FROM_CHILD: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)


def packed(frame: _Frame, attached: bytes = b"") -> bytes:
    """Return a frame as it travels, in front of what is attached to it."""
    said = msgspec.json.encode(frame)
    return _HEAD.pack(len(said), len(attached)) + said


class Channel(Generic[T]):
    """One end of the socket pair. Any thread may send; one receives."""

    def __init__(self, end: socket.socket, decoder: msgspec.json.Decoder[T]) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._decoder = decoder

    def send(self, frame: _Frame, attached: bytes = b"") -> None:
        """Send a frame; :class:`OSError` when nobody is there any more."""
        self.write(packed(frame, attached), attached)

    def write(self, said: bytes, attached: bytes = b"") -> None:
        """Send a frame that is packed already."""
        with self._sending:
            self._end.sendall(said)
            if attached:
                self._end.sendall(attached)

    def receive(self) -> tuple[T, bytes] | None:
        """Wait for a frame; ``None`` when the other end is closed.

        Raises
        ------
        ValueError
            It is no frame: the other end has gone mad.
        """
        head = self._read(_HEAD.size)
        if head is None:
            return None
        length, extra = _HEAD.unpack(head)
        if length > MAX_BYTES or extra > MAX_BYTES:
            raise ValueError("a frame is too large")
        said, attached = self._read(length), self._read(extra)
        if said is None or attached is None:
            return None
        return self._decoder.decode(said), attached

    def end(self) -> None:
        """Have whoever waits on it read what is there already, and then its end."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it under whoever waits on it."""
        self.end()
        self._end.close()

    def _read(self, count: int) -> bytes | None:
        pieces = bytearray(count)
        view, at = memoryview(pieces), 0
        while at < count:
            try:
                got = self._end.recv_into(view[at:])
            except OSError:
                return None
            if not got:
                return None
            at += got
        return bytes(pieces)
