"""The child's side: ``python -m dask_workers.child FD PARENT``.

It ends when the worker does, however that ends: the kernel kills it with its parent, and where
there is no such kernel it sees the socket's end.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import itertools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing
from typing import cast

from dask_workers.child.frames import (
    FROM_WORKER,
    Ask,
    Begin,
    Channel,
    Ended,
    Kept,
    Ready,
    Said,
    Stop,
    ToChild,
    Want,
)
from dask_workers.flag import CancelFlag
from mtor_kernel.protocol.backend import Backend, Delta, Done, Step
from mtor_kernel.protocol.errors import (
    BackendFailed,
    ErrorInfo,
    RealmError,
    Unavailable,
    from_info,
)

log = logging.getLogger("mtor.child")

#: Linux: have the kernel send a signal when the parent has ended.
_PR_SET_PDEATHSIG = 1


class Talk(CancelFlag):
    """One query in the child: the context that the backend sees."""

    def __init__(self, number: int, desk: Desk) -> None:
        super().__init__()
        self.number = number
        self._desk = desk

    def read_blob(self, blob: str) -> bytes:
        return self._desk.want(self.number, blob=blob)[1]

    def write_blob(self, content: bytes, mime: str) -> str:
        return self._desk.want(self.number, mime=mime, content=content)[0].blob


class Desk:
    """Takes what the worker says, and has a thread for each query."""

    def __init__(self, channel: Channel[ToChild]) -> None:
        self._channel = channel
        self._talks: dict[int, Talk] = {}
        self._wants: dict[int, Future[tuple[Kept, bytes]]] = {}
        self._numbers = itertools.count(1)
        self._backend: Backend
        self._name = ""

    def run(self) -> None:
        """Serve until the worker is gone."""
        while (heard := self._channel.receive()) is not None:
            match heard[0]:
                case Begin():
                    _thread(self._begin, heard[0])
                case Ask(talk=number):
                    self._talks[number] = Talk(number, self)
                    _thread(self._answer, heard[0], self._talks[number])
                case Stop(talk=number):
                    talk = self._talks.get(number)
                    if talk is not None:
                        talk.cancel()
                case Kept(want=number):
                    self._wants.pop(number).set_result((heard[0], heard[1]))

    def want(
        self, talk: int, *, blob: str = "", mime: str = "", content: bytes = b""
    ) -> tuple[Kept, bytes]:
        """Have the worker read or keep a blob."""
        number: int = next(self._numbers)
        waiting = self._wants[number] = Future()
        self._channel.send(Want(number, talk, blob, mime), content)
        kept, attached = waiting.result()
        if kept.error is not None:
            raise from_info(kept.error)
        return kept, attached

    def _begin(self, begin: Begin) -> None:
        self._name = begin.spec.name
        try:
            module, _, name = begin.place.partition(":")
            self._backend = getattr(importlib.import_module(module), name)(begin.spec)
            self._backend.load()
        except BaseException as error:  # noqa: BLE001 - all of it is told
            self._channel.send(Ready(*self._told(error)))
        else:
            self._channel.send(Ready())

    def _answer(self, ask: Ask, talk: Talk) -> None:
        try:
            stream = cast("Generator[Delta | Step | Done]", self._backend.stream(ask.query, talk))
            with closing(stream):
                for said in stream:
                    if talk.cancelled:
                        break
                    self._channel.send(_said(ask.talk, said))
        except BaseException as error:  # noqa: BLE001 - all of it is told
            ended = Ended(ask.talk, *self._told(error))
        else:
            ended = Ended(ask.talk)
        del self._talks[ask.talk]
        self._channel.send(ended)

    def _told(self, error: BaseException) -> tuple[ErrorInfo, bool]:
        """Return what the worker may know of an error: the rest goes to its log."""
        if isinstance(error, RealmError):
            return error.info(), False
        if isinstance(error, MemoryError):
            return Unavailable("It does not fit into memory.").info(), True
        log.error("%s failed", self._name, exc_info=error)
        return BackendFailed(
            f"The model {self._name} failed ({type(error).__name__}): try again, or ask the sysop "
            "to look into the worker's log."
        ).info(), False


def _said(talk: int, said: Delta | Step | Done) -> Said:
    match said:
        case Delta():
            return Said(talk, delta=said)
        case Step():
            return Said(talk, step=said)
    return Said(talk, done=said)


def _thread(action: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=action, args=arguments, daemon=True).start()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)


def main(descriptor: int, parent: int) -> None:
    """Be a backend until the worker is gone."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the worker's to heed
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    channel: Channel[ToChild] = Channel(socket.socket(fileno=descriptor), FROM_WORKER)
    Desk(channel).run()
    # Threads that compute must not keep the process alive.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
